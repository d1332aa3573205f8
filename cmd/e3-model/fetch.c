/* e3-model: fetch: weights from their authors' repositories. Owns what can be fetched, its licence, and how a download
 * goes on after a failure. */
#include "fetch.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "e3/opt.h"
#include "model.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const char hub_default[] = "https://huggingface.co";

typedef struct fetch_model {
	const char *name, *repository, *file, *what, *licence, *meaning;
	const char *sum; /* how the SHA-256 of the file began that e3 was written for; NULL: not known */
} fetch_model;

#define LINGBOT_LICENCE "not settled: its page names none; the code is under Apache-2.0"
#define LINGBOT_MEANING \
	"whether that holds for the weights is asked in https://github.com/Robbyant/lingbot-map/issues/107; look there and " \
	"at https://huggingface.co/robbyant/lingbot-map before you use them for more than a trial"

static const fetch_model models[] = {
	{"streamvggt", "lch01/StreamVGGT", "checkpoints.pth", "the network that e3-infer runs",
		"Creative Commons BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/)",
		"non-commercial use only; name the authors; what you derive from it has the same licence", NULL},
	{"lingbot-map", "robbyant/lingbot-map", "lingbot-map.pt", "LingBot-Map, another network that e3-infer runs",
		LINGBOT_LICENCE, LINGBOT_MEANING, "ee665103348e"},
	{"lingbot-map-long", "robbyant/lingbot-map", "lingbot-map-long.pt", "LingBot-Map, trained for long streams",
		LINGBOT_LICENCE, LINGBOT_MEANING, "832bc82c"},
	{"skyseg", "JianyuanWang/skyseg", "skyseg.onnx", "the U2-Net for sky that e3-mask runs",
		"MIT (https://opensource.org/license/mit)", "free use; keep the notice", NULL},
};
enum { MODELS = sizeof models / sizeof *models };

static const fetch_model *find(const char *name)
{
	char names[128] = "";
	for (size_t k = 0, n = 0; k < MODELS; k++) {
		if (strcmp(models[k].name, name) == 0)
			return &models[k];
		n += (size_t)snprintf(names + n, sizeof names - n, "%s%s",
			k == 0               ? ""
				: k + 1 < MODELS ? ", "
								 : " or ",
			models[k].name);
	}
	e3_usage_error("fetch: expected %s, got '%s'", names, name);
}

/* --- the licence --- */

