/* e3-export: what was written, one line for each output, and warnings. */
#include "export.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *name_of(const char *path) { return strcmp(path, "-") == 0 ? "standard output" : path; }

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

static void tell_points(const char *path, uint64_t n, const e3_export_options *opt, const e3_export_facts *f)
{
	e3_note("%s: %" PRIu64 " point%s of %" PRIu64 " (%" PRIu64 " passed confidence %.4g and masks), %" PRId64
			" frame%s",
		name_of(path), n, plural((int64_t)n), f->points, f->kept, fmax(f->threshold, opt->cloud.conf_min), f->frames,
		plural(f->frames));
}

/* Points of equal confidence stay or go together, so a percentile may drop far fewer than it says. */
static void warn_of_ties(const e3_export_options *opt, const e3_export_facts *f)
{
	double q = opt->cloud.conf_pct, asked = q / 100 * ((double)f->points - 1);
	if (asked < 1 || (double)(f->below + f->at_edges + f->seen_through + f->too_far) >= 0.75 * asked)
		return;
	if (f->masked && f->threshold == 0)
		e3_warn("--conf-pct %g dropped no point: %" PRIu64 " of %" PRIu64
				" are masked, which count as confidence 0, and those are the least confident %g %%",
			q, f->masked, f->points, q);
	else
		e3_warn("--conf-pct %g dropped %" PRIu64 " of %" PRIu64 " points: %" PRIu64
				" have the confidence at that percentile, %.9g%s, and stay; --conf-min drops below a confidence",
			q, f->below, f->points, f->ties, f->threshold,
			opt->cloud.clean == E3_CLEAN_CONSISTENT ? " (less where frames disagree)" : "");
}

static void tell_cleaning(const e3_export_facts *f)
{
	double all = f->points ? 100 / (double)f->points : 0;
	if (f->at_edges + f->seen_through + f->too_far)
		e3_note(
			"cleaning dropped %.1f %% of the points at edges, %.1f %% that other frames see through, %.2g %% too far away",
			all * (double)f->at_edges, all * (double)f->seen_through, all * (double)f->too_far);
}

static void tell_mesh(const char *path, const e3_export_facts *f)
{
	const e3_mesh_facts *m = &f->mesh;
	int64_t n = f->frames - m->skipped_frames;
	e3_note("%s: %" PRIu32 " triangles, %" PRIu32 " vertices, voxel %.4g, %" PRId64 " frame%s", name_of(path),
		m->triangles, m->vertices, m->voxel, n, plural(n));
	if (m->skipped_frames)
		e3_warn("%s: %" PRId64 " frame%s left out: no usable field of view", name_of(path), m->skipped_frames,
			plural(m->skipped_frames));
	e3_detail("mesh: truncation %.4g, frames disagree by %.2g %% of the depth, %.1f MiB of voxels, %" PRIu32
			  " small pieces dropped",
		m->trunc, 100 * m->noise, (double)m->bytes / (1 << 20), m->dropped);
}

/* Masks that were asked for and did not come. */
static void warn_of_masks(const e3_export_options *opt, const e3_export_facts *f)
{
	for (int k = 0; k < opt->cloud.n_masks; k++) {
		const char *class = opt->cloud.mask[k];
		if (!f->mask_frames[k])
			e3_warn("--mask %s: the stream has no mask of this class: it has %s; e3-mask makes them", class,
				f->mask_classes[0] ? f->mask_classes : "none of any other");
		else if (f->mask_frames[k] < f->frames)
			e3_warn("--mask %s: %" PRId64 " of %" PRId64 " frames have no mask of this class", class,
				f->frames - f->mask_frames[k], f->frames);
	}
	if (f->masks_late)
		e3_warn("%" PRId64 " mask%s not directly after the frame they belong to: not used", f->masks_late,
			f->masks_late == 1 ? " was" : "s were");
}

static void warn_about(const e3_export_options *opt, const e3_export_facts *f)
{
	if (f->non_finite)
		e3_warn("left out %" PRIu64 " point%s with a coordinate or confidence that is not finite", f->non_finite,
			plural((int64_t)f->non_finite));
	if (opt->cloud.source == E3_POINTS_AUTO && !f->from_depth && !opt->upstream)
		e3_note("the stream has no depth with poses: points come from the point map");
	if (f->skipped_frames)
		e3_warn("%" PRId64 " frame%s without points: no usable field of view to unproject the depth", f->skipped_frames,
			plural(f->skipped_frames));
	if (f->borrowed_frames)
		e3_warn("%" PRId64 " frame%s took the point map instead: no usable field of view to unproject the depth",
			f->borrowed_frames, plural(f->borrowed_frames));
	tell_cleaning(f);
	warn_of_ties(opt, f);
	if (!f->kept)
		e3_warn("no point is left");
}

void e3_export_tell(const e3_export_options *opt, const e3_export_facts *f)
{
	bool points = false;
	for (int k = 0; k < opt->n_outputs; k++)
		points = points || (opt->output[k].format->points && f->made[opt->output[k].format - e3_formats]);
	warn_of_masks(opt, f);
	if (points)
		warn_about(opt, f);
	for (int k = 0; k < opt->n_outputs; k++) {
		const e3_output *out = &opt->output[k];
		if (!f->made[out->format - e3_formats])
			continue;
		if (out->format->points)
			tell_points(out->path, f->written[out->format - e3_formats], opt, f);
		else if (strcmp(out->format->name, "mesh") == 0)
			tell_mesh(out->path, f);
		else if (f->written[out->format - e3_formats])
			e3_note("%s: %" PRIu64 " picture%s of %" PRId64 " frame%s, %" PRIu64 " point%s", name_of(out->path),
				f->pictures, plural((int64_t)f->pictures), f->frames, plural(f->frames),
				f->written[out->format - e3_formats], plural((int64_t)f->written[out->format - e3_formats]));
		else
			e3_note("%s: %" PRId64 " frame%s", name_of(out->path), f->frames, plural(f->frames));
	}
	if (points)
		e3_detail("scene scale %.6g, voxel %.6g, %.1f MB spooled", f->scene_scale, f->voxel, (double)f->spooled / 1e6);
	if (f->depth_scale > 0)
		e3_detail("16-bit depth = value / %.9g", f->depth_scale);
}
