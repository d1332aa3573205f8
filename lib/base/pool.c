/* base: the thread pool. Owns the workers. Tasks are claimed from one counter: a slow thread takes fewer tasks; a loop
 * does not wait for threads that have not started.
 */
#include "e3/mem.h"
#include "e3/thread.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 4000 };

typedef struct worker {
	e3_pool *pool;
	e3_thread thread;
	int number;
} worker;

struct e3_pool {
	int threads;    /* the caller's included */
	int spins;      /* how often an idle thread polls before it sleeps */
	worker *worker; /* [threads]; the first is the caller, and not started */
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	atomic_uint generation; /* counts loops; workers wait for it to change */
	atomic_int open;        /* the loop may be joined */
	atomic_int active;      /* workers inside the loop */
	atomic_int next;        /* next task to claim */
	atomic_int sleepers;    /* workers that wait for `wake` */
	atomic_bool caller_sleeps;
	atomic_bool quit;
	atomic_bool stopped; /* tasks were left out */
	bool (*stop)(void *);
	void *stop_ctx;
	int tasks;
	void (*fn)(void *, int, int);
	void *ctx;
};

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	sched_yield();
#endif
}

static bool asked_to_stop(e3_pool *p)
{
	if (!p->stop || !p->stop(p->stop_ctx))
		return false;
	atomic_store(&p->stopped, true);
	return true;
}

static void work(e3_pool *p, int thread)
{
	for (int task; (task = atomic_fetch_add(&p->next, 1)) < p->tasks && !asked_to_stop(p);)
		p->fn(p->ctx, task, thread);
}

static void wait_for_loop(e3_pool *p, unsigned seen)
{
	for (int k = 0; k < p->spins; k++) {
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

/* The last worker out of the loop wakes the caller if that sleeps. */
static void leave_loop(e3_pool *p)
{
	if (atomic_fetch_sub(&p->active, 1) > 1 || !atomic_load(&p->caller_sleeps))
		return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->done);
	pthread_mutex_unlock(&p->lock);
}

static void *run_worker(void *arg)
{
	worker *w = arg;
	e3_pool *p = w->pool;
	unsigned seen = 0;
	while (!atomic_load(&p->quit)) {
		wait_for_loop(p, seen);
		seen = atomic_load(&p->generation);
		atomic_fetch_add(&p->active, 1);
		if (atomic_load(&p->open))
			work(p, w->number);
		leave_loop(p);
	}
	return NULL;
}

/* A pool of as many threads as can be created, up to `threads`; *err says why it is fewer. */
static e3_pool *open_up_to(int threads, e3_pool_idle idle, e3_err *err)
{
	e3_pool *p = e3_alloc(1, sizeof *p, "thread pool", err);
	worker *workers = e3_alloc((size_t)threads, sizeof *workers, "thread pool", err);
	if (!p || !workers) {
		free(p), free(workers);
		return NULL;
	}
	p->threads = 1, p->worker = workers, p->spins = idle == E3_POOL_SPIN ? SPINS : 0;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	pthread_cond_init(&p->done, NULL);
	for (; p->threads < threads; p->threads++) {
		worker *w = &workers[p->threads];
		*w = (worker){.pool = p, .number = p->threads};
		if (e3_thread_start(&w->thread, run_worker, w, err))
			break;
	}
	return p;
}

e3_pool *e3_pool_open(int threads, e3_pool_idle idle, e3_err *err)
{
	e3_pool *p = open_up_to(threads, idle, err);
	if (!p || p->threads == threads)
		return p;
	e3_fail_in(err, "starting thread %d of %d", p->threads + 1, threads);
	e3_pool_close(p);
	return NULL;
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
		e3_thread_join(&p->worker[t].thread);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p->worker);
	free(p);
}

void e3_pool_stop_by(e3_pool *p, bool (*stop)(void *), void *ctx) { p->stop = stop, p->stop_ctx = ctx; }

bool e3_pool_stopped(e3_pool *p) { return atomic_exchange(&p->stopped, false); }

int e3_pool_threads(const e3_pool *p) { return p->threads; }

/* Until the workers that joined the loop have left it. */
static void wait_for_workers(e3_pool *p)
{
	if (p->spins) {
		for (int k = 0; atomic_load(&p->active); k++)
			if (k < p->spins)
				relax();
			else
				sched_yield();
		return;
	}
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->caller_sleeps, true);
	while (atomic_load(&p->active))
		pthread_cond_wait(&p->done, &p->lock);
	atomic_store(&p->caller_sleeps, false);
	pthread_mutex_unlock(&p->lock);
}

void e3_parallel_for(e3_pool *p, int tasks, void (*fn)(void *, int, int), void *ctx)
{
	if (tasks == 1 || p->threads == 1) {
		for (int t = 0; t < tasks && !asked_to_stop(p); t++)
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
	wait_for_workers(p);
}

void e3_parallel_once(int threads, int tasks, void (*fn)(void *ctx, int task, int thread), void *ctx)
{
	enum { MAX_THREADS = 65 };
	threads = threads < MAX_THREADS ? threads : MAX_THREADS;
	threads = threads < tasks ? threads : tasks;
	e3_pool *pool = threads > 1 ? open_up_to(threads, E3_POOL_SLEEP, NULL) : NULL;
	if (pool)
		e3_parallel_for(pool, tasks, fn, ctx);
	for (int t = 0; !pool && t < tasks; t++)
		fn(ctx, t, 0);
	e3_pool_close(pool);
}

typedef struct blocks {
	size_t n;
	void (*fn)(void *, size_t, size_t);
	void *ctx;
} blocks;

static void do_block(void *ctx, int task, int thread)
{
	const blocks *b = ctx;
	size_t from = (size_t)task * E3_PARALLEL_BLOCK, left = b->n - from;
	b->fn(b->ctx, from, from + (left < E3_PARALLEL_BLOCK ? left : E3_PARALLEL_BLOCK));
}

void e3_parallel_blocks(int threads, size_t n, void (*fn)(void *ctx, size_t from, size_t to), void *ctx)
{
	blocks b = {n, fn, ctx};
	e3_parallel_once(threads, (int)((n + E3_PARALLEL_BLOCK - 1) / E3_PARALLEL_BLOCK), do_block, &b);
}
