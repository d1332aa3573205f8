/* scene: the threads that share the rows of a frame. They sleep between frames: a frame takes milliseconds, and whoever
 * reads the stream may need the processors more. Signals are for the thread that opened the crew. */
#include "crew.h"
#include "e3/mem.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct hand {
	scene_crew *crew;
	pthread_t thread;
	int number;
} hand;

struct scene_crew {
	hand *hand;
	int threads, working;
	unsigned job; /* counts them */
	bool quit;
	pthread_mutex_t lock;
	pthread_cond_t begin, done;
	atomic_int next;
	int tasks;
	void (*fn)(void *, int, int);
	void *ctx;
};

static void work(scene_crew *c, int thread)
{
	for (int task; (task = atomic_fetch_add(&c->next, 1)) < c->tasks;)
		c->fn(c->ctx, task, thread);
}

static void *serve(void *arg)
{
	hand *h = arg;
	scene_crew *c = h->crew;
	unsigned seen = 0;
	for (;;) {
		pthread_mutex_lock(&c->lock);
		while (c->job == seen && !c->quit)
			pthread_cond_wait(&c->begin, &c->lock);
		seen = c->job;
		bool quit = c->quit;
		pthread_mutex_unlock(&c->lock);
		if (quit)
			return NULL;
		work(c, h->number);
		pthread_mutex_lock(&c->lock);
		if (--c->working == 0)
			pthread_cond_signal(&c->done);
		pthread_mutex_unlock(&c->lock);
	}
}

static int start(scene_crew *c, int threads)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; c->threads < threads; c->threads++) {
		hand *h = &c->hand[c->threads];
		*h = (hand){.crew = c, .number = c->threads};
		if (pthread_create(&h->thread, NULL, serve, h))
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return c->threads == threads ? 0 : -1;
}

scene_crew *scene_crew_open(int threads, e3_err *err)
{
	scene_crew *c = e3_alloc(1, sizeof *c, "threads", err);
	if (!c)
		return NULL;
	c->threads = 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->begin, NULL);
	pthread_cond_init(&c->done, NULL);
	c->hand = e3_alloc((size_t)threads, sizeof *c->hand, "threads", err);
	if (c->hand && start(c, threads) == 0)
		return c;
	if (c->hand)
		e3_fail(err, "starting threads: thread %d of %d: failed", c->threads + 1, threads);
	scene_crew_close(c);
	return NULL;
}

void scene_crew_run(scene_crew *c, int tasks, void (*fn)(void *, int, int), void *ctx)
{
	c->fn = fn, c->ctx = ctx, c->tasks = tasks;
	atomic_store(&c->next, 0);
	pthread_mutex_lock(&c->lock);
	c->working = c->threads - 1, c->job++;
	pthread_cond_broadcast(&c->begin);
	pthread_mutex_unlock(&c->lock);
	work(c, 0);
	pthread_mutex_lock(&c->lock);
	while (c->working)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void scene_crew_close(scene_crew *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_broadcast(&c->begin);
	pthread_mutex_unlock(&c->lock);
	for (int t = 1; t < c->threads; t++)
		pthread_join(c->hand[t].thread, NULL);
	pthread_cond_destroy(&c->begin);
	pthread_cond_destroy(&c->done);
	pthread_mutex_destroy(&c->lock);
	free(c->hand);
	free(c);
}