/* A line from the terminal; a signal ends the wait. */
static bool read_yes(void)
{
	char answer[16] = "";
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	while (poll(&in, 1, -1) < 0)
		if (errno != EINTR || e3_stop_signal())
			return false;
	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int accept_licence(const fetch_model *m, const em_options *o, e3_err *err)
{
	if (e3_yes) {
		e3_note("%s: %s, from %s", m->name, m->what, m->repository);
		e3_note("licence: %s: %s", m->licence, m->meaning);
		return 0;
	}
	bool person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
	if (!person) /* nor is there one for a job in the background */
		e3_usage_error("fetch %s: its licence is %s: %s: accept it with --yes, or at a terminal", m->name, m->licence,
			m->meaning);
	fprintf(stderr, "%s: %s, from %s\nlicence: %s\n  %s\nAccept this licence? [y/N] ", m->name, m->what, m->repository,
		m->licence, m->meaning);
	return read_yes() ? 0 : e3_fail(err, "fetching %s: the licence was not accepted", m->name);
}

/* --- the transfer --- */

typedef struct amount {
	char text[32];
} amount;

static amount amount_of(int64_t bytes)
{
	amount a;
	snprintf(a.text, sizeof a.text, bytes < 1000000000 ? "%.1f MB" : "%.2f GB",
		(double)bytes * (bytes < 1000000000 ? 1e-6 : 1e-9));
	return a;
}

typedef struct transfer {
	fetch_part part;
	fetch_facts facts;
	const fetch_model *model;
	double started; /* of this process */
	int64_t came;
	bool told; /* whether it is the file that is known */
} transfer;

static void show(const transfer *t)
{
	if (!e3_progress_due())
		return;
	double seconds = e3_now() - t->started, rate = (double)t->came / (seconds + 1e-9);
	char left[32] = "";
	if (seconds >= 2 && t->came)
		snprintf(left, sizeof left, ", %.0f s left", ceil((double)(t->facts.size - t->part.have) / rate));
	e3_progress("%s: %s of %s, %.1f MB/s%s", t->model->file, amount_of(t->part.have).text,
		amount_of(t->facts.size).text, 1e-6 * rate, left);
}

static int sink_begin(void *to, int64_t first, int64_t total, const char *tag, e3_err *err)
{
	transfer *t = to;
	if (total >= 0 && total != t->facts.size)
		return e3_fail(err, "fetching: the server sends a file of %" PRId64 " bytes, expected %" PRId64, total,
			t->facts.size);
	if (first != 0 && first != t->part.have)
		return e3_fail(err, "fetching: the server sends another part than was asked for");
	if (first == 0 && t->part.have) {
		e3_note("%s: the server sends the file from its beginning", t->part.partial);
		if (fetch_part_restart(&t->part, err))
			return -1;
	}
	return fetch_part_tag(&t->part, tag, err);
}

static int sink_add(void *to, const void *bytes, size_t n, e3_err *err)
{
	transfer *t = to;
	if (t->part.have + (int64_t)n > t->facts.size)
		return e3_fail(err, "fetching: the server sends more than %" PRId64 " bytes", t->facts.size);
	if (fetch_part_add(&t->part, bytes, n, err))
		return -1;
	t->came += (int64_t)n;
	show(t);
	return 0;
}

static int check_room(const transfer *t, e3_err *err)
{
	struct statvfs fs;
	int64_t needs = t->facts.size - t->part.have;
	if (statvfs(t->part.partial, &fs))
		return 0;
	int64_t room = (int64_t)((double)fs.f_bavail * (double)fs.f_frsize);
	if (room >= needs)
		return 0;
	return e3_fail(err, "fetching: %s: %s more are needed, %s are free there", t->part.path, amount_of(needs).text,
		amount_of(room).text);
}

/* Asks the hub, then takes what is missing. */
static fetch_end attempt(transfer *t, fetch_http *h, const char *url, e3_err *err)
{
	fetch_end end = fetch_ask(h, url, &t->facts, err);
	if (end != FETCH_OK)
		return end;
	if (fetch_part_expect(&t->part, &t->facts, e3_stop_signal, err) || check_room(t, err))
		return FETCH_NEVER;
	const char *sum = t->model->sum;
	if (sum && !t->told && strncmp(t->facts.sha256, sum, strlen(sum)) != 0)
		e3_note(
			"%s: the hub has another file than this version of e3 knows: its SHA-256 begins with %.12s, expected %s; "
			"e3-model check says whether it is the same network",
			t->model->file, t->facts.sha256, sum);
	t->told = true;
	if (!t->came && t->part.have)
		e3_note("%s: %s of %s are there: going on", t->part.partial, amount_of(t->part.have).text,
			amount_of(t->facts.size).text);
	if (t->part.have == t->facts.size)
		return FETCH_OK;
	end = fetch_get(h, &t->facts, t->part.have, t->part.tag, &(fetch_sink){sink_begin, sink_add, t}, err);
	if (end == FETCH_OK && t->part.have < t->facts.size) {
		e3_fail(err, "fetching: the server stopped after %" PRId64 " of %" PRId64 " bytes", t->part.have,
			t->facts.size);
		return FETCH_AGAIN;
	}
	return end;
}

static void pause_for(double seconds)
{
	for (double until = e3_now() + seconds; e3_now() < until && !e3_stop_signal();)
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
}

/* Goes on as long as something comes; a server that cannot be reached at all is a failure at once. */
static int transfer_all(transfer *t, fetch_http *h, const char *url, int64_t retries, e3_err *err)
{
	t->started = e3_now();
	for (int64_t tried = 0;;) {
		int64_t before = t->came;
		fetch_end end = attempt(t, h, url, err);
		if (end == FETCH_OK)
			return fetch_part_finish(&t->part, &t->facts, err);
		tried = t->came > before ? 1 : tried + 1;
		if (end == FETCH_NEVER || e3_stop_signal() || !t->facts.size || tried > retries)
			return -1;
		double wait = fmin(30, ldexp(0.5, (int)fmin(6, (double)tried - 1)));
		e3_note("%s; going on in %g s", err->text, wait);
		pause_for(wait);
	}
}

static void tell_rest(const transfer *t)
{
	if (t->part.have && t->facts.size && access(t->part.partial, F_OK) == 0)
		e3_note("%s of %s are kept in %s: the same command goes on", amount_of(t->part.have).text,
			amount_of(t->facts.size).text, t->part.partial);
}

/* The address of the file, from the hub that was named. */
static int make_url(const fetch_model *m, const char *from, char to[FETCH_URL], e3_err *err)
{
	const char *env = getenv("HF_ENDPOINT"), *hub = from ? from : env && *env ? env : hub_default;
	size_t n = strlen(hub);
	while (n && hub[n - 1] == '/')
		n--;
	if (n > FETCH_URL / 2)
		return e3_fail(err, "fetching: the hub's address is too long");
	snprintf(to, FETCH_URL, "%.*s/%s/resolve/main/%s", (int)n, hub, m->repository, m->file);
	return fetch_url_check(to, err) ? e3_fail_in(err, "fetching") : 0;
}

static int make_folder(const char *path, e3_err *err)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	int rc = folder ? 0 : e3_fail(err, "fetching: out of memory");
	if (slash) {
		*slash = 0;
		rc = e3_mkdirs(folder, err);
	}
	free(folder);
	return rc;
}

