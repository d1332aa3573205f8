/* e3: runs the pipeline. Owns the processes and the pipes between them, what of their messages is shown and when, the
 * line of progress for the whole, and what is said at the end. */
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "one.h"
#include "watch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- start ---- */

/* In the child: reads from `in`, writes to `out`, says what it has to say to `said`. A stage behind e3-infer takes what
 * comes until its input ends, also after a signal: what the network has answered is in every result. */
static _Noreturn void become(const one_words *w, int in, int out, int said)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_DFL);
	if (in >= 0)
		dup2(in, STDIN_FILENO);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	execvp(w->at[0], w->at);
	char text[256];
	int n = snprintf(text, sizeof text, "<4>e3: starting %.100s: %s\n", w->at[0], strerror(errno));
	(void)!write(STDERR_FILENO, text, (size_t)n);
	_exit(127);
}

/* Starts stage k. *in: what the stage before wrote, or -1; afterwards what this one writes. */
static int start(one_process *p, const one_words *w, int k, int *in, e3_err *err)
{
	int out[2] = {-1, -1}, said[2];
	bool last = k == ONE_EXPORT, drains = k > ONE_INFER && *in >= 0;
	if (pipe2(said, O_CLOEXEC))
		return e3_fail_sys(err, "starting %s", w->at[0]);
	if (!last && pipe2(out, O_CLOEXEC)) {
		close(said[0]), close(said[1]);
		return e3_fail_sys(err, "starting %s", w->at[0]);
	}
	p->pid = fork();
	if (p->pid == 0) {
		if (drains)
			setenv("E3_DRAIN", "1", 1);
		become(w, *in, out[1], said[1]);
	}
	close(said[1]);
	if (*in >= 0)
		close(*in);
	if (out[1] >= 0)
		close(out[1]);
	*in = out[0];
	p->said = said[0];
	p->running = p->pid > 0;
	if (p->pid < 0)
		return e3_fail_sys(err, "starting %s", w->at[0]);
	(void)fcntl(p->said, F_SETFL, O_NONBLOCK);
	return 0;
}

static int start_all(one_watch *w, const one_plan *p, e3_err *err)
{
	int pair[2], in = -1, rc = 0;
	char number[16];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		return e3_fail_sys(err, "starting the pipeline");
	(void)fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	w->status = pair[0];
	snprintf(number, sizeof number, "%d", pair[1]);
	setenv("E3_STATUS", number, 1);
	setenv("E3_LEVELS", "1", 1);
	for (int k = 0; !rc && k < ONE_STAGES; k++)
		if (p->stage[k].n)
			rc = start(&w->process[k], &p->stage[k], k, &in, err);
	if (in >= 0)
		close(in);
	close(pair[1]);
	unsetenv("E3_STATUS");
	return rc;
}

/* ---- wait ---- */

static void pass_signal(const one_watch *w, int sig)
{
	for (int k = 0; k < ONE_STAGES; k++)
		if (w->process[k].running)
			kill(w->process[k].pid, sig);
}

/* Takes the status of those that have ended. */
static int reap(one_watch *w, bool wait)
{
	int left = 0;
	for (int k = 0; k < ONE_STAGES; k++) {
		one_process *p = &w->process[k];
		if (p->running && waitpid(p->pid, &p->state, wait ? 0 : WNOHANG) == p->pid)
			p->running = false;
		left += p->running;
	}
	return left;
}

static void wait_all(one_watch *w)
{
	enum { MS = 100, AGAIN = 1 };
	double told = 0;
	for (int open = 1; open > 0;) {
		struct pollfd fd[ONE_STAGES + 1];
		int n = 0, sig = e3_stop_signal();
		for (int k = 0; k < ONE_STAGES; k++)
			if (w->process[k].said > 0)
				fd[n++] = (struct pollfd){.fd = w->process[k].said, .events = POLLIN};
		open = n;
		fd[n++] = (struct pollfd){.fd = w->status, .events = POLLIN};
		(void)poll(fd, (nfds_t)n, MS);
		if (sig &&
			told == 0) /* those that share the terminal have it already: within a second it is the same request */
			pass_signal(w, sig), told = e3_now();
		one_watch_read(w);
		reap(w, false);
		one_watch_show(w);
	}
	/* Nobody writes to us any more; e3_tool_init's handler makes a second signal end us at once, as it does them. */
	while (reap(w, true) > 0)
		;
}

