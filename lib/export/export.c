/* export: one run. Every output stands on its own: one that fails is given up, the others go on. Parts stay apart under
 * names of their own. Knows no format but through the table. */
#include "export/writer.h"
#include <stdlib.h>
#include <string.h>

struct e3_export {
	e3_export_run run;
	e3_format_writer *writer[E3_MAX_FORMATS];
	int n, n_failed;
	e3_err why;   /* of the first that failed */
	bool writing; /* the stream is over */
	bool refused; /* a mask is missing or unreadable: nothing is made */
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
	e3_outdir_kind kind = {o->format->holds, ops->ours};
	if (e3_output_is_folder(o) ? e3_outdir_open(&w->dir, o->path, err) || e3_outdir_claim(&w->dir, &kind, err)
							   : e3_file_renew(&w->file, o->path, err))
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
	e3_export_run *r = &x->run;
	bool keep = points || (r->parts & (E3_PART_KEEP | E3_PART_MASK));
	if ((r->parts || keep) && !(r->frames = e3_frame_spool_open(err)))
		return -1;
	if (r->frames)
		e3_frame_spool_stop_by(r->frames, o->stop);
	if (keep && !(r->clean = e3_clean_open(&o->cloud, r->frames, err)))
		return -1;
	if (points && !(r->cloud = e3_cloud_open(&o->cloud, r->frames, r->clean, err)))
		return -1;
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
	r->announced = head->frames > 0 ? head->frames : 0;
	if (copy_text(&r->source, head->source, err) || copy_text(&r->model, head->model, err) ||
		copy_text(&r->policy, head->policy, err) || copy_text(&r->device, head->device, err))
		return -1;
	return 0;
}

/* A pipe or a device cannot say that what comes is not all: it gets no more. */
static bool in_place(const e3_format_writer *w) { return !w->dir.path && !w->file.temp; }

static bool has_points(const e3_format_writer *w) { return w->format->points; }
static bool uses_keep(const e3_format_writer *w) { return has_points(w) || (w->format->ops->parts & E3_PART_KEEP); }
static bool uses_clean(const e3_format_writer *w) { return uses_keep(w) || (w->format->ops->parts & E3_PART_MASK); }
static bool uses_frames(const e3_format_writer *w) { return has_points(w) || w->format->ops->parts; }

/* Does an output still take frames, of those that `uses` chooses (NULL: all)? */
static bool going(const e3_export *x, bool (*uses)(const e3_format_writer *w))
{
	for (int k = 0; k < x->n; k++)
		if (!x->writer[k]->failed && (!uses || uses(x->writer[k])))
			return true;
	return false;
}

static const char *path_of(const e3_format_writer *w) { return w->dir.path ? w->dir.path : w->file.path; }

/* An output fails, alone. The first reason is what the run reports at its end, the others are told at once, and so is
 * the first when there is more to come. kept: what it has taken is whole. */
static void give_up(e3_export *x, e3_format_writer *w, bool kept, const e3_err *why)
{
	e3_err text = *why;
	char shown[sizeof text.text];
	const char *path = path_of(w);
	path = path && strcmp(path, "-") == 0 ? "standard output" : path;
	snprintf(shown, sizeof shown, "%s", path ? path : "");
	e3_text_clean(shown); /* as it is in a message */
	if (path && !strstr(text.text, shown))
		e3_fail_in(&text, "writing: %s", path);
	bool later = kept && w->format->ops->write; /* its frames are still to be written */
	if (w->dir.path && !later)
		w->frames = w->format->ops->whole ? 0 : e3_outdir_count(&w->dir);
	w->kept = (kept || w->dir.path) && w->frames && !in_place(w);
	if (!w->failed) {
		x->run.failed[w->format - e3_formats] = strdup(text.text);
		if (!x->n_failed++)
			x->why = text;
	}
	w->failed = true, w->up = x->run.up;
	bool more = !x->writing && going(x, NULL);
	if (more || x->n_failed > 1)
		e3_tell(E3_TELL_WARN, "%s%s", text.text, more ? "; the other outputs continue" : "");
	if (!w->kept) { /* its room is for the others */
		if (w->dir.path)
			e3_outdir_discard(&w->dir);
		else if (!in_place(w))
			e3_file_discard(&w->file);
	}
}

/* What several outputs are made of cannot grow any more. */
static void give_up_all(e3_export *x, bool (*uses)(const e3_format_writer *w), bool kept, const e3_err *why)
{
	for (int k = 0; k < x->n; k++)
		if (!x->writer[k]->failed && uses(x->writer[k]))
			give_up(x, x->writer[k], kept, why);
}

