/* base: long computations: their threads, stopping them, telling how far they are. */
#include "e3/work.h"
#include "e3/thread.h"

bool e3_work_stopped(const e3_work *w) { return w->stop && w->stop(w->ctx); }

int e3_work_check(const e3_work *w, e3_err *err) { return e3_work_stopped(w) ? e3_fail(err, "interrupted") : 0; }

typedef struct blocks {
	const e3_work *w;
	const char *what;
	size_t n;
	int tasks;
	void (*fn)(void *ctx, size_t from, size_t to);
	void *ctx;
} blocks;

static void one_block(void *ctx, int task, int thread)
{
	const blocks *b = ctx;
	size_t from = (size_t)task * E3_PARALLEL_BLOCK, left = b->n - from;
	if (e3_work_stopped(b->w))
		return;
	if (thread == 0 && b->w->progress)
		b->w->progress(b->w->ctx, b->what, task, b->tasks);
	b->fn(b->ctx, from, left < E3_PARALLEL_BLOCK ? b->n : from + E3_PARALLEL_BLOCK);
}

int e3_work_blocks(const e3_work *w, const char *what, size_t n, void (*fn)(void *ctx, size_t from, size_t to),
	void *ctx, e3_err *err)
{
	blocks b = {w, what, n, (int)((n + E3_PARALLEL_BLOCK - 1) / E3_PARALLEL_BLOCK), fn, ctx};
	e3_parallel_once(w->threads, b.tasks, one_block, &b);
	return e3_work_check(w, err);
}
