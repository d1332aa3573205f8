/* base: starting and joining threads, and a pool of threads that share the tasks of one loop. */
#ifndef E3_THREAD_H
#define E3_THREAD_H

#include "e3/err.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Owner: the caller. Zero-initialised: not started. */
typedef struct e3_thread {
	pthread_t id;
	bool started;
} e3_thread;

/* Runs run(arg) on a thread of its own. All signals are blocked there, so that they reach the thread that started the
 * others: its blocking calls return early on SIGINT, and a write to a closed pipe fails with EPIPE in the new thread.
 * -1: "cannot create a thread: REASON". */
int e3_thread_start(e3_thread *thread, void *(*run)(void *arg), void *arg, e3_err *err);
/* Waits until the thread has ended. Does nothing when it was not started or was joined already. */
void e3_thread_join(e3_thread *thread);
/* The same for at most `seconds`: false when the thread still runs then. */
bool e3_thread_join_within(e3_thread *thread, double seconds);

/* Processors that this process may use: 1 to `most`. */
int e3_processors(int most);

/* What idle threads of a pool do. E3_POOL_SPIN: they poll for some microseconds and then sleep; for loops that follow
 * each other closely. E3_POOL_SLEEP: they sleep at once and leave the processor to other processes. */
typedef enum e3_pool_idle { E3_POOL_SPIN, E3_POOL_SLEEP } e3_pool_idle;

typedef struct e3_pool e3_pool;

/* A pool of `threads` >= 1 threads, the caller's included. NULL when one cannot be created. */
e3_pool *e3_pool_open(int threads, e3_pool_idle idle, e3_err *err);
void e3_pool_close(e3_pool *pool); /* NULL allowed */
int e3_pool_threads(const e3_pool *pool);

/* Calls fn(ctx, task, thread) for task = 0..tasks-1, each once, on any thread of the pool (0 is the caller); returns
 * when all are done. For the same result with any number of threads, what a task computes may depend on `task` only;
 * `thread` selects scratch memory. One loop at a time. */
void e3_parallel_for(e3_pool *pool, int tasks, void (*fn)(void *ctx, int task, int thread), void *ctx);

/* Tasks that have not begun are left out once stop(ctx) is not 0; it is asked before each, from any thread. */
void e3_pool_stop_by(e3_pool *pool, bool (*stop)(void *ctx), void *ctx);
/* Were tasks left out since this was asked last? */
bool e3_pool_stopped(e3_pool *pool);

/* The same for a single long loop, on up to `threads` threads that live as long as the call. Where threads cannot be
 * created the others do their share. */
void e3_parallel_once(int threads, int tasks, void (*fn)(void *ctx, int task, int thread), void *ctx);

enum { E3_PARALLEL_BLOCK = 4096 };

/* e3_parallel_once over the blocks [0, E3_PARALLEL_BLOCK), [E3_PARALLEL_BLOCK, ...), ... of 0..n-1: fn(ctx, from, to).
 * The blocks do not depend on the number of threads, so sums kept per block do not either. */
void e3_parallel_blocks(int threads, size_t n, void (*fn)(void *ctx, size_t from, size_t to), void *ctx);

#endif
