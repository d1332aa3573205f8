/* e3-decode: where frames go: resized if asked for, into the stream, into pictures in a folder. */
#include "decode.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many pictures an earlier run listed in its table. */
static int64_t count_listed(const char *table)
{
	char line[512];
	long long k;
	int64_t n = 0;
	FILE *f = fopen(table, "r");
	while (f && fgets(line, sizeof line, f))
		n = sscanf(line, "%lld\t", &k) == 1 && k == n ? n + 1 : n;
	if (f)
		fclose(f);
	return n;
}

/* Pictures of a longer run before this one, by its own table: others are not ours to remove. */
static void remove_old(const sink *s)
{
	int64_t removed = 0;
	for (int64_t k = s->sent; k < s->listed; k++) {
		char path[4096];
		if (snprintf(path, sizeof path, "%s/%06" PRId64 ".png", s->o->png, k) < (int)sizeof path)
			removed += unlink(path) == 0;
	}
	if (removed)
		e3_note("%s: removed %" PRId64 " picture%s of an earlier run", s->o->png, removed, removed == 1 ? "" : "s");
}

static int open_folder(sink *s, const char *dir, e3_err *err)
{
	e3_buf path = {0};
	int rc = e3_mkdirs(dir, err);
	if (!rc)
		rc = e3_buf_printf(&path, err, "%s/frames.tsv", dir);
	if (!rc)
		s->listed = count_listed(path.data);
	if (!rc)
		rc = e3_file_open(&s->table, path.data, err);
	if (!rc && fputs("kept_index\tsource_index\tpts\tkeyframe\trotation\n", s->table.f) < 0)
		rc = e3_fail_sys(err, "writing: %s", path.data);
	e3_buf_release(&path);
	return rc;
}

static void release(sink *s)
{
	writer_close(s->writer, NULL);
	images_close(s->images);
	s->writer = NULL, s->images = NULL;
	e3_image_release(&s->fitted);
	e3_fitter_close(s->fitter);
	s->fitter = NULL;
}

/* The pictures that were written stay; their table is not that of the whole source. */
static void keep_folder(sink *s)
{
	char *table = NULL;
	if (!s->table.f || s->sent == 0 || e3_file_keep(&s->table, &table, NULL)) {
		e3_file_discard(&s->table);
		return;
	}
	e3_warn("writing: %s: cut short: the %" PRId64 " picture%s that came %s kept in it, listed in %s", s->o->png,
		s->sent, s->sent == 1 ? "" : "s", s->sent == 1 ? "is" : "are", table);
	free(table);
}

static int fail(sink *s, e3_err *err)
{
	e3_stage_finish(s->stage, -1, err);
	release(s);
	keep_folder(s);
	return -1;
}

static int open_pictures(sink *s, const decode_options *o, e3_err *err)
{
	if ((o->png || o->images) && !(s->writer = writer_open(err)))
		return -1;
	s->images = images_open(o->images, o->input.exif, s->writer, err);
	if (!s->images)
		return -1;
	return o->png ? open_folder(s, o->png, err) : 0;
}

int sink_open(sink *s, decode_options *o, e3_err *err)
{
	*s = (sink){.o = o, .stage = &o->stage, .name = e3_input_name(&o->input), .total = -1};
	bool stream = o->stage.output || !o->png;
	if (!o->stage.output)
		o->stage.output = "-";
	if (stream && e3_stage_open_output(s->stage, err))
		return -1;
	return open_pictures(s, o, err) ? fail(s, err) : 0;
}

int sink_head(sink *s, int64_t total, double fps, e3_err *err)
{
	s->begun = true;
	s->total = total;
	if (!s->stage->out)
		return 0;
	e3_head head = e3_stage_head(s->o->input.operand[0]);
	head.frames = total;
	head.fps = fps;
	return e3_out_head(s->stage->out, &head, err);
}

static void show_progress(const sink *s)
{
	char skipped[48] = "";
	if (s->skipped > 0)
		snprintf(skipped, sizeof skipped, ", %" PRId64 " skipped", s->skipped);
	e3_stage_progress(s->stage, s->sent, s->total, ", at %.2f s%s", s->last_pts, skipped);
}

