/* base: threads and the pool: every task runs once, whatever the number of threads; signals stay with the caller. */
#include "check.h"
#include "e3/thread.h"
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { TASKS = 1000 };

typedef struct count {
	atomic_int runs[TASKS];
	atomic_int wrong_thread;
	int threads;
} count;

static void count_task(void *ctx, int task, int thread)
{
	count *c = ctx;
	atomic_fetch_add(&c->runs[task], 1);
	if (thread < 0 || thread >= c->threads)
		atomic_fetch_add(&c->wrong_thread, 1);
}

static void check_counts(const count *c, int tasks, int each)
{
	for (int t = 0; t < TASKS; t++)
		assert_int_equal(atomic_load(&c->runs[t]), t < tasks ? each : 0);
	assert_int_equal(atomic_load(&c->wrong_thread), 0);
}

static void test_each_task_of_a_parallel_for_runs_once(void **state)
{
	for (int threads = 1; threads <= 4; threads++)
		for (int idle = E3_POOL_SPIN; idle <= E3_POOL_SLEEP; idle++) {
			e3_err err = {""};
			e3_pool *pool = e3_pool_open(threads, (e3_pool_idle)idle, &err);
			assert_non_null(pool);
			assert_int_equal(e3_pool_threads(pool), threads);
			static const int sizes[] = {0, 1, 2, 7, TASKS};
			for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
				count c = {.threads = threads};
				for (int again = 0; again < 50; again++)
					e3_parallel_for(pool, sizes[k], count_task, &c);
				check_counts(&c, sizes[k], 50);
			}
			e3_pool_close(pool);
		}
	e3_pool_close(NULL);
}

static void test_a_pool_works_again_after_its_threads_fell_asleep(void **state)
{
	for (int idle = E3_POOL_SPIN; idle <= E3_POOL_SLEEP; idle++) {
		e3_pool *pool = e3_pool_open(3, (e3_pool_idle)idle, NULL);
		assert_non_null(pool);
		for (int again = 0; again < 5; again++) {
			count c = {.threads = 3};
			usleep(5000);
			e3_parallel_for(pool, TASKS, count_task, &c);
			check_counts(&c, TASKS, 1);
		}
		e3_pool_close(pool);
	}
}

static void slow_task(void *ctx, int task, int thread)
{
	usleep(task % 2 ? 3000 : 100);
	atomic_fetch_add((atomic_int *)ctx, 1);
}

static void test_the_caller_waits_for_the_slowest_task(void **state)
{
	for (int idle = E3_POOL_SPIN; idle <= E3_POOL_SLEEP; idle++) {
		e3_pool *pool = e3_pool_open(4, (e3_pool_idle)idle, NULL);
		assert_non_null(pool);
		for (int again = 1; again <= 20; again++) {
			atomic_int done = 0;
			e3_parallel_for(pool, 6, slow_task, &done);
			assert_int_equal(atomic_load(&done), 6);
		}
		e3_pool_close(pool);
	}
}

static void test_a_single_loop_runs_each_task_once(void **state)
{
	for (int threads = 1; threads <= 5; threads++)
		for (int tasks = 0; tasks < 4; tasks++) {
			count c = {.threads = threads};
			e3_parallel_once(threads, tasks, count_task, &c);
			check_counts(&c, tasks, 1);
		}
}

typedef struct sums {
	size_t n;
	double sum[4];
} sums;

static void sum_block(void *ctx, size_t from, size_t to)
{
	sums *s = ctx;
	assert_true(from % E3_PARALLEL_BLOCK == 0 && to <= s->n && to - from <= E3_PARALLEL_BLOCK && from < to);
	for (size_t k = from; k < to; k++)
		s->sum[from / E3_PARALLEL_BLOCK] += 1 / (double)(k + 1);
}

static void test_blocks_do_not_depend_on_the_number_of_threads(void **state)
{
	static const size_t sizes[] = {0, 1, E3_PARALLEL_BLOCK, E3_PARALLEL_BLOCK + 1, 4 * E3_PARALLEL_BLOCK - 1};
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		sums one = {.n = sizes[k]};
		e3_parallel_blocks(1, one.n, sum_block, &one);
		for (int threads = 2; threads <= 70; threads += 17) {
			sums many = {.n = sizes[k]};
			e3_parallel_blocks(threads, many.n, sum_block, &many);
			assert_memory_equal(many.sum, one.sum, sizeof one.sum);
		}
	}
}

static void *note_blocked(void *arg)
{
	sigset_t now;
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	*(bool *)arg = sigismember(&now, SIGINT) && sigismember(&now, SIGTERM) && sigismember(&now, SIGPIPE);
	return NULL;
}

static void test_a_thread_has_signals_blocked_and_its_starter_does_not(void **state)
{
	e3_err err = {""};
	e3_thread thread = {0};
	bool blocked = false;
	e3_thread_join(&thread); /* not started: nothing to wait for */
	assert_true(e3_thread_join_within(&thread, 0));
	assert_int_equal(e3_thread_start(&thread, note_blocked, &blocked, &err), 0);
	assert_true(thread.started);
	e3_thread_join(&thread);
	assert_true(!thread.started && blocked);
	sigset_t now;
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	assert_false(sigismember(&now, SIGINT));
}

static void *wait_for_release(void *arg)
{
	while (!atomic_load((atomic_bool *)arg))
		usleep(200);
	return NULL;
}

static void test_joining_with_a_limit_says_when_the_thread_still_runs(void **state)
{
	e3_thread thread = {0};
	atomic_bool release = false;
	assert_int_equal(e3_thread_start(&thread, wait_for_release, &release, NULL), 0);
	assert_false(e3_thread_join_within(&thread, 0.02));
	assert_true(thread.started);
	atomic_store(&release, true);
	assert_true(e3_thread_join_within(&thread, 60));
	assert_false(thread.started);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_task_of_a_parallel_for_runs_once),
		cmocka_unit_test(test_a_pool_works_again_after_its_threads_fell_asleep),
		cmocka_unit_test(test_the_caller_waits_for_the_slowest_task),
		cmocka_unit_test(test_a_single_loop_runs_each_task_once),
		cmocka_unit_test(test_blocks_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(test_a_thread_has_signals_blocked_and_its_starter_does_not),
		cmocka_unit_test(test_joining_with_a_limit_says_when_the_thread_still_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
