/* e3-decode: the three loops: pictures from files, pictures from a pipe, a video. */
#include "decode.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sampling_make(const decode_options *o, bool pictures, double fps, e3_sampling *rule, double *fps_out, e3_err *err)
{
	double every = o->every > 0 ? o->every : DEFAULT_EVERY;
	*rule = (e3_sampling){.step = 1, .first = o->first, .start = o->start, .end = o->end, .max_frames = o->max_frames};
	*fps_out = fps;
	if (o->step > 0 || o->all || (pictures && o->every < 0)) {
		rule->step = o->step > 0 ? o->step : 1;
	} else if (o->sampling == 1) {
		rule->step = 0, rule->every = every;
		*fps_out = 1 / every;
		return 0;
	} else {
		if (fps <= 0)
			return e3_fail(err,
				"the frame rate is unknown: give it with --fps, or use --step, --all or --sampling time");
		/* truncated, as the reference does: 29.97 frames/s and 1 s make 29 */
		rule->step = (int64_t)(fps * every);
		if (rule->step < 1) {
			e3_warn("%g s are less than a frame at %.3f frames/s: every frame is kept", every, fps);
			rule->step = 1;
		}
	}
	*fps_out = fps / (double)rule->step;
	return 0;
}

/* --- pictures --- */

typedef struct pictures {
	sink *s;
	e3_sampler sampler;
	double fps;
	int64_t index;
} pictures;

static double picture_time(const pictures *p) { return p->fps > 0 ? (double)p->index / p->fps : (double)p->index; }

static int pictures_begin(pictures *p, sink *s, int64_t n, e3_err *err)
{
	e3_sampling rule;
	double fps;
	*p = (pictures){.s = s, .fps = s->o->fps};
	if (sampling_make(s->o, true, p->fps, &rule, &fps, err))
		return -1;
	e3_sampler_init(&p->sampler, &rule);
	int64_t total = n < 0 ? -1 : 0;
	for (; p->index < n; p->index++)
		total += e3_sampler_feed(&p->sampler, picture_time(p)) == E3_SAMPLE_KEEP;
	p->index = 0;
	e3_sampler_init(&p->sampler, &rule);
	return sink_head(s, total, fps, err);
}

static int send_picture(pictures *p, const uint8_t *bytes, size_t n, const char *name, e3_err *err)
{
	static const int degrees[9] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
	const decode_options *o = p->s->o;
	e3_image im;
	int orientation;
	if (e3_image_decode(bytes, n, name, &im, &orientation, err))
		return -1;
	bool turn = o->autorotate && o->compat == 0;
	int rc = turn ? e3_image_orient(&im, orientation, err) : 0;
	e3_source at = {.pts = picture_time(p), .src_i = p->index, .rot = turn ? degrees[orientation] : 0};
	if (!rc)
		rc = sink_frame(p->s, &im, at, true, err);
	e3_image_release(&im);
	return rc;
}

static int send_file(pictures *p, const char *path, e3_err *err)
{
	e3_map map;
	size_t length = 0;
	if (e3_map_open(&map, path, err))
		return -1;
	int rc = send_picture(p, map.data, map.size, path, err);
	if (!rc && e3_image_extent(map.data, map.size, &length, NULL) > 0 &&
		e3_image_sniff(map.data + length, map.size - length) == E3_IMAGE_PNM)
		e3_warn(
			"reading: %s: holds more pictures than the first, which alone is used: all of them come from standard input",
			path);
	e3_map_close(&map);
	return rc;
}

int decode_pictures(const input_list *list, sink *s, e3_err *err)
{
	pictures p;
	if (pictures_begin(&p, s, (int64_t)list->n, err))
		return -1;
	e3_detail("%zu pictures, from %s to %s", list->n, list->path[0], list->path[list->n - 1]);
	for (; p.index < (int64_t)list->n && !e3_stop_signal(); p.index++) {
		e3_sample what = e3_sampler_feed(&p.sampler, picture_time(&p));
		if (what == E3_SAMPLE_DONE)
			break;
		if (what == E3_SAMPLE_KEEP && send_file(&p, list->path[p.index], err))
			return -1;
	}
	return 0;
}

int decode_picture_stream(const uint8_t *head, size_t n_head, sink *s, e3_err *err)
{
	pictures p;
	if (pictures_begin(&p, s, -1, err))
		return -1;
	e3_image_stream *in = e3_image_stream_open(STDIN_FILENO, head, n_head, e3_stop_signal, err);
	const uint8_t *bytes;
	size_t n;
	int rc = in ? 0 : -1;
	for (; !rc && !e3_sampler_full(&p.sampler); p.index++) {
		int got = e3_image_stream_next(in, &bytes, &n, err);
		if (got < 0)
			rc = e3_fail_in(err, "reading: standard input: picture %" PRId64, p.index);
		if (got <= 0)
			break;
		e3_sample what = e3_sampler_feed(&p.sampler, picture_time(&p));
		if (what == E3_SAMPLE_DONE)
			break;
		char name[64];
		snprintf(name, sizeof name, "standard input: picture %" PRId64, p.index);
		if (what == E3_SAMPLE_KEEP)
			rc = send_picture(&p, bytes, n, name, err);
	}
	e3_image_stream_close(in);
	return rc;
}

/* --- video --- */

