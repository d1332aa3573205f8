/* base: files that appear whole: sweeping removes what killed processes left, and no file that is being written; links
 * stay links; locks are waited for; what is kept of a file that is not whole. */
#include "check.h"
#include "e3/io.h"
#include "e3/tool.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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
		alarm(600);
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
		alarm(600); /* also when this test fails */
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

static void is_text(const char *name, const char *text)
{
	char got[160] = "";
	FILE *f = fopen(name, "r");
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof got, f));
	fclose(f);
	assert_string_equal(got, text);
}

static bool is_link(const char *name)
{
	struct stat st;
	return lstat(name, &st) == 0 && S_ISLNK(st.st_mode);
}

static void test_links_stay_and_lead_to_the_file(void **state)
{
	e3_err err;
	e3_file file;
	mkdir("far", 0777), mkdir("near", 0777);
	put("far/old");
	assert_int_equal(symlink("../far/old", "near/one") | symlink("near/one", "two") | symlink("far/new", "dangling") |
			symlink("far/absent/x", "lost") | symlink("circle", "circle"),
		0);
	write_whole("two", true);
	assert_true(is_link("two") && is_link("near/one"));
	is_text("far/old", "whole");
	write_whole("dangling", false);
	assert_true(is_link("dangling"));
	is_text("far/new", "whole");
	write_whole("lost", false); /* the folder that is missing is made */
	assert_true(is_link("lost"));
	is_text("far/absent/x", "whole");
	assert_int_equal(e3_file_open(&file, "circle", &err), -1);
	assert_string_equal(err.text, "opening: circle: Too many levels of symbolic links");
	assert_int_equal(e3_file_open(&file, "far", &err), -1);
	assert_string_equal(err.text, "opening: far: Is a directory");
}

static void test_more_than_the_disk_has_is_refused_before_it_is_written(void **state)
{
	e3_err err;
	e3_file file;
	struct stat st;
	assert_int_equal(e3_file_open(&file, "large", NULL) | e3_file_reserve(&file, 100000, NULL), 0);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(e3_file_reserve(&file, (uint64_t)1 << 61, &err), -1);
	assert_non_null(strstr(err.text, "writing: large: 2305843009213.7 MB: "));
	e3_file_discard(&file);
	assert_int_equal(e3_file_open(&file, "/dev/null", NULL) | e3_file_reserve(&file, (uint64_t)1 << 61, NULL), 0);
	e3_file_discard(&file);
}

static void test_a_file_that_is_replaced_keeps_its_permissions(void **state)
{
	struct stat st;
	e3_err err;
	e3_file file;
	put("private");
	assert_int_equal(chmod("private", 0600) | symlink("private", "way"), 0);
	write_whole("way", true);
	is_text("private", "whole");
	assert_true(stat("private", &st) == 0 && (st.st_mode & 0777) == 0600);
	/* One that may not be written is not replaced either. Root may write everything. */
	put("given");
	assert_int_equal(chmod("given", 0444) | chmod(".", 0777), 0);
	bool root = geteuid() == 0;
	assert_true(!root || seteuid(65534) == 0);
	int rc = e3_file_open(&file, "given", &err);
	assert_true(!root || seteuid(0) == 0);
	assert_int_equal(rc, -1);
	assert_string_equal(err.text, "opening: given: Permission denied");
	e3_file_discard(&file);
}

static void test_a_part_is_kept_beside_the_file_that_a_link_leads_to(void **state)
{
	e3_err err;
	e3_file file;
	char *name = NULL;
	mkdir("at", 0777);
	put("at/target"), put("at/target.partial");
	assert_int_equal(symlink("at/target", "link"), 0);
	assert_int_equal(e3_file_open(&file, "link", &err) || e3_file_write(&file, "part", 4, &err) ||
			e3_file_keep(&file, &name, &err),
		0);
	assert_string_equal(name, "at/target.partial");
	is_text(name, "part");
	is_text("at/target", "half");
	free(name);
	/* Where it cannot have that name it stays under the one that it has. */
	unlink("at/target.partial"), mkdir("at/target.partial", 0777);
	assert_int_equal(e3_file_open(&file, "link", &err) || e3_file_write(&file, "part", 4, &err) ||
			e3_file_keep(&file, &name, &err),
		0);
	assert_non_null(strstr(name, "at/target.tmp."));
	is_text(name, "part");
	free(name);
}

static void test_a_part_that_is_being_read_is_not_replaced(void **state)
{
	e3_err err;
	e3_file file;
	char *name;
	put("r.partial");
	int fd = open("r.partial", O_RDONLY);
	assert_int_equal(e3_file_open(&file, "r", &err) || e3_file_write(&file, "part", 4, &err), 0);
	e3_file_worth(&file);
	assert_int_equal(e3_file_keep(&file, &name, &err), 0);
	is_text("r.partial", "half");
	assert_non_null(strstr(name, "r.tmp."));
	is_text(name, "part");
	unlink(name), free(name);
	close(fd);
}

/* The name was taken by a folder meanwhile. */
static void test_a_rename_that_fails_keeps_what_is_worth_it(void **state)
{
	e3_err err;
	e3_file file;
	for (int worth = 0; worth < 2; worth++) {
		assert_int_equal(e3_file_open(&file, "taken", &err) || e3_file_write(&file, "part", 4, &err), 0);
		if (worth)
			e3_file_worth(&file);
		mkdir("taken", 0777);
		assert_int_equal(e3_file_commit(&file, &err), -1);
		assert_non_null(strstr(err.text, "renaming to: taken: Is a directory"));
		assert_int_equal(is_there("taken.partial"), worth);
		rmdir("taken");
	}
	is_text("taken.partial", "part");
}

