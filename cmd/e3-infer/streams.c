/* e3-infer: several streams at a time (--streams). Owns which stream comes next, and what is said of all of them. Each
 * has a thread of its own, which does what a run does with one stream; the network is loaded once, and what the streams
 * ask of the device goes together (e3/infer.h). A stream that fails is reported, and costs the others nothing. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/thread.h"
#include "e3/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETS = 2 };

/* Streams whose frames go together: another device beside the first one shares the memory of that. */
typedef struct set {
	infer_streams *s;
	e3_dev *dev;
	e3_batch *batch; /* NULL: it has one stream at a time */
} set;

struct infer_streams {
	infer_request r; /* what holds for each */
	infer_setup setup;
	set set[SETS];
	int sets, threads;
	pthread_mutex_t calibrating; /* held by the stream whose first frame is used; no session is open before */
	pthread_mutex_t lock;        /* guards what follows */
	int next;                    /* operand */
	int list;                    /* descriptor of --streams-from, or -1 */
	char *text;                  /* what was read of it and is no whole line yet */
	size_t n, cap;
	bool listed; /* a thread reads it */
	pthread_cond_t changed;
	infer_slots slots;
	bool fitted; /* --vram: for frames of this size */
	int size[2];
	double budget;
	int64_t segment;
	int64_t frames;
	int running, done, failed;
	double start;
};

/* ---- which stream comes next ---- */

typedef struct job {
	char *input, *output;
} job;

static int set_job(job *to, const char *input, const char *output, e3_err *err)
{
	*to = (job){strdup(input), strdup(output)};
	return to->input && to->output ? 0 : e3_fail(err, "opening: out of memory");
}

/* Claims last as long as the run, and the named pipes of a stream need not: another one may get their inode. */
static int claim(const char *path, unsigned use, const char *what, e3_err *err)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
		return 0;
	return e3_claim_add(&(e3_claim){.use = use | E3_STREAM, .path = path, .what = what}, err);
}

/* A line of the list: input and output, with a tab between them. 1, or 0 for an empty one. */
static int take_line(char *line, job *to, e3_err *err)
{
	char *tab = strchr(line, '\t');
	if (!*line)
		return 0;
	if (!tab || !tab[1] || tab == line || strchr(tab + 1, '\t'))
		return e3_fail(err,
			"reading: --streams-from: expected an input and an output with a tab between them, got '%.200s'", line);
	*tab = 0;
	return set_job(to, line, tab + 1, err) || claim(line, E3_READS, "a stream that is read", err) ||
			claim(tab + 1, E3_WRITES, "the predictions of a stream", err)
		? -1
		: 1;
}

/* More of the list: 1, 0 at its end or when a signal asked to stop, -1. */
static int read_more(infer_streams *s, e3_err *err)
{
	struct pollfd fd = {.fd = s->list, .events = POLLIN};
	enum { EACH = 4096 };
	if (s->n + EACH + 1 > s->cap) {
		if (e3_grow((void **)&s->text, s->cap + 2 * EACH, 1, "the list of streams", err))
			return -1;
		s->cap += 2 * EACH;
	}
	for (int got = 0; got <= 0;) {
		if (e3_stop_signal())
			return 0;
		got = poll(&fd, 1, 200);
		if (got < 0 && errno != EINTR)
			return e3_fail_sys(err, "reading: --streams-from");
	}
	ssize_t n = read(s->list, s->text + s->n, EACH);
	if (n < 0)
		return errno == EINTR ? 1 : e3_fail_sys(err, "reading: --streams-from");
	s->n += (size_t)n;
	if (!n && s->n) /* the last line without its end */
		s->text[s->n++] = '\n';
	else if (!n)
		return 0;
	return 1;
}

/* Text has no control bytes, but for the end of a line of Windows, and names have an end. */
static bool is_binary(const char *text, size_t n)
{
	enum { LONGEST = 1 << 16 };
	bool bad = n > LONGEST;
	for (size_t k = 0; k < n && !bad; k++)
		bad = (unsigned char)text[k] < ' ' && text[k] != '\t' && (text[k] != '\r' || k + 1 < n);
	return bad;
}

static int next_line(infer_streams *s, job *to, e3_err *err)
{
	for (;;) {
		char *end = s->n ? memchr(s->text, '\n', s->n) : NULL;
		if (is_binary(s->text, end ? (size_t)(end - s->text) : s->n)) {
			close(s->list);
			s->list = -1;
			return e3_fail(err, "reading: --streams-from: %s: no list of streams: expected lines of text", s->r.list);
		}
		if (!end) {
			int more = read_more(s, err);
			if (more <= 0)
				return more;
			continue;
		}
		end[end > s->text && end[-1] == '\r' ? -1 : 0] = 0;
		int rc = take_line(s->text, to, err);
		size_t used = (size_t)(end + 1 - s->text);
		memmove(s->text, end + 1, s->n -= used);
		if (rc)
			return rc;
	}
}

