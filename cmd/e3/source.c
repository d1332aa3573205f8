/* e3: what the input is: pictures of any sort, recorded frames or recorded predictions; how many frames it has. */
#include "e3/stream.h"
#include "e3/tool.h"
#include "e3/what.h"
#include "one.h"
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* Frames or predictions; and whether those begin with the first frame that e3-infer saw. */
static int look_at_stream(const char *path, one_source *s, e3_err *err)
{
	e3_msg msg;
	e3_head head = {0};
	const e3_stream_options o = E3_STREAM_DEFAULTS;
	e3_in *in = e3_in_open(path, &o, err);
	int rc = !in || e3_in_next(in, &msg, err) <= 0 || e3_head_decode(&msg, &head, err) ? -1 : 0;
	s->kind = !rc && head.model ? ONE_PREDICTIONS : ONE_FRAMES;
	s->frames = rc ? -1 : head.frames;
	for (int more = 1; !rc && s->kind == ONE_PREDICTIONS && more > 0 && msg.kind != E3_PRED;)
		more = e3_in_next(in, &msg, NULL);
	s->whole = !rc && s->kind == ONE_PREDICTIONS && msg.kind == E3_PRED && e3_msg_index(&msg) == 0 && head.seen == 0;
	e3_head_release(&head);
	e3_in_close(in);
	return rc;
}

/* The words of e3-decode that say which frames there are; without those that write. */
static int decode_words(const one_request *r, bool all, one_words *to, e3_err *err)
{
	char *path = one_tool_path("e3-decode", err);
	int rc = path ? one_words_add(to, path, err) : -1;
	free(path);
	if (!rc && all)
		rc = one_words_add(to, "--all", err);
	for (int k = 0; !rc && k < r->more[ONE_DECODE].n; k++)
		if (strcmp(r->more[ONE_DECODE].at[k], "--images") == 0)
			k++;
		else
			rc = one_words_add(to, r->more[ONE_DECODE].at[k], err);
	if (!rc)
		rc = one_words_add(to, "--", err);
	for (int k = 0; !rc && k < r->operands; k++)
		rc = one_words_add(to, r->operand[k], err);
	return rc;
}

/* What the program said last that failed, without its level (E3_LEVELS). */
static void take_reason(FILE *from, e3_err *err)
{
	char line[1200];
	rewind(from);
	while (fgets(line, sizeof line, from)) {
		line[strcspn(line, "\n")] = 0;
		if (begins(line, "<4>"))
			e3_fail(err, "%s", line + 3);
	}
}

/* Asks e3-decode for the head of the stream that it would write: how many frames that has, if it knows. */
static int count(const one_request *r, bool all, one_source *s, int *status, e3_err *err)
{
	one_words words = {0};
	int fd[2], state = 0, rc = -1;
	char name[32];
	e3_head head = {0};
	e3_msg msg;
	int memory = memfd_create("said", MFD_CLOEXEC); /* there may be no folder for a file */
	FILE *said = memory < 0 ? NULL : fdopen(memory, "w+");
	if (!said || pipe(fd)) {
		e3_fail_sys(err, "starting e3-decode");
		if (!said && memory >= 0)
			close(memory);
		if (said)
			fclose(said);
		return -1;
	}
	pid_t pid = decode_words(r, all, &words, err) ? -1 : fork();
	if (pid == 0) {
		dup2(fd[1], STDOUT_FILENO), dup2(fileno(said), STDERR_FILENO);
		setenv("E3_LEVELS", "1", 1);
		execvp(words.at[0], words.at);
		_exit(127);
	}
	close(fd[1]);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd[0]);
	e3_in *in = pid > 0 ? e3_in_open(name, &(e3_stream_options){.timeout = -1, .stop = e3_stop_signal}, NULL) : NULL;
	if (in && e3_in_next(in, &msg, NULL) > 0 && e3_head_decode(&msg, &head, NULL) == 0)
		s->frames = head.frames, rc = 0;
	e3_head_release(&head);
	e3_in_close(in);
	close(fd[0]); /* that ends it */
	if (pid > 0) {
		if (rc == 0 || e3_stop_signal())
			kill(pid, SIGPIPE);
		while (waitpid(pid, &state, 0) < 0 && errno == EINTR)
			;
		*status = WIFEXITED(state) && WEXITSTATUS(state) ? WEXITSTATUS(state) : 1;
	}
	if (rc && pid > 0) {
		err->text[0] = 0;
		take_reason(said, err);
		if (!err->text[0])
			e3_fail(err, "e3-decode: ended with status %d", *status);
	}
	fclose(said);
	one_words_release(&words);
	return rc;
}

/* Sources without an end, or whose end is not known: cameras, network streams, FFmpeg's own pictures, pipes. */
static bool is_live(const char *name, bool there, const struct stat *st)
{
	return strcmp(name, "-") == 0 || (there && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) ||
		begins(name, "v4l2:") || begins(name, "lavfi:") || (!there && strstr(name, "://") && !begins(name, "file:"));
}

/* Names that e3-decode takes apart itself. */
static bool is_pattern(const char *name)
{
	return strpbrk(name, "%*?[") || begins(name, "concat:") || begins(name, "file:");
}

static bool is_result(const char *folder)
{
	char run[4096];
	snprintf(run, sizeof run, "%s/run.e3", folder);
	return access(run, F_OK) == 0;
}

int one_source_look(const one_request *r, one_source *s, int *status, e3_err *err)
{
	const char *name = r->operands ? r->operand[0] : NULL;
	struct stat st;
	bool there = name && stat(name, &st) == 0;
	*s = (one_source){.frames = -1};
	*status = 1;
	if (name && begins(name, "zmq:")) {
		s->kind = ONE_FRAMES, s->live = true;
		return 0;
	}
	if (name && is_live(name, there, &st)) {
		s->live = true;
		return strcmp(name, "-") == 0 && e3_what_file("-").kind == E3_WHAT_STREAM ? look_at_stream("/dev/stdin", s, err)
																				  : 0;
	}
	if (name && !there && !is_pattern(name)) {
		errno = ENOENT;
		return e3_fail_sys(err, "opening: %s", name);
	}
	if (there && r->operands == 1 && e3_what_file(name).kind == E3_WHAT_STREAM)
		return look_at_stream(name, s, err);
	s->folder = there && S_ISDIR(st.st_mode);
	if (s->folder && is_result(name))
		return e3_fail(err, "reading: %s: these are results of e3: e3 %s/run.e3 makes them again", name, name);
	s->video = there && !s->folder && e3_what_file(name).kind == E3_WHAT_VIDEO;
	bool chosen = one_given(r, ONE_DECODE, "every,step,all,dataset,fps,max-frames,start,end,sharpest,sampling");
	return count(r, s->video && !chosen, s, status, err);
}