static int sum_up(const e3_export *x, e3_err *err)
{
	if (!x->n_failed)
		return 0;
	if (x->n == 1)
		return e3_fail(err, "%s", x->why.text);
	return e3_fail(err, "exporting: %d of %d outputs failed: %s", x->n_failed, x->n, x->why.text);
}

/* What an output cannot hold: of the first frame it is refused, before another output has taken it; later the output
 * fails, alone. */
static int check(e3_export *x, const e3_export_frame *frame, e3_err *err)
{
	const bool first = !x->run.facts.frames;
	if (going(x, uses_clean)) {
		x->refused = e3_clean_mask(x->run.clean, frame->pred, x->run.facts.frames, err);
		if (x->refused)
			return -1;
		bool fits = !e3_clean_check(x->run.clean, frame->pred, err);
		if (!fits && first)
			return -1;
		if (!fits)
			give_up_all(x, uses_clean, true, err);
	}
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		if (w->failed || !w->format->ops->check || !w->format->ops->check(w, frame->pred, err))
			continue;
		if (first)
			return -1;
		give_up(x, w, true, err);
	}
	return going(x, NULL) ? 0 : sum_up(x, err);
}

static void add_to_spool(e3_export *x, const e3_pred *pred)
{
	e3_export_run *r = &x->run;
	e3_err why, other;
	bool clean = going(x, uses_clean);
	unsigned parts = r->parts | (clean ? e3_clean_parts(r->clean, pred) : 0);
	if (going(x, uses_frames) &&
		e3_frame_spool_add(r->frames, pred, clean ? e3_clean_masked(r->clean) : NULL, parts, &why))
		give_up_all(x, uses_frames, !e3_frame_spool_cut(r->frames, &other), &why);
}

/* For the message that names what there is. */
static void note_class(char *to, size_t size, const char *class)
{
	size_t n = strlen(to), len = strlen(class);
	const char *at = strstr(to, class);
	for (; at; at = strstr(at + 1, class))
		if ((at == to || at[-1] == ' ') && (!at[len] || at[len] == ','))
			return;
	if (n + len + 3 < size)
		snprintf(to + n, size - n, "%s%s", n ? ", " : "", class);
}

int e3_export_mask(e3_export *x, const e3_pred *pred, const e3_mask *mask, e3_err *err)
{
	const e3_cloud_options *o = &x->run.opt->cloud;
	e3_export_facts *f = &x->run.facts;
	int k = 0;
	while (k < o->n_masks && strcmp(o->mask[k], mask->class) != 0)
		k++;
	if (k == o->n_masks) {
		note_class(f->mask_classes, sizeof f->mask_classes, mask->class);
		return 0;
	}
	if (mask->i != pred->s.i) {
		f->masks_late++;
		return 0;
	}
	f->mask_frames[k]++;
	return going(x, uses_clean) ? e3_clean_leave_out(x->run.clean, pred, mask, err) : 0;
}

int e3_export_add(e3_export *x, const e3_pred *pred, e3_err *err)
{
	e3_export_run *r = &x->run;
	e3_export_frame frame;
	e3_err why, other;
	if (e3_export_frame_init(&frame, pred, err) || check(x, &frame, err))
		return -1;
	if (!r->facts.frames && pred->has_pose) {
		r->first = frame.pose;
		r->has_first = true;
	}
	add_to_spool(x, pred);
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		const e3_format_ops *ops = w->format->ops;
		if (w->failed)
			continue;
		if (ops->add && ops->add(w, r, &frame, &why))
			give_up(x, w, !ops->cut || !ops->cut(w, &other), &why);
		else
			w->frames++;
	}
	if (pred->has_pose)
		e3_up_add(&r->up, &frame.pose);
	r->facts.frames++;
	if (r->facts.frames == 1 && r->frames)
		e3_frame_spool_expect(r->frames, r->announced);
	r->facts.spooled = r->frames ? e3_frame_spool_bytes(r->frames) : 0;
	return going(x, NULL) ? 0 : sum_up(x, err);
}

/* Is there something of it to write? `broken`: the stream failed. */
static bool wanted(const e3_format_writer *w, bool broken)
{
	return w->failed ? w->kept : w->frames && !(broken && in_place(w));
}

static bool stopped(const e3_export *x, e3_err *err)
{
	const e3_export_options *o = x->run.opt;
	return o->stop && o->stop() && e3_fail(err, "exporting: interrupted");
}

