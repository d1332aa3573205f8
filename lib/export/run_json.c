/* export: run.json, what the other formats cannot hold (doc/formats.md 4.9): where each frame came from, and what was
 * chosen. The lines of the frames wait in a temporary file. */
#include "e3/json.h"
#include "e3/version.h"
#include "export/writer.h"
#include <stdlib.h>

typedef struct run_json {
	e3_format_writer base;
	FILE *lines;    /* the array of frames */
	uint64_t bytes; /* of whole lines, all on disk */
	e3_buf text;
	e3_json json; /* writes the lines, through `text` */
	int w, h;
} run_json;

static int spool(run_json *s, e3_err *err)
{
	if (s->json.rc)
		return -1;
	int rc = e3_spool_write(s->lines, s->text.data, s->text.len, err);
	if (!rc && fflush(s->lines))
		rc = e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
	if (!rc)
		s->bytes += s->text.len;
	s->text.len = 0;
	return rc;
}

static int json_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	run_json *s = (run_json *)w;
	const e3_pred *p = frame->pred;
	const e3_fit *fit = &p->s.fit;
	e3_json *j = &s->json;
	if (!w->frames)
		s->w = p->w, s->h = p->h;
	j->err = err;
	e3_json_blank(j, "\n  ");
	e3_json_object(j, NULL);
	e3_json_int(j, "index", p->s.i);
	e3_json_int(j, "source_frame", p->s.src_i);
	e3_json_real(j, "pts", p->s.pts, 9);
	e3_json_int(j, "src_w", p->s.src_w);
	e3_json_int(j, "src_h", p->s.src_h);
	e3_json_int(j, "rotation", p->s.rot);
	e3_json_int(j, "w", p->w);
	e3_json_int(j, "h", p->h);
	e3_json_reals(j, "fit", (double[]){fit->sx, fit->sy, fit->tx, fit->ty}, 4, 17);
	e3_json_real(j, "ms", p->ms, 6);
	e3_json_end(j);
	return spool(s, err);
}

static int json_cut(e3_format_writer *w, e3_err *err)
{
	run_json *s = (run_json *)w;
	return e3_spool_cut(s->lines, s->bytes, err);
}

/* The name of a value on a line of its own. */
static const char *line(e3_json *j, const char *key)
{
	e3_json_blank(j, "\n ");
	return key;
}

static void add_points(e3_json *j, const e3_export_run *run)
{
	const e3_export_facts *f = &run->facts;
	e3_json_object(j, line(j, "points"));
	e3_json_text(j, "from", f->from_depth ? "depth" : "map");
	e3_json_int(j, "candidates", (int64_t)f->points);
	e3_json_int(j, "not_finite", (int64_t)f->non_finite);
	static const char *const modes[] = {"none", "edges", "consistent"};
	e3_json_text(j, "clean", modes[run->opt->cloud.clean]);
	e3_json_int(j, "at_edges", (int64_t)f->at_edges);
	e3_json_int(j, "seen_through", (int64_t)f->seen_through);
	e3_json_int(j, "too_far", (int64_t)f->too_far);
	e3_json_int(j, "kept", (int64_t)f->kept);
	for (const e3_format *format = run->formats; format->name; format++)
		if (format->points)
			e3_json_int(j, format->name, (int64_t)f->written[format - run->formats]);
	e3_json_real(j, "conf_pct", run->opt->cloud.conf_pct, 9);
	e3_json_real(j, "conf_min", run->opt->cloud.conf_min, 9);
	e3_json_real(j, "threshold", f->threshold, 9);
	e3_json_real(j, "voxel", f->voxel, 9);
	e3_json_end(j);
	e3_json_real(j, line(j, "scene_scale"), f->scene_scale, 9);
}

static void add_inference(e3_json *j, const e3_end *end)
{
	e3_json_object(j, line(j, "inference"));
	e3_json_real(j, "seconds", end->seconds, 9);
	e3_json_int(j, "peak_rss", (int64_t)end->peak_rss);
	e3_json_int(j, "cache_now", (int64_t)end->cache_now);
	e3_json_int(j, "cache_peak", (int64_t)end->cache_peak);
	e3_json_int(j, "cache_full", (int64_t)end->cache_full);
	e3_json_end(j);
}

static void add_up(e3_json *j, const e3_export_run *run)
{
	double up[3];
	e3_up_from from = e3_export_up(run, up);
	e3_json_object(j, line(j, "up"));
	e3_json_text(j, "from", e3_export_up_name(from));
	e3_json_reals(j, "direction", up, 3, 9);
	e3_json_end(j);
}

