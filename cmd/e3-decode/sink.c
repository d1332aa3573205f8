/* e3-decode: where frames go: the network's resize when asked for, the stream, pictures in a folder, the progress line.
 */
#include "decode.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int open_folder(sink *s, const char *dir, e3_err *err)
{
	e3_buf path = {0};
	int rc = e3_mkdirs(dir, err);
	if (!rc)
		rc = e3_buf_printf(&path, err, "%s/frames.tsv", dir);
	if (!rc)
		rc = e3_file_open(&s->table, path.data, err);
	if (!rc && fputs("kept_index\tsource_index\tpts\tkeyframe\trotation\n", s->table.f) < 0)
		rc = e3_fail_sys(err, "writing: %s", path.data);
	e3_buf_release(&path);
	return rc;
}

int sink_open(sink *s, const decode_options *o, const char *source, e3_err *err)
{
	*s = (sink){.o = o,
		.stage = o->stage,
		.source = source,
		.name = strcmp(source, "-") ? source : "standard input",
		.total = -1,
		.started = e3_now()};
	if (!o->stage.output)
		s->stage.output = "-";
	if ((o->stage.output || !o->png) && e3_stage_open_output(&s->stage, err))
		return -1;
	if (o->png && open_folder(s, o->png, err)) {
		sink_abort(s, err);
		return -1;
	}
	return 0;
}

int sink_head(sink *s, int64_t total, double fps, e3_err *err)
{
	s->begun = true;
	s->total = total;
	if (!s->stage.out)
		return 0;
	e3_head head = e3_stage_head(s->source);
	head.frames = total;
	head.fps = fps;
	return e3_out_head(s->stage.out, &head, err);
}

static void show_progress(const sink *s)
{
	if (!e3_progress_due())
		return;
	double rate = (double)s->sent / (e3_now() - s->started + 1e-9);
	if (s->total > 0)
		e3_progress("%" PRId64 "/%" PRId64 " frames  %.1f frames/s  at %.2f s  %.0f s left", s->sent, s->total, rate,
			s->last_pts, (double)(s->total - s->sent) / rate);
	else if (s->skipped > 0)
		e3_progress("%" PRId64 " frames  %.1f frames/s  at %.2f s  %" PRId64 " skipped", s->sent, rate, s->last_pts,
			s->skipped);
	else
		e3_progress("%" PRId64 " frames  %.1f frames/s  at %.2f s", s->sent, rate, s->last_pts);
}

/* The picture as it leaves, and the affine that leads from source pixels to its own. */
static int fit(sink *s, const e3_image **im, e3_source *at, e3_err *err)
{
	const e3_fit_rule rule = {(int)s->o->fit, (int)s->o->patch, (e3_fit_mode)s->o->fit_mode};
	const e3_image *in = *im;
	e3_fit_plan plan;
	at->fit = (e3_fit){1, 1, 0, 0};
	if (s->o->fit == 0)
		return 0;
	e3_image_release(&s->fitted);
	if (e3_fit_plan_make(in->w, in->h, &rule, &plan, err) || e3_fit_apply(in, &plan, &s->fitted, err))
		return -1;
	at->fit = e3_fit_compose(at->fit, &plan, in->w, in->h);
	*im = &s->fitted;
	return 0;
}

static int save_png(sink *s, const e3_image *im, const e3_source *at, bool key, e3_err *err)
{
	e3_buf path = {0};
	int rc = e3_buf_printf(&path, err, "%s/%06" PRId64 ".png", s->o->png, at->i);
	if (!rc)
		rc = e3_png_save(path.data, im, err);
	if (!rc &&
		fprintf(s->table.f, "%" PRId64 "\t%" PRId64 "\t%.6f\t%d\t%d\n", at->i, at->src_i, at->pts, key, at->rot) < 0)
		rc = e3_fail_sys(err, "writing: %s", s->table.path);
	e3_buf_release(&path);
	return rc;
}

int sink_frame(sink *s, const e3_image *im, e3_source at, bool key, e3_err *err)
{
	at.i = s->sent;
	at.src_w = im->w, at.src_h = im->h;
	if (fit(s, &im, &at, err))
		return -1;
	e3_frame frame = {.s = at, .w = im->w, .h = im->h, .rgb = im->px}; /* borrowed */
	if (s->stage.out && e3_out_frame(s->stage.out, &frame, err))
		return -1;
	if (s->o->png && save_png(s, im, &at, key, err))
		return -1;
	s->first_pts = s->sent ? s->first_pts : at.pts;
	s->last_pts = at.pts;
	s->sent++;
	show_progress(s);
	return 0;
}

static void report(const sink *s)
{
	if (s->sent)
		e3_detail("%" PRId64 " frames sent, from %.3f to %.3f s, in %.2f s", s->sent, s->first_pts, s->last_pts,
			e3_now() - s->started);
	if (e3_stop_signal())
		return;
	if (s->total >= 0 && s->total != s->sent)
		e3_warn("reading: %s: %" PRId64 " frames were announced, %" PRId64
				" came: the source is damaged, or its index wrong",
			s->name, s->total, s->sent);
	else if (s->sent == 0)
		e3_warn(
			"reading: %s: no frame was kept: the source is shorter than one interval, or --start to --end holds nothing",
			s->name);
}

int sink_end(sink *s, e3_err *err)
{
	report(s);
	int rc = s->begun ? 0 : sink_head(s, -1, 0, err);
	e3_end end = e3_stage_end(&s->stage, s->sent);
	if (!rc && s->stage.out)
		rc = e3_out_end(s->stage.out, &end, err);
	if (!rc && s->table.f)
		rc = e3_file_commit(&s->table, err);
	rc = e3_stage_finish(&s->stage, rc, err);
	e3_image_release(&s->fitted);
	return rc;
}

void sink_abort(sink *s, e3_err *why)
{
	e3_stage_finish(&s->stage, -1, why);
	e3_file_discard(&s->table);
	e3_image_release(&s->fitted);
}
