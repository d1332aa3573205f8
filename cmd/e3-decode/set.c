/* e3-decode: a data set's sequences as streams of prepared frames, each followed by its truth; and the list of what is
 * there. */
#include "set.h"
#include "e3/json.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void set_check(const set_request *r, const decode_options *o, int n)
{
	if (r->set < 0) {
		if (r->root || r->sequence || r->list || r->json || r->task >= 0 || r->stride || r->repeat ||
			r->reject_invalid || r->annotations || r->co3d_size || r->draw || r->min_frames || r->seed || r->fast_eval)
			e3_usage_error("--root, --sequence, --list, --task, --stride, --repeat and the like need --dataset");
		return;
	}
	const e3_set_info *info = e3_set_info_of(r->set);
	if (n > 0)
		e3_usage_error("--dataset takes no INPUT: give the folder with --root");
	if (!r->root)
		e3_usage_error("--dataset needs --root DIR");
	if (o->every > 0 || o->step > 0 || o->all || o->first || o->start > 0 || isfinite(o->end) || o->sampling ||
		o->fps > 0)
		e3_usage_error("--dataset chooses frames itself: only --stride and --max-frames go with it");
	if (o->png || o->fit_mode || o->compat)
		e3_usage_error("--png, --fit-mode and --compat do not go with --dataset: its loader prepares the frames");
	if (r->repeat && r->list)
		e3_usage_error("--repeat does not go with --list");
	if (r->json && !r->list)
		e3_usage_error("--json goes with --list");
	if (!info->draws && (r->annotations || r->co3d_size || r->draw || r->min_frames || r->seed || r->fast_eval))
		e3_usage_error("--annotations, --co3d-size, --draw, --min-frames, --seed and --fast-eval do not go with %s",
			e3_set_name(r->set));
	if (r->reject_invalid && !info->registers)
		e3_usage_error("--reject-invalid does not go with %s", e3_set_name(r->set));
	if (info->draws && o->fit)
		e3_usage_error("--fit does not go with %s: see --co3d-size", e3_set_name(r->set));
	if (o->fit % 14)
		e3_usage_error("--fit %" PRId64 " is not a multiple of 14", o->fit);
}

/* --- the list --- */

typedef struct line {
	e3_set_entry entry;
	e3_seq_counts counts;
	const char *missing; /* NULL: nothing */
} line;

static int put_text(e3_buf *to, const line *l, e3_err *err)
{
	return e3_buf_printf(to, err, "%s\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%s\t%s\n", l->entry.name,
		l->counts.frames, l->counts.images, l->counts.depths, l->counts.poses, l->entry.published ? "yes" : "no",
		l->missing ? l->missing : "-");
}

static void put_json(e3_json *j, const line *l)
{
	const e3_seq_counts *c = &l->counts;
	e3_json_object(j, NULL);
	e3_json_text(j, "sequence", l->entry.name);
	e3_json_int(j, "frames", c->frames);
	e3_json_int(j, "images", c->images);
	e3_json_int(j, "depths", c->depths);
	e3_json_int(j, "poses", c->poses);
	e3_json_bool(j, "published", l->entry.published);
	e3_json_text(j, "missing", l->missing);
	e3_json_end(j);
	e3_json_blank(j, "\n ");
}

static bool matches(const set_request *r, const char *name)
{
	return !r->sequence || strcmp(r->sequence, name) == 0 || fnmatch(r->sequence, name, 0) == 0;
}

static int list(const set_request *r, const e3_set *s, e3_err *err)
{
	e3_buf text = {0};
	e3_json j = {.to = &text, .err = err, .spaced = true};
	int rc = 0;
	if (r->json)
		e3_json_array(&j, NULL);
	else
		rc = e3_buf_printf(&text, err, "# sequence\tframes\timages\tdepths\tposes\tpublished\tmissing\n");
	for (size_t k = 0; !rc && k < e3_set_count(s); k++) {
		e3_err why = {""};
		line l = {.entry = e3_set_entry_at(s, k)};
		if (!matches(r, l.entry.name))
			continue;
		e3_seq *q = l.entry.found ? e3_seq_open(s, k, &why) : NULL;
		if (q)
			l.counts = e3_seq_count(q);
		else
			l.missing = l.entry.found ? why.text : "not found";
		e3_seq_close(q);
		if (r->json)
			put_json(&j, &l);
		else
			rc = put_text(&text, &l, err);
	}
	if (r->json) {
		e3_json_blank(&j, NULL);
		e3_json_end(&j);
		rc = j.rc ? -1 : e3_buf_add(&text, "\n", 1, err);
	}
	if (!rc && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout)))
		rc = e3_fail_sys(err, "writing: standard output");
	e3_buf_release(&text);
	return rc;
}

/* --- streams --- */

/* The sequences asked for, in *at: all the published ones that are there, or what the pattern matches. */
static int choose(const set_request *r, const e3_set *s, size_t *at, size_t *n, e3_err *err)
{
	size_t count = e3_set_count(s), published = 0;
	for (size_t k = 0; k < count; k++)
		published += e3_set_entry_at(s, k).published && e3_set_entry_at(s, k).found;
	*n = 0;
	for (size_t k = 0; k < count; k++) {
		e3_set_entry e = e3_set_entry_at(s, k);
		bool exact =
			r->sequence && strcmp(r->sequence, e.name) == 0; /* also when it is not there: the message says so */
		if (exact || (e.found && (r->sequence ? matches(r, e.name) : e.published || !published)))
			at[(*n)++] = k;
	}
	if (*n)
		return 0;
	return e3_fail(err, "reading: %s: %s: no sequence %s%s here: see --list", e3_set_name(r->set), r->root,
		r->sequence ? "matches " : "", r->sequence ? r->sequence : "is");
}

