/* export: one run: its outputs appear together or not at all; those of a stream that failed stay apart. Knows no format
 * but through the table. */
#include "export/writer.h"
#include <stdlib.h>
#include <string.h>

struct e3_export {
	e3_export_run run;
	e3_format_writer *writer[E3_MAX_FORMATS];
	int n;
};

bool e3_output_is_folder(const e3_output *o) { return o->per_frame || o->format->kind == E3_FORMAT_FOLDER; }

static int open_output(e3_export *x, const e3_output *o, e3_err *err)
{
	const e3_format_ops *ops = o->format->ops;
	e3_format_writer *w = e3_alloc(1, ops->size, o->format->name, err);
	if (!w)
		return -1;
	w->format = o->format;
	x->writer[x->n++] = w;
	x->run.parts |= ops->parts;
	if (e3_output_is_folder(o) ? e3_outdir_open(&w->dir, o->path, err) : e3_file_renew(&w->file, o->path, err))
		return -1;
	return ops->open ? ops->open(w, &x->run, err) : 0;
}

static int open_outputs(e3_export *x, e3_err *err)
{
	const e3_export_options *o = x->run.opt;
	bool points = false;
	for (const e3_format *f = e3_formats; f->name; f++)
		for (int k = 0; k < o->n_outputs; k++) {
			if (o->output[k].format != f)
				continue;
			if (open_output(x, &o->output[k], err))
				return -1;
			points = points || f->points;
		}
	if (points && !(x->run.cloud = e3_cloud_open(&o->cloud, err)))
		return -1;
	if (x->run.cloud)
		e3_cloud_stop_by(x->run.cloud, o->stop);
	if (x->run.parts && !(x->run.frames = e3_frame_spool_open(err)))
		return -1;
	if (x->run.frames)
		e3_frame_spool_stop_by(x->run.frames, o->stop);
	return 0;
}

e3_export *e3_export_open(const e3_export_options *opt, e3_err *err)
{
	e3_export *x = e3_alloc(1, sizeof *x, "the export", err);
	if (!x)
		return NULL;
	x->run.opt = opt;
	x->run.formats = e3_formats;
	x->run.budget = -1;
	if (open_outputs(x, err)) {
		e3_export_close(x);
		return NULL;
	}
	return x;
}

static int copy_text(char **to, const char *from, e3_err *err)
{
	free(*to);
	*to = from ? strdup(from) : NULL;
	return from && !*to ? e3_fail(err, "reading the head: out of memory") : 0;
}

int e3_export_head(e3_export *x, const e3_head *head, e3_err *err)
{
	e3_export_run *r = &x->run;
	r->budget = head->budget;
	if (copy_text(&r->source, head->source, err) || copy_text(&r->model, head->model, err) ||
		copy_text(&r->policy, head->policy, err) || copy_text(&r->device, head->device, err))
		return -1;
	return 0;
}

int e3_export_add(e3_export *x, const e3_pred *pred, e3_err *err)
{
	e3_export_run *r = &x->run;
	e3_export_frame frame;
	if (e3_export_frame_init(&frame, pred, err))
		return -1;
	if (!r->facts.frames && pred->has_pose) {
		r->first = frame.pose;
		r->has_first = true;
	}
	if (r->cloud && e3_cloud_add(r->cloud, &frame, &r->facts, err))
		return -1;
	if (r->frames && e3_frame_spool_add(r->frames, pred, r->parts, err))
		return -1;
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		if (w->format->ops->add && w->format->ops->add(w, r, &frame, err))
			return -1;
	}
	r->facts.frames++;
	r->facts.spooled = (r->cloud ? e3_cloud_bytes(r->cloud) : 0) + (r->frames ? e3_frame_spool_bytes(r->frames) : 0);
	return 0;
}

/* A pipe or a device cannot say that what comes is not all: of a stream that failed it gets no more. */
static bool in_place(const e3_format_writer *w) { return !w->dir.path && !w->file.temp; }

static int write_outputs(e3_export *x, bool failed, e3_err *err)
{
	e3_export_run *r = &x->run;
	if (r->cloud && e3_cloud_settle(r->cloud, &r->facts, err))
		return -1;
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		if (failed && in_place(w))
			continue;
		if ((w->format->ops->write && w->format->ops->write(w, r, err)) || e3_writer_flush(w, err))
			return -1;
		r->facts.written[w->format - e3_formats] = w->points;
	}
	return 0;
}

int e3_export_finish(e3_export *x, const e3_end *end, e3_err *err)
{
	x->run.end = end;
	if (!x->run.facts.frames)
		return e3_fail(err, "exporting: the stream has no predictions");
	if (write_outputs(x, false, err))
		return -1;
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		if (w->dir.path ? e3_outdir_commit(&w->dir, err) : e3_file_commit(&w->file, err))
			return -1;
	}
	return 0;
}

static int keep_output(const e3_export *x, e3_format_writer *w, e3_err *err)
{
	int64_t n = x->run.facts.frames;
	const char *frames = n == 1 ? "frame" : "frames", *are = n == 1 ? "is" : "are";
	char *path = NULL, *name = NULL;
	if (in_place(w))
		return 0;
	if (asprintf(&path, "%s", w->dir.path ? w->dir.path : w->file.path) < 0)
		return e3_fail(err, "writing: out of memory");
	int rc = w->dir.path ? e3_outdir_commit(&w->dir, err) : e3_file_keep(&w->file, &name, err);
	if (!rc)
		e3_tell(E3_TELL_WARN, "writing: %s: cut short: the %lld %s that came %s kept in %s", path, (long long)n, frames,
			are, name ? name : "it");
	free(path), free(name);
	return rc;
}

int e3_export_keep(e3_export *x, e3_err *err)
{
	if (x->run.facts.frames && write_outputs(x, true, err))
		return -1;
	for (int k = 0; x->run.facts.frames && k < x->n; k++)
		if (keep_output(x, x->writer[k], err))
			return -1;
	return 0;
}

const e3_export_facts *e3_export_facts_of(const e3_export *x) { return &x->run.facts; }

void e3_export_close(e3_export *x)
{
	if (!x)
		return;
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		if (w->format->ops->release)
			w->format->ops->release(w);
		e3_file_discard(&w->file);
		e3_outdir_discard(&w->dir);
		free(w);
	}
	e3_cloud_close(x->run.cloud);
	e3_frame_spool_close(x->run.frames);
	free(x->run.source);
	free(x->run.model);
	free(x->run.policy);
	free(x->run.device);
	free(x);
}
