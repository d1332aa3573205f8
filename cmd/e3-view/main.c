/* e3-view: a stream, or recordings, as a page in a browser. */
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "e3/view_queue.h"
#include "view.h"
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* What the library's texts call a setting, and what sets it. */
static const e3_err_name names[] = {{"'token'", "--token"}, {"'tls_cert'", "--tls-cert"}, {"'tls_key'", "--tls-key"},
	{NULL, NULL}};

typedef struct session {
	options *o;
	e3_view_store *view;
	e3_view_server *server;
	e3_view_queue *queue;
	bool said; /* the error was printed already */
} session;

static void fed(void *context)
{
	session *x = context;
	if (x->server)
		e3_view_server_wake(x->server);
}

/* Somebody else's program: whether it works is its affair. */
static void open_browser(const char *url)
{
	char *argv[] = {(char *)(uintptr_t) "xdg-open", (char *)(uintptr_t)url, NULL};
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDIN_FILENO, "/dev/null", 0, 0);
	posix_spawn_file_actions_adddup2(&quiet, STDERR_FILENO, STDOUT_FILENO);
	if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ))
		e3_warn("opening the browser: xdg-open: not found: open %s yourself", url);
	posix_spawn_file_actions_destroy(&quiet);
}

static int open_server(session *x, e3_err *err)
{
	x->server = e3_view_server_open(&x->o->server, x->view, err);
	if (!x->server) {
		e3_err_rename(err, names);
		return -1;
	}
	e3_note("the page: %s", e3_view_server_url(x->server));
	if (x->o->open)
		open_browser(e3_view_server_url(x->server));
	return 0;
}

/* What the page cannot take is said, and the stream goes on. */
static void put(session *x, const e3_msg *msg)
{
	e3_err err = {""};
	if (e3_view_queue_put(x->queue, msg, &err))
		e3_warn("showing: %s", err.text);
}

/* The page never holds up the pipeline: what is passed on goes first. */
static int read_stream(session *x, e3_err *err)
{
	e3_stage *stage = &x->o->stage;
	e3_err why = {""};
	e3_msg msg;
	int more, rc = 0;
	x->queue = e3_view_queue_open(x->view, 0, 0, fed, x, err);
	if (!x->queue)
		return e3_stage_finish(stage, -1, err);
	while (!rc && (more = e3_stage_next(stage, &msg, err)) > 0) {
		rc = e3_stage_pass(stage, &msg, err);
		put(x, &msg);
		e3_stage_progress(stage, stage->preds, stage->head.frames, "%s", "");
	}
	rc = e3_stage_finish(stage, rc || more < 0 ? -1 : 0, err);
	if (e3_view_queue_finish(x->queue, rc ? err->text : NULL, &why))
		e3_warn("showing: %s", why.text);
	return rc;
}

static int open_recordings(session *x, e3_err *err)
{
	for (int k = 0; k < x->o->runs; k++) {
		e3_stage one = E3_STAGE_INIT;
		one.input = x->o->run[k];
		one.needs = E3_STAGE_PREDICTIONS;
		if (e3_stage_peek(&one, err) || e3_view_recording(x->view, k, x->o->run[k], err))
			return -1;
	}
	return 0;
}

static void nap(int ms) { poll(NULL, 0, ms); }

/* The clients get what they lack, unless they take long. */
static void drain(session *x)
{
	double until = e3_now() + 2;
	bool behind = true;
	for (int quiet = 0; quiet < 3 && !e3_stop_signal() && e3_now() < until; quiet = behind ? 0 : quiet + 1) {
		e3_view_server_wake(x->server);
		nap(30);
		if (!e3_view_server_clients(x->server, &behind))
			return;
	}
}

static void stay(session *x, int rc, const e3_err *err)
{
	if (rc) {
		e3_progress_end();
		e3_warn("%s", err->text);
		x->said = true;
	}
	while (!e3_stop_signal())
		nap(200);
}

static void tell_latency(const session *x)
{
	double p50, p99;
	int64_t n = e3_view_server_latency(x->server, &p50, &p99);
	if (n)
		e3_detail("from capture to a screen: %" PRId64 " frames, median %.3f s, 99 %% within %.3f s", n, p50, p99);
}

