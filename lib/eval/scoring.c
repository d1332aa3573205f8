/* eval: how long scoring may go on after a stop, and telling how far it is. */
#include "eval/tasks.h"
#include "e3/num.h"

enum { GRACE = 1000000000 }; /* ns: what was read of a short stream is still reported */

static bool stopped(void *ctx)
{
	eval_scoring *x = ctx;
	int64_t first = 0;
	if (!eval_stopped(x->o))
		return false;
	int64_t now = (int64_t)(e3_now() * 1e9);
	return !atomic_compare_exchange_strong(&x->stopped, &first, now) && now - first > GRACE;
}

static void progress(void *ctx, const char *what, int done, int of)
{
	const eval_scoring *x = ctx;
	x->o->scoring(x->name, what, (int)(100LL * done / of));
}

void eval_scoring_begin(eval_scoring *x, const e3_eval_options *o, const char *name)
{
	x->o = o, x->name = name;
	atomic_init(&x->stopped, 0);
	x->work = (e3_work){(int)o->threads, stopped, o->scoring ? progress : NULL, x};
}