static void add_placed(e3_json *j, const e3_export_placed *p)
{
	double sim[8];
	e3_similarity_pack(&p->sim, sim);
	e3_json_object(j, line(j, "placed"));
	e3_json_text(j, "by", p->how);
	e3_json_text(j, "world", p->world);
	e3_json_real(j, "scale", sim[0], 12);
	e3_json_reals(j, "rotation", sim + 1, 4, 12);
	e3_json_reals(j, "translation", sim + 5, 3, 12);
	if (p->file)
		e3_json_text(j, "file", p->file);
	if (p->matched) {
		e3_json_int(j, "matched", p->matched);
		e3_json_int(j, "outliers", p->outliers);
		e3_json_real(j, "rms", p->rms, 6);
		e3_json_real(j, "worst", p->worst, 6);
	}
	if (p->turn)
		e3_json_text(j, "turn", p->turn);
	if (p->off >= 0)
		e3_json_real(j, "orientations_off", p->off, 6);
	if (p->origin)
		e3_json_reals(j, "origin", p->origin, 3, 12);
	e3_json_end(j);
}

/* Outputs that failed, and why. */
static void add_failed(e3_json *j, const e3_export_run *run)
{
	bool any = false;
	for (const e3_format *format = run->formats; format->name; format++) {
		const char *why = run->failed[format - run->formats];
		if (why && !any)
			e3_json_object(j, line(j, "failed"));
		if (why)
			e3_json_text(j, format->name, why);
		any = any || why;
	}
	if (any)
		e3_json_end(j);
}

static void add_facts(e3_json *j, const e3_export_run *run, const run_json *s)
{
	const e3_export_facts *f = &run->facts;
	e3_json_text(j, line(j, "tool"), "e3-export " E3_VERSION);
	e3_json_text(j, line(j, "source"), run->source);
	e3_json_text(j, line(j, "model"), run->model);
	e3_json_text(j, line(j, "policy"), run->policy);
	e3_json_text(j, line(j, "device"), run->device);
	e3_json_bool(j, line(j, "complete"), run->end);
	e3_json_int(j, line(j, "frames_total"), s->base.frames);
	e3_json_int(j, line(j, "w"), s->w);
	e3_json_int(j, line(j, "h"), s->h);
	if (run->budget < 0)
		e3_json_null(j, line(j, "budget_tokens"));
	else
		e3_json_int(j, line(j, "budget_tokens"), run->budget);
	if (run->cloud)
		add_points(j, run);
	if (run->up.n)
		add_up(j, run);
	if (run->opt->placed && run->opt->placed->how)
		add_placed(j, run->opt->placed);
	add_failed(j, run);
	if (f->depth_scale > 0)
		e3_json_real(j, line(j, "depth_scale"), f->depth_scale, 9);
	if (run->end)
		add_inference(j, run->end);
}

static int copy_lines(run_json *s, e3_err *err)
{
	char room[65536];
	size_t n;
	rewind(s->lines);
	while ((n = fread(room, 1, sizeof room, s->lines)) > 0)
		if (e3_file_write(&s->base.file, room, n, err))
			return -1;
	return ferror(s->lines) ? e3_fail_sys(err, "reading a temporary file") : 0;
}

static int end_lines(run_json *s, e3_err *err)
{
	s->json.err = err;
	e3_json_blank(&s->json, "\n ");
	e3_json_end(&s->json);
	return s->json.rc ? -1 : e3_file_write(&s->base.file, s->text.data, s->text.len, err);
}

/* The frames come last, so that they can be copied from their file. */
static int json_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	static const char end[] = "\n}\n";
	run_json *s = (run_json *)w;
	e3_buf b = {0};
	e3_json j = {.to = &b, .err = err};
	e3_json_object(&j, NULL);
	add_facts(&j, run, s);
	e3_json_key(&j, line(&j, "frames"));
	int rc = j.rc || e3_file_write(&s->base.file, b.data, b.len, err) || copy_lines(s, err) || end_lines(s, err) ||
		e3_file_write(&s->base.file, end, sizeof end - 1, err);
	e3_buf_release(&b);
	return rc ? -1 : 0;
}

static int json_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	run_json *s = (run_json *)w;
	s->lines = e3_spool(err);
	s->json = (e3_json){.to = &s->text, .err = err};
	e3_json_array(&s->json, NULL);
	return s->lines ? s->json.rc : -1;
}

static void json_release(e3_format_writer *w)
{
	run_json *s = (run_json *)w;
	e3_buf_release(&s->text);
	if (s->lines)
		fclose(s->lines);
}

const e3_format_ops e3_run_json_format = {.size = sizeof(run_json),
	.open = json_open,
	.add = json_add,
	.cut = json_cut,
	.write = json_write,
	.release = json_release};
