/* e3-decode: data sets: a list of what is there, or each sequence as a stream of prepared frames followed by their
 * truth. */
#include "decode.h"
#include "e3/json.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* The sequences that were asked for into at[*n]: those that match the pattern, or all published ones that are there. */
static int choose(const set_request *r, const e3_set *s, size_t *at, size_t *n, e3_err *err)
{
	size_t count = e3_set_count(s), published = 0;
	for (size_t k = 0; k < count; k++)
		published += e3_set_entry_at(s, k).published && e3_set_entry_at(s, k).found;
	*n = 0;
	for (size_t k = 0; k < count; k++) {
		e3_set_entry e = e3_set_entry_at(s, k);
		bool exact =
			r->sequence && strcmp(r->sequence, e.name) == 0; /* also when it is not there: opening it says so */
		if (exact || (e.found && (r->sequence ? matches(r, e.name) : e.published || !published)))
			at[(*n)++] = k;
	}
	if (*n)
		return 0;
	return e3_fail(err, "reading: %s: %s: no sequence %s%s here: see --list", e3_set_name(r->set.set), r->set.root,
		r->sequence ? "matches " : "", r->sequence ? r->sequence : "is");
}

/* The endpoint with %s replaced by the sequence's name, its slashes by underscores. */
static char *endpoint_of(const char *to, const char *name, e3_err *err)
{
	e3_buf out = {0};
	const char *here = strstr(to, "%s");
	int rc = here ? e3_buf_add(&out, to, (size_t)(here - to), err) : e3_buf_printf(&out, err, "%s", to);
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
	e3_seq *seq;
	const char *set, *name;
	e3_frame frame;
	e3_truth truth;
	int64_t sent, total, once; /* once: frames of the sequence, which may be sent several times */
} sending;

/* A frame and, the last time the sequence is sent, its truth. */
static int send_frame(sending *t, e3_err *err)
{
	if (e3_seq_read(t->seq, t->sent % t->once, &t->frame, &t->truth, err))
		return -1;
	t->frame.s.i = t->truth.i = t->sent;
	if (e3_out_frame(t->stage.out, &t->frame, err))
		return -1;
	return t->sent < t->total - t->once ? 0 : e3_out_truth(t->stage.out, &t->truth, err);
}

static int send_stream(sending *t, e3_err *err)
{
	e3_buf source = {0};
	if (e3_buf_printf(&source, err, "%s/%s", t->set, t->name))
		return -1;
	e3_head head = e3_stage_head(source.data);
	head.frames = t->total;
	int rc = e3_out_head(t->stage.out, &head, err);
	e3_buf_release(&source);
	for (; !rc && t->sent < t->total && !e3_stop_signal(); t->sent++) {
		if (send_frame(t, err))
			return -1;
		e3_stage_progress(&t->stage, t->sent + 1, t->total, ", %s", t->name);
	}
	e3_end end = e3_stage_end(&t->stage, t->sent);
	return rc ? rc : e3_out_end(t->stage.out, &end, err);
}

static int send_sequence(const decode_options *o, const e3_set *s, size_t k, e3_err *err)
{
	const set_request *r = &o->request;
	sending t = {.stage = o->stage, .set = e3_set_name(r->set.set), .name = e3_set_entry_at(s, k).name};
	char *endpoint = endpoint_of(o->stage.output, t.name, err);
	t.stage.output = endpoint;
	if (!endpoint || e3_stage_open_output(&t.stage, err)) {
		free(endpoint);
		return -1;
	}
	t.seq = e3_seq_open(s, k, err);
	t.once = t.seq ? e3_seq_count(t.seq).frames : 0;
	t.total = t.once * (r->repeat ? r->repeat : 1);
	int rc = e3_stage_finish(&t.stage, t.seq ? send_stream(&t, err) : -1, err);
	if (!rc)
		e3_detail("%s: %s: %" PRId64 " frame%s for %s in %.2f s", t.set, t.name, t.sent, t.sent == 1 ? "" : "s",
			e3_task_name(e3_set_task(s)), e3_now() - t.stage.started);
	e3_seq_close(t.seq);
	e3_frame_release(&t.frame);
	e3_truth_release(&t.truth);
	free(endpoint);
	return rc;
}

/* Tells the stages downstream of a failure before the first stream was opened. */
static void pass_failure(const decode_options *o, e3_err *err)
{
	e3_stage stage = o->stage;
	if (!strstr(stage.output, "%s") && e3_stage_open_output(&stage, NULL) == 0)
		e3_stage_finish(&stage, -1, err);
}

/* A name for each sequence: no two of them may be one file. */
static int claim_outputs(const char *to, const e3_set *s, const size_t *at, size_t n, e3_err *err)
{
	for (size_t k = 0; strstr(to, "%s") && k < n; k++) {
		char *endpoint = endpoint_of(to, e3_set_entry_at(s, at[k]).name, err);
		if (!endpoint)
			return -1;
		e3_opts_claim(&(e3_claim){.use = E3_WRITES | E3_STREAM, .path = endpoint, .by = "--output"});
		free(endpoint);
	}
	return 0;
}

static int send_all(const decode_options *o, const e3_set *s, e3_err *err)
{
	size_t n = 0, *at = e3_alloc(e3_set_count(s), sizeof *at, "sequences", err);
	int rc = at ? choose(&o->request, s, at, &n, err) : -1;
	if (!rc && n > 1 && !strstr(o->stage.output, "%s"))
		rc = e3_fail(err,
			"reading: %s: %zu sequences, from %s to %s: choose one with --sequence, or give -o a name with %%s in it",
			e3_set_name(o->request.set.set), n, e3_set_entry_at(s, at[0]).name, e3_set_entry_at(s, at[n - 1]).name);
	rc = rc || claim_outputs(o->stage.output, s, at, n, err) ? -1 : 0;
	if (rc)
		pass_failure(o, err);
	for (size_t k = 0; !rc && k < n && !e3_stop_signal(); k++)
		rc = send_sequence(o, s, at[k], err);
	free(at);
	return rc;
}

int set_run(decode_options *o, e3_err *err)
{
	const set_request *r = &o->request;
	if (!o->stage.output)
		o->stage.output = "-";
	e3_set *s = e3_set_open(&r->set, err);
	if (!s) {
		if (!r->list)
			pass_failure(o, err);
		return -1;
	}
	int rc = r->list ? list(r, s, err) : send_all(o, s, err);
	e3_set_close(s);
	return rc;
}
