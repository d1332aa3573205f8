/* dev: the thread pool. Owns the workers; tasks are claimed from one counter, so a thread that is held up takes fewer
 * of them.
 *
 * A worker that wakes late finds the job closed and is not waited for: on a busy machine the caller never waits for a
 * thread that has not begun. Idle workers spin briefly (operations follow each other within microseconds) and then
 * sleep.
 */
#include "pool.h"
#include "e3/mem.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SPINS = 4000 };

struct e3_pool {
	int threads;
	pthread_t *worker;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_uint generation; /* counts jobs; workers wait for it to change */
	atomic_int open;        /* a job may be joined */
	atomic_int active;      /* workers inside the job */
	atomic_int next;        /* next task to claim */
	atomic_int sleepers;
	atomic_bool quit;
	int tasks;
	void (*fn)(void *, int, int);
	void *ctx;
};

typedef struct seat {
	e3_pool *pool;
	int thread;
} seat;

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	sched_yield();
#endif
}

static void work(e3_pool *p, int thread)
{
	for (int task; (task = atomic_fetch_add(&p->next, 1)) < p->tasks;)
		p->fn(p->ctx, task, thread);
}

static void wait_for_job(e3_pool *p, unsigned seen)
{
	for (int k = 0; k < SPINS; k++) {
		if (atomic_load(&p->generation) != seen || atomic_load(&p->quit))
			return;
		relax();
	}
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->sleepers, 1);
	while (atomic_load(&p->generation) == seen && !atomic_load(&p->quit))
		pthread_cond_wait(&p->wake, &p->lock);
	atomic_fetch_sub(&p->sleepers, 1);
	pthread_mutex_unlock(&p->lock);
}

static void *run_worker(void *arg)
{
	seat s = *(seat *)arg;
	free(arg);
	unsigned seen = 0;
	while (!atomic_load(&s.pool->quit)) {
		wait_for_job(s.pool, seen);
		seen = atomic_load(&s.pool->generation);
		atomic_fetch_add(&s.pool->active, 1);
		if (atomic_load(&s.pool->open))
			work(s.pool, s.thread);
		atomic_fetch_sub(&s.pool->active, 1);
	}
	return NULL;
}

e3_pool *e3_pool_open(int threads, e3_err *err)
{
	e3_pool *p = e3_alloc(1, sizeof *p, "thread pool", err);
	if (!p)
		return NULL;
	p->threads = 1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->worker = e3_alloc((size_t)threads, sizeof *p->worker, "thread pool", err);
	if (!p->worker) {
		e3_pool_close(p);
		return NULL;
	}
	for (int t = 1; t < threads; t++) {
		seat *s = malloc(sizeof *s);
		if (s)
			*s = (seat){p, t};
		if (!s || pthread_create(&p->worker[t], NULL, run_worker, s)) {
			free(s);
			e3_fail(err, "starting threads: thread %d of %d: failed", t + 1, threads);
			e3_pool_close(p);
			return NULL;
		}
		p->threads++;
	}
	return p;
}

void e3_pool_close(e3_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->quit, true);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (int t = 1; t < p->threads; t++)
		pthread_join(p->worker[t], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p->worker);
	free(p);
}

int e3_pool_threads(const e3_pool *p) { return p->threads; }

void e3_pool_run(e3_pool *p, int tasks, void (*fn)(void *, int, int), void *ctx)
{
	if (tasks == 1 || p->threads == 1) {
		for (int t = 0; t < tasks; t++)
			fn(ctx, t, 0);
		return;
	}
	p->tasks = tasks, p->fn = fn, p->ctx = ctx;
	atomic_store(&p->next, 0);
	atomic_store(&p->open, 1);
	atomic_fetch_add(&p->generation, 1);
	if (atomic_load(&p->sleepers)) {
		pthread_mutex_lock(&p->lock);
		pthread_cond_broadcast(&p->wake);
		pthread_mutex_unlock(&p->lock);
	}
	work(p, 0);
	atomic_store(&p->open, 0);
	for (int k = 0; atomic_load(&p->active); k++)
		if (k < SPINS)
			relax();
		else
			sched_yield();
}
