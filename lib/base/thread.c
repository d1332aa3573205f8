/* base: starting and joining a thread; how many processors there are. */
#include "e3/thread.h"
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

int e3_thread_start(e3_thread *thread, void *(*run)(void *arg), void *arg, e3_err *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = pthread_create(&thread->id, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	thread->started = code == 0;
	return code ? e3_fail(err, "cannot create a thread: %s", strerror(code)) : 0;
}

void e3_thread_join(e3_thread *thread)
{
	if (thread->started)
		pthread_join(thread->id, NULL);
	thread->started = false;
}

bool e3_thread_join_within(e3_thread *thread, double seconds)
{
	struct timespec until;
	if (!thread->started)
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	double sum = (double)until.tv_nsec + 1e9 * seconds;
	until.tv_sec += (time_t)(sum / 1e9);
	until.tv_nsec = (long)(sum - 1e9 * (double)(time_t)(sum / 1e9));
	if (pthread_timedjoin_np(thread->id, NULL, &until))
		return false;
	thread->started = false;
	return true;
}

int e3_processors(int most)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set))
		return 1;
	int n = CPU_COUNT(&set);
	return n < 1 ? 1 : n < most ? n : most;
}
