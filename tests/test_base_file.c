/* base: files that appear whole: sweeping removes what killed processes left, and no file that is being written. */
#include "check.h"
#include "e3/io.h"
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
	snprintf(folder, sizeof folder, "/tmp/e3-base-file-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char command[96];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return chdir("/") || system(command) ? -1 : 0;
}

static void put(const char *name)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	fputs("half", f);
	fclose(f);
}

static bool is_there(const char *name) { return access(name, F_OK) == 0; }

static void write_whole(const char *path, bool renew)
{
	e3_err err = {""};
	e3_file file;
	if ((renew ? e3_file_renew(&file, path, &err) : e3_file_open(&file, path, &err)) ||
		e3_file_write(&file, "whole", 5, &err) || e3_file_commit(&file, &err))
		fail_msg("%s", err.text);
}

static void test_sweeping_removes_only_what_killed_processes_left(void **state)
{
	static const char *const stay[] = {"x.tmp.", "x.tmp.7a", "x.tmp", "y.tmp.7", "ax.tmp.7", "xx.tmp.7", "sub"};
	mkdir("sub", 0777), mkdir("x.tmp.5", 0777);
	put("x.tmp.1"), put("x.tmp.4194305"), put("sub/x.tmp.1"), put("sub/.tmp.1");
	for (size_t k = 0; k + 1 < sizeof stay / sizeof *stay; k++)
		put(stay[k]);
	write_whole("x", false);
	assert_true(is_there("x.tmp.1")); /* a recording that was killed may still be wanted */
	write_whole("x", true);
	assert_true(is_there("x") && !is_there("x.tmp.1") && !is_there("x.tmp.4194305"));
	for (size_t k = 0; k < sizeof stay / sizeof *stay; k++)
		assert_true(is_there(stay[k]));
	assert_true(is_there("x.tmp.5") && is_there("sub/x.tmp.1"));
	e3_file_sweep("sub/x");
	assert_true(!is_there("sub/x.tmp.1") && is_there("sub/.tmp.1"));
	e3_file_sweep("absent/x"), e3_file_sweep("-"), e3_file_sweep("/");
}

/* A process that has the file open, until it is killed. */
static pid_t writer(const char *path)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		e3_file file;
		alarm(20);
		if (e3_file_open(&file, path, NULL) == 0 && e3_file_write(&file, "part", 4, NULL) == 0 &&
			write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void test_sweeping_leaves_files_that_are_being_written(void **state)
{
	char temp[32];
	pid_t pid = writer("z");
	snprintf(temp, sizeof temp, "z.tmp.%ld", (long)pid);
	write_whole("z", true);
	assert_true(is_there(temp));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(is_there(temp));
	e3_file_sweep("z");
	assert_false(is_there(temp));
}

/* Also between creating a file and locking it, and between closing and renaming it. */
static void test_sweeping_never_takes_a_file_from_its_writer(void **state)
{
	pid_t pid = fork();
	if (pid == 0) {
		alarm(20); /* also when this test fails */
		for (;; usleep(100))
			e3_file_sweep("w");
	}
	for (int k = 0; k < 300; k++)
		write_whole("w", false);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	struct stat st;
	assert_int_equal(stat("w", &st), 0);
	assert_int_equal(st.st_size, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweeping_removes_only_what_killed_processes_left),
		cmocka_unit_test(test_sweeping_leaves_files_that_are_being_written),
		cmocka_unit_test(test_sweeping_never_takes_a_file_from_its_writer),
	};
	return cmocka_run_group_tests_name("base_file", tests, setup, teardown);
}