static int fetch(const fetch_model *m, const em_options *o, const char *path, e3_err *err)
{
	const char *token = getenv("HF_TOKEN");
	transfer t = {.model = m, .part.fd = -1};
	fetch_settings s = {token && *token ? token : NULL, o->ca, o->timeout, e3_stop_signal};
	fetch_http *h = NULL;
	char url[FETCH_URL];
	if (s.token && (strlen(s.token) > 1000 || strpbrk(s.token, "\r\n")))
		return e3_fail(err, "fetching: HF_TOKEN: is no token");
	if (make_url(m, o->from, url, err) || make_folder(path, err))
		return -1;
	int rc = fetch_part_open(&t.part, path, e3_stop_signal, err);
	if (rc == 0)
		rc = (h = fetch_http_open(&s, err)) ? transfer_all(&t, h, url, o->retries, err) : -1;
	else if (rc == 1)
		rc = 0; /* another process has fetched it */
	if (rc)
		tell_rest(&t);
	else
		e3_note("%s: complete", path); /* its sum is right */
	fetch_http_close(h);
	fetch_part_close(&t.part);
	return rc;
}

/* A program may read it: the path of the file, once that is there. */
static int print_path(const char *path, e3_err *err)
{
	return printf("%s\n", path) < 0 || fflush(stdout) ? e3_fail_sys(err, "writing: standard output") : 0;
}

int em_fetch(const em_options *o, e3_err *err)
{
	const fetch_model *m = find(o->input);
	char *path = NULL;
	if (e3_cache_path(m->file, &path, err))
		return -1;
	e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = path});
	int rc = 0;
	if (!o->force && access(path, F_OK) == 0) {
		e3_note("%s: is there already; --force fetches it again", path);
	} else {
		rc = accept_licence(m, o, err) || fetch(m, o, path, err) ? -1 : 0;
	}
	rc = rc || print_path(path, err) ? -1 : 0;
	free(path);
	return rc;
}
