/* eval: one loop shared by a few threads: minutes of work in few calls, so threads live as long as the loop. Where one
 * cannot be had the others do its share. */
#include "eval/each.h"
#include <pthread.h>
#include <stdatomic.h>

enum { MOST = 64 };

typedef struct loop {
	atomic_size_t next;
	size_t n;
	void (*fn)(void *ctx, size_t from, size_t to);
	void *ctx;
} loop;

static void *work(void *arg)
{
	loop *l = arg;
	for (size_t from; (from = atomic_fetch_add(&l->next, E3_EACH_BLOCK)) < l->n;)
		l->fn(l->ctx, from, l->n - from < E3_EACH_BLOCK ? l->n : from + E3_EACH_BLOCK);
	return NULL;
}

void e3_each(int threads, size_t n, void (*fn)(void *ctx, size_t from, size_t to), void *ctx)
{
	loop l = {.n = n, .fn = fn, .ctx = ctx};
	pthread_t helper[MOST];
	int helpers = 0;
	size_t blocks = (n + E3_EACH_BLOCK - 1) / E3_EACH_BLOCK;
	while (helpers < MOST && helpers + 1 < threads && (size_t)helpers + 1 < blocks &&
		!pthread_create(&helper[helpers], NULL, work, &l))
		helpers++;
	work(&l);
	for (int k = 0; k < helpers; k++)
		pthread_join(helper[k], NULL);
}