static void test_a_process_that_is_ended_keeps_what_is_worth_it(void **state)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		e3_file a, b;
		if (e3_file_open(&a, "a", NULL) || e3_file_open(&b, "b", NULL) || write(a.fd, "part", 4) != 4 ||
			write(b.fd, "part", 4) != 4)
			_exit(1);
		e3_file_worth(&a);
		e3_file_leave_unfinished();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	is_text("a.partial", "part");
	assert_false(is_there("a") || is_there("b") || is_there("b.partial"));
	assert_int_equal(system("ls *.tmp.* 2>/dev/null | grep -q '^[ab][.]'") != 0, 1);
}

/* A model that is copied over while it is read. The message is one of e3_tool_init's process. */
static void test_a_mapped_file_that_is_cut_is_a_failure_with_a_message(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* they have handlers of their own */
#endif
	int status;
	put("model");
	pid_t pid = fork();
	if (pid == 0) {
		e3_map map;
		e3_file out;
		if (!freopen("said", "w", stderr))
			_exit(3);
		e3_tool_init("e3-test");
		if (e3_map_open(&map, "model", NULL) || e3_file_open(&out, "made", NULL) || truncate("model", 0))
			_exit(3);
		_exit(*(const volatile uint8_t *)map.data ? 3 : 4);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	is_text("said",
		"e3-test: ended: a file that is being read, such as the model, was replaced or cut, or its disk failed\n");
	assert_int_equal(system("ls | grep -q made"), 256);
}

static char told[256];

static void listen(e3_tell_level level, const char *text) { snprintf(told, sizeof told, "%s", text); }

/* Asked to stop once it has said what it waits for. */
static int stop(void) { return told[0] != 0; }

static void test_waiting_for_a_lock_is_said_and_ends(void **state)
{
	char temp[32];
	e3_err err;
	e3_file file, again;
	assert_int_equal(e3_file_open(&file, "own", &err), 0);
	assert_int_equal(e3_file_open(&again, "./own", &err), -1);
	assert_string_equal(err.text, "opening: ./own: this run is writing it already");
	assert_int_equal(e3_file_write(&file, "whole", 5, &err) || e3_file_commit(&file, &err), 0);
	is_text("own", "whole");

	snprintf(temp, sizeof temp, "other.tmp.%ld", (long)getpid());
	int fd = open(temp, O_RDWR | O_CREAT, 0666);
	assert_int_equal(write(fd, "theirs", 6), 6);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(e3_file_open_within(&file, "other", 0.05, &err), -1);
	assert_string_equal(err.text, "opening: other: another process is writing it ('timeout')");
	e3_tell_to(listen);
	e3_file_stop_by(stop);
	assert_int_equal(e3_file_open(&file, "other", &err), -1);
	e3_tell_to(NULL);
	e3_file_stop_by(NULL);
	assert_string_equal(told, "waiting for: other: another process is writing it");
	assert_string_equal(err.text, "opening: other: interrupted while another process writes it");
	is_text(temp, "theirs");
	close(fd);
	write_whole("other", false);
	is_text("other", "whole");
}

static void *open_and_discard(void *name)
{
	for (int k = 0; k < 400; k++) {
		e3_file file = {0};
		e3_err err = {""};
		if (e3_file_open(&file, name, &err))
			return strdup(err.text);
		e3_file_discard(&file);
	}
	return NULL;
}

/* The inode of a file that is removed goes to the next one that is made. */
static void test_discarded_beside_opened(void **state)
{
	static const char *const path[] = {"beside0", "beside1", "beside2", "beside3"};
	pthread_t thread[4];
	for (int k = 0; k < 4; k++)
		assert_int_equal(pthread_create(&thread[k], NULL, open_and_discard, (void *)(uintptr_t)path[k]), 0);
	for (int k = 0; k < 4; k++) {
		void *why;
		pthread_join(thread[k], &why);
		if (why)
			fail_msg("%s", (char *)why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweeping_removes_only_what_killed_processes_left),
		cmocka_unit_test(test_sweeping_leaves_files_that_are_being_written),
		cmocka_unit_test(test_sweeping_never_takes_a_file_from_its_writer),
		cmocka_unit_test(test_links_stay_and_lead_to_the_file),
		cmocka_unit_test(test_more_than_the_disk_has_is_refused_before_it_is_written),
		cmocka_unit_test(test_a_file_that_is_replaced_keeps_its_permissions),
		cmocka_unit_test(test_a_part_is_kept_beside_the_file_that_a_link_leads_to),
		cmocka_unit_test(test_a_part_that_is_being_read_is_not_replaced),
		cmocka_unit_test(test_a_rename_that_fails_keeps_what_is_worth_it),
		cmocka_unit_test(test_a_process_that_is_ended_keeps_what_is_worth_it),
		cmocka_unit_test(test_a_mapped_file_that_is_cut_is_a_failure_with_a_message),
		cmocka_unit_test(test_waiting_for_a_lock_is_said_and_ends),
		cmocka_unit_test(test_discarded_beside_opened),
	};
	return cmocka_run_group_tests_name("base_file", tests, setup, teardown);
}