/* The endpoint with %s replaced by the sequence's name, its slashes by underscores. */
static char *endpoint_of(const char *to, const char *name, e3_err *err)
{
	e3_buf out = {0};
	const char *here = to ? strstr(to, "%s") : NULL;
	int rc = here ? e3_buf_add(&out, to, (size_t)(here - to), err) : e3_buf_printf(&out, err, "%s", to ? to : "-");
	for (const char *p = name; !rc && here && *p; p++)
		rc = e3_buf_add(&out, *p == '/' ? "_" : p, 1, err);
	if (!rc && here)
		rc = e3_buf_printf(&out, err, "%s", here + 2);
	if (rc)
		e3_buf_release(&out);
	return out.data;
}

typedef struct sending {
	e3_stage stage;
	e3_frame frame;
	e3_truth truth;
	int64_t sent, total, once; /* once: frames of the sequence, sent over and over */
	double started;
} sending;

/* The frame and, with the last time over, its truth. */
static int send_frame(sending *t, e3_seq *q, e3_err *err)
{
	if (e3_seq_read(q, t->sent % t->once, &t->frame, &t->truth, err))
		return -1;
	t->frame.s.i = t->truth.i = t->sent;
	if (e3_out_frame(t->stage.out, &t->frame, err))
		return -1;
	return t->sent < t->total - t->once ? 0 : e3_out_truth(t->stage.out, &t->truth, err);
}

static int send_frames(sending *t, e3_seq *q, const char *name, e3_err *err)
{
	for (; t->sent < t->total && !e3_stop_signal(); t->sent++) {
		if (send_frame(t, q, err))
			return -1;
		if (e3_progress_due())
			e3_progress("%s  %" PRId64 "/%" PRId64 " frames  %.1f frames/s", name, t->sent + 1, t->total,
				(double)(t->sent + 1) / (e3_now() - t->started + 1e-9));
	}
	return 0;
}

static int send_stream(sending *t, e3_seq *q, const char *set, const char *name, e3_err *err)
{
	e3_buf source = {0};
	if (e3_buf_printf(&source, err, "%s/%s", set, name))
		return -1;
	e3_head head = e3_stage_head(source.data);
	head.frames = t->total;
	int rc = e3_out_head(t->stage.out, &head, err);
	e3_buf_release(&source);
	if (rc || send_frames(t, q, name, err))
		return -1;
	e3_end end = e3_stage_end(&t->stage, t->sent);
	return e3_out_end(t->stage.out, &end, err);
}

static int send_sequence(const set_request *r, const decode_options *o, const e3_set *s, size_t k, e3_err *err)
{
	const char *set = e3_set_name(r->set), *name = e3_set_entry_at(s, k).name;
	char *endpoint = endpoint_of(o->stage.output, name, err);
	sending t = {.stage = o->stage, .started = e3_now()};
	t.stage.output = endpoint;
	if (!endpoint || e3_stage_open_output(&t.stage, err)) {
		free(endpoint);
		return -1;
	}
	e3_seq *q = e3_seq_open(s, k, err);
	t.once = q ? e3_seq_count(q).frames : 0;
	t.total = t.once * (r->repeat ? r->repeat : 1);
	int rc = q ? send_stream(&t, q, set, name, err) : -1;
	e3_seq_close(q);
	e3_frame_release(&t.frame);
	e3_truth_release(&t.truth);
	rc = e3_stage_finish(&t.stage, rc, err);
	free(endpoint);
	if (!rc)
		e3_detail("%s: %s: %" PRId64 " frames for %s in %.2f s", set, name, t.sent, e3_task_name(e3_set_task(s)),
			e3_now() - t.started);
	return rc;
}

/* The stage downstream learns of a failure before the first stream was open. */
static void tell(const decode_options *o, e3_err *err)
{
	if (!o->stage.output || !strstr(o->stage.output, "%s")) {
		e3_stage stage = o->stage;
		stage.output = o->stage.output ? o->stage.output : "-";
		if (e3_stage_open_output(&stage, NULL) == 0)
			e3_stage_finish(&stage, -1, err);
	}
}

static int send_all(const set_request *r, const decode_options *o, const e3_set *s, e3_err *err)
{
	size_t n = 0, *at = e3_alloc(e3_set_count(s), sizeof *at, "sequences", err);
	int rc = at ? choose(r, s, at, &n, err) : -1;
	if (!rc && n > 1 && !(o->stage.output && strstr(o->stage.output, "%s")))
		rc = e3_fail(err,
			"reading: %s: %zu sequences, from %s to %s: choose one with --sequence, or give -o a name with %%s in it",
			e3_set_name(r->set), n, e3_set_entry_at(s, at[0]).name, e3_set_entry_at(s, at[n - 1]).name);
	if (rc)
		tell(o, err);
	for (size_t k = 0; !rc && k < n && !e3_stop_signal(); k++)
		rc = send_sequence(r, o, s, at[k], err);
	free(at);
	return rc;
}

int set_run(const set_request *r, const decode_options *o, e3_err *err)
{
	const e3_set_options want = {.set = r->set,
		.root = r->root,
		.annotations = r->annotations,
		.task = r->task,
		.stride = r->stride,
		.max_frames = o->max_frames,
		.size = (int)o->fit,
		.co3d_size = r->co3d_size ? 518 : 224,
		.draw = r->draw,
		.seed = r->seed,
		.min_frames = r->min_frames,
		.ten = r->fast_eval,
		.reject_invalid = r->reject_invalid};
	e3_set *s = e3_set_open(&want, err);
	if (!s) {
		if (!r->list)
			tell(o, err);
		return -1;
	}
	int rc = r->list ? list(r, s, err) : send_all(r, o, s, err);
	e3_set_close(s);
	return rc;
}
