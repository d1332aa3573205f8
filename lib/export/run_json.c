/* export: run.json: what the other formats cannot say (doc/formats.md 4.9): where each frame came from, and what was
 * chosen. The lines of the frames wait in a temporary file. */
#include "e3/tool.h"
#include "export/writer.h"
#include <inttypes.h>
#include <stdlib.h>

typedef struct run_json {
	e3_format_writer base;
	FILE *lines;
	int w, h;
} run_json;

static int json_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	run_json *s = (run_json *)w;
	const e3_pred *p = frame->pred;
	if (!run->facts.frames)
		s->w = p->w, s->h = p->h;
	int rc = fprintf(s->lines,
		"%s\n  {\"index\":%" PRId64 ",\"source_frame\":%" PRId64
		",\"pts\":%.9g,\"src_w\":%d,\"src_h\":%d,\"rotation\":%d,"
		"\"w\":%d,\"h\":%d,\"fit\":[%.17g,%.17g,%.17g,%.17g],\"ms\":%.6g}",
		run->facts.frames ? "," : "", p->s.i, p->s.src_i, p->s.pts, p->s.src_w, p->s.src_h, p->s.rot, p->w, p->h,
		p->s.fit.sx, p->s.fit.sy, p->s.fit.tx, p->s.fit.ty, p->ms);
	return rc < 0 ? e3_fail_sys(err, "spooling frames to a temporary file (TMPDIR chooses where)") : 0;
}

static int add_text(e3_buf *b, const char *key, const char *text, e3_err *err)
{
	if (e3_buf_printf(b, err, "\n \"%s\":", key))
		return -1;
	return (text ? e3_buf_json(b, text, err) : e3_buf_printf(b, err, "null")) ? -1 : e3_buf_printf(b, err, ",");
}

static int add_points(e3_buf *b, const e3_export_run *run, e3_err *err)
{
	const e3_export_facts *f = &run->facts;
	int rc = e3_buf_printf(b, err,
		"\n \"points\":{\"from\":\"%s\",\"candidates\":%" PRIu64 ",\"not_finite\":%" PRIu64 ",\"kept\":%" PRIu64 ",",
		f->from_depth ? "depth" : "map", f->points, f->non_finite, f->kept);
	for (const e3_format *format = run->formats; !rc && format->name; format++)
		if (format->points)
			rc = e3_buf_printf(b, err, "\"%s\":%" PRIu64 ",", format->name, f->written[format - run->formats]);
	if (!rc)
		rc = e3_buf_printf(b, err,
			"\"conf_pct\":%.9g,\"conf_min\":%.9g,\"threshold\":%.9g,\"voxel\":%.9g},\n \"scene_scale\":%.9g,",
			run->opt->cloud.conf_pct, run->opt->cloud.conf_min, f->threshold, f->voxel, f->scene_scale);
	return rc;
}

static int add_facts(e3_buf *b, const e3_export_run *run, const run_json *s, e3_err *err)
{
	const e3_export_facts *f = &run->facts;
	const e3_end *end = run->end;
	int rc = e3_buf_printf(b, err,
		"\n \"complete\":%s,\n \"frames_total\":%" PRId64 ",\n \"w\":%d,\n \"h\":%d,\n \"budget_tokens\":",
		end ? "true" : "false", f->frames, s->w, s->h);
	if (!rc)
		rc = run->budget < 0 ? e3_buf_printf(b, err, "null,") : e3_buf_printf(b, err, "%" PRId64 ",", run->budget);
	if (!rc && run->cloud)
		rc = add_points(b, run, err);
	if (!rc && f->depth_scale > 0)
		rc = e3_buf_printf(b, err, "\n \"depth_scale\":%.9g,", f->depth_scale);
	if (!rc && end)
		rc = e3_buf_printf(b, err,
			"\n \"inference\":{\"seconds\":%.9g,\"peak_rss\":%" PRIu64 ",\"cache_now\":%" PRIu64
			",\"cache_peak\":%" PRIu64 ",\"cache_full\":%" PRIu64 "},",
			end->seconds, end->peak_rss, end->cache_now, end->cache_peak, end->cache_full);
	return rc ? rc : e3_buf_printf(b, err, "\n \"frames\":[");
}

static int copy_lines(run_json *s, e3_err *err)
{
	char room[65536];
	size_t n;
	rewind(s->lines);
	while ((n = fread(room, 1, sizeof room, s->lines)) > 0)
		if (e3_file_write(&s->base.file, room, n, err))
			return -1;
	return ferror(s->lines) ? e3_fail_sys(err, "reading frames back from a temporary file") : 0;
}

static int json_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	static const char end[] = "\n ]\n}\n";
	run_json *s = (run_json *)w;
	e3_buf b = {0};
	int rc = e3_buf_printf(&b, err, "{\n \"tool\":\"e3-export %s\",", E3_VERSION);
	if (!rc)
		rc = add_text(&b, "source", run->source, err) || add_text(&b, "model", run->model, err) ||
			add_text(&b, "policy", run->policy, err) || add_text(&b, "device", run->device, err) ||
			add_facts(&b, run, s, err);
	if (!rc)
		rc = e3_file_write(&s->base.file, b.data, b.len, err) || copy_lines(s, err) ||
			e3_file_write(&s->base.file, end, sizeof end - 1, err);
	e3_buf_release(&b);
	return rc;
}

static int json_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	run_json *s = (run_json *)w;
	s->lines = e3_spool(err);
	return s->lines ? 0 : -1;
}

static void json_release(e3_format_writer *w)
{
	run_json *s = (run_json *)w;
	if (s->lines)
		fclose(s->lines);
}

const e3_format_ops e3_run_json_format = {.size = sizeof(run_json),
	.open = json_open,
	.add = json_add,
	.write = json_write,
	.release = json_release};
