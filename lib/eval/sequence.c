/* eval: a sequence's memory and name. */
#include "eval/tasks.h"
#include <stdlib.h>
#include <string.h>

void eval_seq_release(e3_eval_seq *s)
{
	free(s->input), free(s->name), free(s->group);
	free(s->pose), free(s->true_pose), free(s->ate), free(s->intrinsics), free(s->frame_error);
	eval_shots_free(s->shots);
	e3_head_release(&s->head);
	*s = (e3_eval_seq){0};
}

char *eval_stem(const char *path)
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	const char *dot = strrchr(base, '.');
	char *name = strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
	if (name)
		e3_text_clean(name);
	return name;
}

const char *eval_hint(const char *hint) { return hint ? hint : ""; }

bool eval_stopped(const e3_eval_options *o) { return o->stop && o->stop(); }