/* ---- end ---- */

static const struct {
	const char *name, *what;
} results[] = {
	{"scene.glb", "points and cameras: drop it on a glTF viewer's page"},
	{"mesh.glb", "the surface, lit and solid: the same, and Blender"},
	{"points.ply", "the points: MeshLab, CloudCompare"},
	{"cameras.tum", "the camera's path: time, position and rotation of every frame"},
	{"colmap", "cameras, points and pictures for COLMAP and Gaussian splatting"},
	{"sheet.png", "frames, their depth, and what the cache kept of them"},
	{"sheet.txt", "what the cache did, in words and figures"},
	{"run.e3", "the recording: e3-view RUN.e3 shows it in a browser; e3, e3-export and others read it again"},
};

static void print_size(char to[32], double bytes)
{
	snprintf(to, 32,
		bytes >= 1e9       ? "%.1f GB"
			: bytes >= 1e6 ? "%.1f MB"
						   : "%.0f kB",
		bytes /
			(bytes >= 1e9          ? 1e9
					: bytes >= 1e6 ? 1e6
								   : 1e3));
}

/* Was it made by this run? */
static bool is_new(const one_watch *w, const char *path, struct stat *st)
{
	return stat(path, st) == 0 && (double)st->st_mtim.tv_sec + 1e-9 * (double)st->st_mtim.tv_nsec >= w->began - 0.02;
}

static int tell(const one_watch *w, const one_plan *p, e3_err *err)
{
	char path[4096], size[32];
	struct stat st;
	int n = 0;
	for (size_t k = 0; k < 2 * sizeof results / sizeof *results; k++) {
		bool part = k % 2;
		const char *name = results[k / 2].name;
		snprintf(path, sizeof path, "%s/%s%s", p->dir, name, part ? ".partial" : "");
		if (!is_new(w, path, &st))
			continue;
		print_size(size, (double)st.st_size);
		n++;
		e3_text_clean(path);
		printf("%-30s %9s  %s%s\n", path, S_ISDIR(st.st_mode) ? "" : size, part ? "as far as it went: " : "",
			results[k / 2].what);
	}
	if (w->frames > 0)
		printf("%lld frame%s in %.1f s: %.2f frames/s%s%s\n", (long long)w->frames, w->frames == 1 ? "" : "s",
			w->seconds, (double)w->frames / w->seconds, w->device[0] ? ", on " : "",
			strcmp(w->device, "cpu") == 0 ? "the CPU (no GPU)" : w->device);
	return fflush(stdout) || ferror(stdout) ? e3_fail_sys(err, "writing: standard output") : 0;
}

static int make_folder(const char *dir, e3_err *err)
{
	e3_err why;
	return dir && e3_mkdirs(dir, &why) ? e3_fail(err, "%s: give another folder with -o", why.text) : 0;
}

int one_run(const one_plan *p, const one_source *s)
{
	one_watch w = {.live = s->live, .total = s->kind == ONE_PREDICTIONS ? s->frames : -1};
	e3_err err = {""};
	w.began = e3_now_utc(), w.start = e3_now();
	int rc = make_folder(p->dir, &err) || make_folder(p->pictures, &err) || start_all(&w, p, &err) ? -1 : 0;
	if (rc && w.status > 0)
		pass_signal(&w, SIGTERM);
	if (w.status > 0)
		wait_all(&w);
	w.seconds = e3_now() - w.start;
	e3_progress_end();
	int status = one_watch_verdict(&w, p);
	if (!e3_quiet && !rc && tell(&w, p, &err))
		rc = -1;
	one_watch_close(&w);
	if (status)
		e3_folders_leave(); /* where nothing was made */
	if (rc)
		return e3_tool_exit(rc, &err);
	e3_tool_exit(0, &err);
	return e3_stop_signal() ? 128 + e3_stop_signal() : status;
}
