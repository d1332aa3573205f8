/* dev: a few threads that share the tasks of one operation. */
#ifndef E3_DEV_POOL_H
#define E3_DEV_POOL_H

#include "e3/err.h"

typedef struct e3_pool e3_pool;

e3_pool *e3_pool_open(int threads, e3_err *err);
void e3_pool_close(e3_pool *pool);
int e3_pool_threads(const e3_pool *pool);

/* Calls fn(ctx, task, thread) for task = 0..tasks-1, each once, on any thread; returns when all are done. Results may
 * not depend on which thread ran a task. */
void e3_pool_run(e3_pool *pool, int tasks, void (*fn)(void *ctx, int task, int thread), void *ctx);

#endif