static int serve(session *x, e3_err *err)
{
	options *o = x->o;
	bool person = isatty(STDERR_FILENO) && !o->pass;
	/* of a recording that cannot be read there is no page */
	if ((o->runs && open_recordings(x, err)) || (o->pass && e3_stage_open_output(&o->stage, err)) ||
		open_server(x, err) || (!o->runs && e3_stage_open_input(&o->stage, err)))
		return e3_stage_finish(&o->stage, -1, err);
	int rc = o->runs ? 0 : read_stream(x, err);
	if ((o->stay || person || o->runs) && !e3_stop_signal())
		stay(x, rc, err);
	drain(x);
	tell_latency(x);
	return rc;
}

/* One run into the store; after a signal the frames so far. */
static int read_run(session *x, int run, e3_stage *stage, e3_err *err)
{
	e3_msg msg;
	int more, rc = e3_stage_open_input(stage, err);
	while (!rc && (more = e3_stage_next(stage, &msg, err)) > 0) {
		rc = e3_view_feed(x->view, run, &msg, err);
		e3_stage_progress(stage, stage->preds, stage->head.frames, "%s", "");
	}
	rc = rc || more < 0 ? -1 : 0;
	if (!rc && stage->preds == 0)
		rc = stage->interrupted ? e3_fail(err, "interrupted before the first frame")
								: (e3_fail(err, "reading: %s: the stream has no frames: nothing to show", stage->input),
									  e3_head_explain_empty(&stage->head, err));
	if (rc)
		e3_stage_explain(err);
	e3_view_ended(x->view, run, rc ? err->text : NULL);
	return rc;
}

/* A file can be read again, a stream cannot: what came of it is written, and so is what came until a signal. */
static int (*gives_up(const options *o))(void) { return o->runs > 0 && !e3_stop_signal() ? e3_stop_signal : NULL; }

/* The input failed: the page of what came is kept beside the file that was asked for. */
static void keep_html(session *x, e3_file *file, int64_t frames)
{
	e3_err why;
	char *name = NULL;
	int rc = frames < 1 || e3_stop_signal() ? -1 : 0;
	if (!rc &&
		(e3_view_html(x->view, file, gives_up(x->o), &why) ||
			(file->temp ? e3_file_keep(file, &name, &why) : e3_file_commit(file, &why))))
		e3_warn("%s", why.text);
	else if (!rc && name)
		e3_warn("writing: %s: cut short: the %" PRId64 " %s that came %s kept in %s", x->o->html, frames,
			frames == 1 ? "frame" : "frames", frames == 1 ? "is" : "are", name);
	free(name);
}

static int write_html(session *x, e3_err *err)
{
	options *o = x->o;
	e3_file file = {0};
	if (e3_file_open(&file, o->html, err))
		return -1;
	int rc = read_run(x, 0, &o->stage, err);
	int64_t frames = o->stage.preds;
	if (!rc && o->runs > 1) {
		e3_stage second = E3_STAGE_INIT;
		second.input = o->run[1];
		second.needs = E3_STAGE_PREDICTIONS;
		rc = read_run(x, 1, &second, err);
		frames += second.preds;
		e3_stage_close(&second);
	}
	if (rc)
		keep_html(x, &file, frames);
	else
		rc = e3_view_html(x->view, &file, gives_up(o), err) || e3_file_commit(&file, err) ? -1 : 0;
	e3_file_discard(&file);
	return rc;
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	e3_tool_init("e3-view");
	session x = {.o = options_parse(argc, argv)};
	x.view = e3_view_open(&x.o->view, &err);
	int rc = !x.view ? -1 : x.o->html ? write_html(&x, &err) : serve(&x, &err);
	e3_view_server_close(x.server, e3_stop_signal() ? "the server was stopped" : "the stream has ended");
	e3_view_queue_close(x.queue);
	e3_view_close(x.view);
	e3_stage_close(&x.o->stage);
	int status = e3_tool_exit(x.said ? 0 : rc, &err);
	return x.said ? 1 : status;
}