static bool any_wanted(const e3_export *x, bool (*uses)(const e3_format_writer *w), bool broken)
{
	for (int k = 0; k < x->n; k++)
		if (uses(x->writer[k]) && wanted(x->writer[k], broken))
			return true;
	return false;
}

/* -1: the run was stopped. */
static int settle(e3_export *x, bool broken, e3_err *err)
{
	e3_export_run *r = &x->run;
	bool (*uses)(const e3_format_writer *w) = uses_keep;
	e3_err why;
	if (r->frames)
		e3_frame_spool_limit(r->frames, INT64_MAX);
	int rc = any_wanted(x, uses_keep, broken) ? e3_clean_settle(r->clean, &r->facts, &why) : 0;
	if (!rc && any_wanted(x, has_points, broken)) {
		uses = has_points;
		rc = e3_cloud_settle(r->cloud, r->parts & E3_PART_NORMALS, &r->facts, &why);
	}
	if (!rc)
		return 0;
	if (stopped(x, err))
		return -1;
	for (int k = 0; k < x->n; k++)
		if (uses(x->writer[k]) && wanted(x->writer[k], broken))
			give_up(x, x->writer[k], false, &why);
	return 0;
}

/* -1: the run was stopped. */
static int write_outputs(e3_export *x, bool broken, const e3_end *end, e3_err *err)
{
	e3_export_run *r = &x->run;
	const e3_up_sums up = r->up;
	x->writing = true;
	if (settle(x, broken, err))
		return -1;
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		e3_err why;
		if (!wanted(w, broken))
			continue;
		r->end = w->failed ? NULL : end;
		r->up = w->failed ? w->up : up;
		if (r->frames)
			e3_frame_spool_limit(r->frames, w->frames);
		int rc = (w->format->ops->write && w->format->ops->write(w, r, &why)) || e3_writer_flush(w, &why);
		if (rc && stopped(x, err))
			return -1;
		if (rc)
			give_up(x, w, false, &why);
		else
			r->facts.written[w->format - e3_formats] = w->points;
	}
	return 0;
}

/* A part appears under a name of its own, files of a folder in it. */
static int keep_output(e3_format_writer *w, e3_err *err)
{
	int64_t n = w->frames;
	const char *frames = n == 1 ? "frame" : "frames", *are = n == 1 ? "is" : "are";
	char *path = strdup(path_of(w)), *name = NULL;
	if (!path)
		return e3_fail(err, "writing: out of memory");
	int rc = w->dir.path ? e3_outdir_commit(&w->dir, w->format->ops->whole, err) : e3_file_keep(&w->file, &name, err);
	if (!rc)
		e3_tell(E3_TELL_WARN, "writing: %s: cut short: the %lld %s that came %s kept in %s", path, (long long)n, frames,
			are, name ? name : "it");
	free(path), free(name);
	return rc;
}

/* A name that one output does not get holds back no other. */
static void name_outputs(e3_export *x, bool broken)
{
	for (int k = 0; k < x->n; k++) {
		e3_format_writer *w = x->writer[k];
		e3_err why;
		bool part = w->failed || broken;
		if (w->failed ? !w->kept : !wanted(w, broken))
			continue;
		int rc = part     ? keep_output(w, &why)
			: w->dir.path ? e3_outdir_commit(&w->dir, true, &why)
						  : e3_file_commit(&w->file, &why);
		if (rc)
			give_up(x, w, false, &why);
		x->run.facts.made[w->format - e3_formats] = !rc && !part;
	}
}

int e3_export_finish(e3_export *x, const e3_end *end, e3_err *err)
{
	if (!x->run.facts.frames)
		return e3_fail(err, "exporting: the stream has no predictions");
	if (write_outputs(x, false, end, err))
		return -1;
	name_outputs(x, false);
	return sum_up(x, err);
}

int e3_export_keep(e3_export *x, e3_err *err)
{
	int before = x->n_failed;
	if (x->refused)
		return 0;
	if (write_outputs(x, true, NULL, err))
		return -1;
	name_outputs(x, true);
	return x->n_failed > before ? sum_up(x, err) : 0;
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
	for (int k = 0; k < E3_MAX_FORMATS; k++)
		free(x->run.failed[k]);
	e3_cloud_close(x->run.cloud);
	e3_clean_close(x->run.clean);
	e3_frame_spool_close(x->run.frames);
	free(x->run.source);
	free(x->run.model);
	free(x->run.policy);
	free(x->run.device);
	free(x);
}