/* Feeds the counted frames to the rule: how many it will keep; -1 when that cannot be known. */
static int64_t predict(const e3_video *v, const e3_sampling *rule)
{
	bool timed = e3_video_times_known(v), needs_time = rule->step == 0 || rule->start > 0 || isfinite(rule->end);
	int64_t frames = e3_video_frames(v), kept = 0;
	e3_sampler sampler;
	if (frames < 0 || (needs_time && !timed))
		return -1;
	e3_sampler_init(&sampler, rule);
	for (int64_t k = 0; k < frames; k++) {
		e3_sample what = e3_sampler_feed(&sampler, timed ? e3_video_time(v, k) : 0);
		if (what == E3_SAMPLE_DONE)
			break;
		kept += what == E3_SAMPLE_KEEP;
	}
	return kept;
}

static void describe(const e3_video *v, const sink *s, const e3_sampling *rule, double fps)
{
	const e3_video_info *i = e3_video_describe(v);
	double avg = i->fps[E3_FPS_AVG], r = i->fps[E3_FPS_R];
	e3_detail("%s: %s, %s, %d x %d, %.3f frames/s (guess %.3f, avg %.3f, r %.3f), %.3f s, %" PRId64 " frames", s->name,
		i->codec, i->format, i->w, i->h, fps, i->fps[E3_FPS_GUESS], avg, r, i->seconds, e3_video_frames(v));
	if (rule->step > 0)
		e3_detail("interval: %" PRId64 " frames", rule->step);
	else
		e3_detail("interval: %g s", rule->every);
	if (avg > 0 && r > 0 && fabs(avg - r) > 0.1 * r && rule->step > 1 && s->o->step == 0 && s->o->fps <= 0)
		e3_note("%s: the frame rate varies (on average %.3f, at base %.3f): --sampling time keeps even intervals",
			s->name, avg, r);
	if (i->hdr)
		e3_note("%s: HDR (PQ or HLG): sent without tone mapping", s->name);
}

/* Some containers end without saying that they were cut; the duration in their head still knows. Sound may be a little
 * longer. */
static void check_end(const e3_video *v, const sink *s, double last_pts)
{
	double stated = e3_video_describe(v)->seconds, missing = stated - last_pts;
	if (stated > 0 && missing > 0.25 && (missing > 2 || missing > 0.05 * stated))
		e3_warn("reading: %s: ends at %.2f s, its head states %.2f s: cut off?", s->name, last_pts, stated);
}

static int video_frames(e3_video *v, sink *s, const e3_sampling *rule, e3_err *err)
{
	e3_sampler sampler;
	e3_video_frame f = {0};
	e3_image im = {0};
	int rc = 0;
	e3_sampler_init(&sampler, rule);
	while (!rc && !e3_stop_signal() && !e3_sampler_full(&sampler)) {
		int got = e3_video_next(v, &f, err);
		rc = got < 0 ? -1 : 0;
		if (got == 0)
			check_end(v, s, f.pts);
		if (got <= 0)
			break;
		e3_sample what = e3_sampler_feed(&sampler, f.pts);
		if (what == E3_SAMPLE_DONE)
			break;
		e3_source at = {.pts = f.pts, .src_i = f.index};
		if (what == E3_SAMPLE_KEEP) {
			rc = e3_video_image(v, &im, &at.rot, err);
			if (!rc)
				rc = sink_frame(s, &im, at, f.key, err);
		}
	}
	e3_image_release(&im);
	return rc;
}

static int run_video(e3_video *v, sink *s, e3_err *err)
{
	const decode_options *o = s->o;
	double fps = o->fps > 0 ? o->fps : e3_video_describe(v)->fps[o->fps_source], kept_fps;
	e3_sampling rule;
	if (sampling_make(o, false, fps, &rule, &kept_fps, err))
		return e3_fail_in(err, "reading: %s", s->name);
	if (e3_video_index(v, rule.step == 0 || rule.start > 0 || isfinite(rule.end), err))
		return -1;
	describe(v, s, &rule, fps);
	if (sink_head(s, predict(v, &rule), kept_fps, err) || e3_video_seek(v, rule.start, err))
		return -1;
	int rc = video_frames(v, s, &rule, err);
	if (e3_video_errors(v) > 0)
		e3_warn("reading: %s: %" PRId64 " damaged packets or frames", s->name, e3_video_errors(v));
	return rc;
}

int decode_video(const char *input, int fd, const uint8_t *head, size_t n_head, sink *s, e3_err *err)
{
	const decode_options *o = s->o;
	e3_video_options options = {.input = input,
		.fd = fd,
		.head = head,
		.n_head = n_head,
		.spool = o->spool,
		.spool_max = (uint64_t)o->spool_max,
		.set = o->set,
		.n_set = o->n_set,
		.timeout = decode_timeout(input, o),
		.stream = (int)o->stream,
		.threads = (int)o->threads,
		.autorotate = o->autorotate,
		.matrix = (e3_matrix)o->matrix,
		.stop = e3_stop_signal};
	e3_video *v = e3_video_open(&options, err);
	if (!v)
		return -1;
	int rc = run_video(v, s, err);
	e3_video_close(v);
	return rc;
}

int decode_stdin(sink *s, e3_err *err)
{
	uint8_t head[8];
	size_t n = 0;
	while (n < sizeof head) { /* read() itself: a signal must end the wait */
		ssize_t r = read(STDIN_FILENO, head + n, sizeof head - n);
		if (r < 0 && (errno == EINTR || errno == EAGAIN) && !e3_stop_signal())
			continue;
		if (r < 0)
			return e3_fail_sys(err, "reading: standard input");
		if (r == 0)
			break;
		n += (size_t)r;
	}
	if (n == 0)
		return e3_fail(err, "reading: standard input: empty");
	if (e3_image_sniff(head, n) != E3_IMAGE_NONE)
		return decode_picture_stream(head, n, s, err);
	return decode_video(s->name, STDIN_FILENO, head, n, s, err);
}