/* 1; 0 when there is none left; -1 for one that cannot be. */
static int next_job(infer_streams *s, job *to, e3_err *err)
{
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	int k = s->next < s->r.n_inputs ? s->next++ : -1;
	while (k < 0 && s->listed)
		pthread_cond_wait(&s->changed, &s->lock);
	if (k < 0)
		s->listed = true;
	pthread_mutex_unlock(&s->lock);
	*to = (job){NULL, NULL};
	if (e3_stop_signal())
		rc = 0;
	else if (k >= 0)
		rc = set_job(to, s->r.inputs[k], s->r.n_outputs ? s->r.outputs_to[k] : "-", err) ? -1 : 1;
	else if (s->list >= 0)
		rc = next_line(s, to, err);
	pthread_mutex_lock(&s->lock);
	if (k < 0)
		s->listed = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* ---- one stream ---- */

int infer_streams_settle(infer_streams *s, infer_request *r, const int size[2], e3_err *err)
{
	if (r->vram <= 0)
		return infer_setup_settle(&s->setup, r, size, err);
	/* What is left of the memory was found with the first stream. */
	if (s->fitted && (s->size[0] != size[0] || s->size[1] != size[1]))
		return e3_fail(err,
			"planning: --vram: %d × %d pixels for the network, %d × %d in the stream before: with --vram all streams must have one shape",
			size[1], size[0], s->size[1], s->size[0]);
	if (s->fitted)
		r->vram = 0, r->o.budget_kind = E3_BUDGET_BYTES, r->o.budget = s->budget;
	if (infer_setup_settle(&s->setup, r, size, err))
		return -1;
	if (s->fitted && r->automatic) { /* the budget alone may allow longer ones, but not what the camera head needs */
		r->track.segment = s->segment;
		return e3_track_prepare(&r->track, &r->o, err);
	}
	s->fitted = true, s->size[0] = size[0], s->size[1] = size[1], s->budget = r->o.budget;
	s->segment = r->track.segment;
	return 0;
}

int infer_streams_calibrate(infer_streams *s, const infer_request *r, const e3_image *picture, e3_err *err)
{
	pthread_mutex_lock(&s->calibrating);
	int rc = infer_setup_calibrate(&s->setup, r, NULL, picture, err);
	pthread_mutex_unlock(&s->calibrating);
	return rc;
}

void infer_streams_report(infer_streams *s)
{
	pthread_mutex_lock(&s->lock);
	s->frames++;
	double seconds = e3_now() - s->start;
	e3_status("frames=%lld\tof=-1\tdevice=%s", (long long)s->frames, s->setup.dev->ops->name(s->setup.dev));
	e3_progress("%d streams, %d done: frame %lld, %.2f frames/s", s->running, s->done, (long long)s->frames,
		(double)s->frames / seconds);
	pthread_mutex_unlock(&s->lock);
}

static void count(infer_streams *s, int running, int done, int failed)
{
	pthread_mutex_lock(&s->lock);
	s->running += running, s->done += done, s->failed += failed;
	pthread_mutex_unlock(&s->lock);
}

static int run_one(const set *in, const job *j, e3_err *err)
{
	infer_streams *s = in->s;
	infer *f = e3_alloc(1, sizeof *f, "a stream", err);
	if (!f)
		return -1;
	f->r = s->r;
	f->r.stage.input = j->input, f->r.stage.output = j->output;
	f->setup = s->setup, f->streams = s, f->slots = &s->slots, f->born = s->start;
	f->setup.dev = in->dev, f->r.o.batch = in->batch;
	int rc = infer_run(f, err);
	if (infer_close(f))
		free(f);
	return rc;
}

static void *work(void *arg)
{
	const set *in = arg;
	infer_streams *s = in->s;
	job j;
	int more;
	sigset_t nudge;
	sigemptyset(&nudge), sigaddset(&nudge, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
	do {
		e3_err err = {""};
		more = next_job(s, &j, &err);
		if (!more)
			break;
		e3_tool_about(j.input);
		count(s, 1, 0, 0);
		int rc = more < 0 ? -1 : run_one(in, &j, &err);
		if (rc && !e3_stop_signal())
			e3_warn("%s", err.text);
		count(s, -1, 1, rc != 0);
		e3_tool_about(NULL);
		free(j.output);
		if (more > 0 && rc == 0)
			free(j.input); /* of one that failed a thread may still wait for input, and name it */
	} while (!e3_stop_signal());
	return NULL;
}

/* ---- all of them ---- */

static int open_list(infer_streams *s, e3_err *err)
{
	s->list = -1;
	if (!s->r.list)
		return 0;
	s->list = strcmp(s->r.list, "-") ? open(s->r.list, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	return s->list < 0 ? e3_fail_sys(err, "opening: %s", s->r.list) : 0;
}

static void on_nudge(int sig) {}

/* A thread that opens a pipe nobody has opened at the other end is woken by a signal of its own: that of the process
 * may have gone to another one. */
static void join(e3_thread *thread)
{
	while (!e3_thread_join_within(thread, 0.2))
		if (e3_stop_signal())
			pthread_kill(thread->id, SIGUSR1);
}

static int run_all(infer_streams *s, e3_err *err)
{
	int n = s->threads, started = 0;
	e3_thread *thread = e3_alloc((size_t)n, sizeof *thread, "streams", err);
	if (!thread)
		return -1;
	s->start = e3_now();
	for (int rc = 0; !rc && started < n; started += !rc)
		rc = e3_thread_start(&thread[started], work, &s->set[started % s->sets], err);
	for (int k = 0; k < started; k++)
		join(&thread[k]);
	free(thread);
	if (!started)
		return e3_fail_in(err, "starting the streams");
	double seconds = e3_now() - s->start, mean = 0;
	for (int k = 0; k < s->sets; k++)
		mean += s->set[k].batch ? e3_batch_mean(s->set[k].batch) : 1;
	e3_detail("%d streams, %lld frames in %.2f s: %.2f frames/s, %.1f together on average", s->done,
		(long long)s->frames, seconds, (double)s->frames / seconds, mean);
	return s->failed ? e3_fail(err, "inferring: %d of %d streams failed", s->failed, s->done) : 0;
}

/* Where one chain of work has small steps, or waits for the host, another one fills the GPU. What watches the device
 * watches all of it, and --vram has to know what everything takes. */
int infer_streams_sets(const infer_request *r, bool gpu, int streams)
{
	return gpu && streams >= SETS && r->vram <= 0 && !r->dump && !r->counters ? SETS : 1;
}

void infer_streams_tell_one_set(const e3_err *why)
{
	e3_note("%s: all streams are computed in one set, where two may be faster", why->text);
}

/* Another device beside the first, of which there may be no memory left for it. */
static void open_devices(infer_streams *s)
{
	e3_err why = {""};
	s->set[0].dev = s->setup.dev;
	for (int k = 1; k < s->sets; k++)
		if (!(s->set[k].dev = e3_dev_cuda(s->r.strict, &why))) {
			infer_streams_tell_one_set(&why);
			s->sets = k;
		}
}

/* Of two sets, one that has a single stream looks ahead in it, as a run with one does: it is no batch. */
static int open_sets(infer_streams *s, e3_err *err)
{
	const infer_request *r = &s->r;
	s->threads = r->list || r->streams < r->n_inputs ? (int)r->streams : r->n_inputs;
	s->sets = infer_streams_sets(r, s->setup.gpu, s->threads);
	open_devices(s);
	for (int k = 0; k < s->sets; k++) {
		int n = infer_streams_in_set(s->sets == 1 ? (int)r->streams : s->threads, s->sets, k);
		set *to = &s->set[k];
		to->s = s;
		if ((s->sets == 1 || n > 1) && !(to->batch = e3_batch_open(n, err)))
			return -1;
	}
	return 0;
}

static void close_sets(infer_streams *s)
{
	for (int k = 0; k < s->sets; k++) {
		e3_batch_close(s->set[k].batch);
		if (k && s->set[k].dev)
			e3_dev_close(s->set[k].dev);
	}
}

int infer_streams_run(const infer_request *r, e3_err *err)
{
	static infer_streams s;
	s.r = *r;
	s.list = -1;
	pthread_mutex_init(&s.lock, NULL);
	pthread_mutex_init(&s.calibrating, NULL);
	pthread_cond_init(&s.changed, NULL);
	infer_slots_init(&s.slots);
	signal(SIGPIPE, SIG_IGN); /* a reader that goes away ends its own stream */
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_nudge}, NULL);
	int rc = infer_setup_open(&s.setup, &s.r, err) || open_list(&s, err) || open_sets(&s, err) ? -1 : 0;
	if (rc && e3_stop_signal())
		rc = 0;
	else
		rc = rc || run_all(&s, err) ? -1 : 0;
	if (s.r.counters && s.frames)
		e3_watch_print(s.setup.dev, stderr);
	close_sets(&s);
	infer_setup_close(&s.setup);
	if (s.list >= 0)
		close(s.list);
	free(s.text);
	return rc;
}