/* Resizes the picture if that was asked for; at->fit leads from source pixels to those of *im. */
static int fit(sink *s, const e3_image **im, e3_source *at, e3_err *err)
{
	const e3_image *in = *im;
	e3_fit_plan plan;
	at->fit = (e3_fit){1, 1, 0, 0};
	if (s->o->fit.target == 0)
		return 0;
	if (!s->fitter && !(s->fitter = e3_fitter_open(s->o->input.threads, err)))
		return -1;
	e3_strips rows = e3_image_strips(in);
	if (e3_fit_plan_make(in->w, in->h, &s->o->fit, &plan, err) ||
		e3_fitter_apply(s->fitter, &rows, &plan, &s->fitted, err))
		return -1;
	if (e3_fit_cut(&plan) > 0 && !s->cut) {
		e3_note("--fit-mode crop: %.0f %% of each tall picture is cut off above and below; --fit-mode long keeps all",
			100 * e3_fit_cut(&plan));
		s->cut = true;
	}
	at->fit = e3_fit_compose(at->fit, &plan, in->w, in->h);
	*im = &s->fitted;
	return 0;
}

/* A message holds so many bytes of picture and a little more. */
static int check_pixels(const e3_image *im, e3_err *err)
{
	const size_t most = ((size_t)256 << 20) - 4096, bytes = 3 * (size_t)im->w * (size_t)im->h;
	if (bytes <= most)
		return 0;
	return e3_fail(err,
		"sending: a picture of %d × %d: %.0f megapixels; a message holds %.0f: --fit %d sends it smaller", im->w, im->h,
		1e-6 * im->w * im->h, 1e-6 * (double)most / 3, 518);
}

static int save_png(sink *s, const e3_image *im, const e3_source *at, bool key, e3_err *err)
{
	e3_buf path = {0};
	int rc = e3_buf_printf(&path, err, "%s/%06" PRId64 ".png", s->o->png, at->i);
	if (!rc)
		rc = writer_png(s->writer, path.data, im, err);
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
	const char *name;
	if (images_add(s->images, im, s->picture, at.src_i, &name, err))
		return -1;
	if (fit(s, &im, &at, err))
		return -1;
	/* borrowed; what crop would cut must not be fitted again */
	e3_frame frame = {.s = at, .w = im->w, .h = im->h, .rgb = im->px};
	frame.name = (char *)(uintptr_t)name;
	frame.prepared = s->o->fit.target > 0 && s->o->fit.mode == E3_FIT_LONG;
	if (s->stage->out && (check_pixels(im, err) || e3_out_frame(s->stage->out, &frame, err)))
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
		e3_detail("%" PRId64 " frame%s sent, from %.3f to %.3f s, in %.2f s", s->sent, s->sent == 1 ? "" : "s",
			s->first_pts, s->last_pts, e3_now() - s->stage->started);
	if (e3_stop_signal())
		return;
	if (s->total >= 0 && s->total != s->sent + s->left_out)
		e3_warn("reading: %s: %" PRId64 " frame%s announced, %" PRId64
				" came: the source is damaged, or its index is wrong",
			s->name, s->total, s->total == 1 ? " was" : "s were", s->sent);
	else if (s->sent == 0)
		e3_warn("reading: %s: no frame was kept: the source is shorter than one interval, or has no frame from --start "
				"to --end",
			s->name);
}

static int end(sink *s, e3_err *err)
{
	report(s);
	int rc = writer_close(s->writer, err);
	s->writer = NULL;
	if (!rc && !s->begun)
		rc = sink_head(s, -1, 0, err);
	e3_end last = e3_stage_end(s->stage, s->sent);
	if (!rc && s->stage->out)
		rc = e3_out_end(s->stage->out, &last, err);
	if (s->sent == 0 && e3_stop_signal())
		e3_file_discard(&s->table); /* no list of no pictures */
	if (!rc && s->table.f) {
		rc = e3_file_commit(&s->table, err);
		if (!rc)
			remove_old(s);
	}
	release(s);
	return e3_stage_finish(s->stage, rc, err);
}

int sink_close(sink *s, int rc, e3_err *err)
{
	e3_err ending = {""};
	if (rc && !s->lost)
		return fail(s, err);
	if (end(s, &ending)) {
		*err = ending;
		return fail(s, err);
	}
	return rc;
}
