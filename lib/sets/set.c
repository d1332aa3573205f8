/* sets: opening a data set: its task, its folder, its sequences. Refuses tasks that the data set has no truth for. */
#include "e3/mem.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const task_names[E3_TASKS] = {"depth", "video-depth", "recon", "pose", "pairs"};

const char *e3_task_name(e3_task task) { return task < E3_TASKS ? task_names[task] : NULL; }

static int choose_task(e3_set *s, e3_err *err)
{
	s->task = s->o.task < 0 ? s->row->info.usual : (e3_task)s->o.task;
	if (s->row->info.tasks >> s->task & 1)
		return 0;
	e3_buf may = {0};
	for (int t = 0; t < E3_TASKS; t++)
		if (s->row->info.tasks >> t & 1)
			e3_buf_printf(&may, NULL, "%s%s", may.len ? ", " : "", task_names[t]);
	e3_fail(err, "opening: %s: no truth for the task %s: it has truth for %s", s->name, task_names[s->task],
		may.data ? may.data : "");
	e3_buf_release(&may);
	return -1;
}

static void use_defaults(e3_set_options *o, const e3_set_info *info)
{
	o->stride = o->stride ? o->stride : info->stride;
	o->size = o->size ? o->size : 518;
	o->co3d_size = o->co3d_size ? o->co3d_size : 224;
	o->draw = o->draw ? o->draw : 10;
	o->min_frames = o->min_frames ? o->min_frames : 50;
}

e3_set *e3_set_open(const e3_set_options *o, e3_err *err)
{
	e3_set *s = e3_alloc(1, sizeof *s, "a data set", err);
	if (!s)
		return NULL;
	s->o = *o, s->row = sets_row_of(o->set), s->name = e3_set_name(o->set);
	use_defaults(&s->o, &s->row->info);
	if (choose_task(s, err) || sets_find_home(s, err) || s->row->list(s, err)) {
		e3_set_close(s);
		return NULL;
	}
	return s;
}

void e3_set_close(e3_set *s)
{
	if (!s)
		return;
	if (s->row->release)
		s->row->release(s);
	for (size_t k = 0; k < s->n; k++)
		free(s->entry[k].name);
	free(s->entry), free(s->base);
	free(s);
}

e3_task e3_set_task(const e3_set *s) { return s->task; }
size_t e3_set_count(const e3_set *s) { return s->n; }

e3_set_entry e3_set_entry_at(const e3_set *s, size_t k)
{
	return (e3_set_entry){s->entry[k].name, s->entry[k].published, s->entry[k].found};
}
