/* e3-export: what was made, in a line per output, and what the user should know about it. */
#include "export.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *name_of(const char *path) { return strcmp(path, "-") == 0 ? "standard output" : path; }

static const char *frames_of(const e3_export_facts *f) { return f->frames == 1 ? "frame" : "frames"; }

static void tell_points(const char *path, uint64_t n, const e3_export_options *opt, const e3_export_facts *f)
{
	e3_note("%s: %" PRIu64 " points of %" PRIu64 " (%" PRIu64 " passed confidence %.4g and masks), %" PRId64 " %s",
		name_of(path), n, f->points, f->kept, fmax(f->threshold, opt->cloud.conf_min), f->frames, frames_of(f));
}

static void warn_about(const e3_export_options *opt, const e3_export_facts *f)
{
	bool cloud = opt->glb || opt->ply;
	if (f->non_finite)
		e3_warn("%" PRIu64 " points were not finite and are left out", f->non_finite);
	if (cloud && opt->cloud.source == E3_POINTS_AUTO && f->from_depth)
		e3_note("the stream has no point map: points come from depth and pose");
	if (f->skipped_frames)
		e3_warn("%" PRId64 " frames have no usable field of view: their depth gives no points", f->skipped_frames);
	if (opt->glb && opt->cameras && f->cameras_skipped)
		e3_warn("%s: %" PRId64 " cameras have no usable field of view and are drawn without it", opt->glb,
			f->cameras_skipped);
	if (cloud && !f->kept)
		e3_warn("no point is left");
	if (f->depth_clipped)
		e3_warn("%s: %" PRIu64 " depths are too large for --depth-scale %g: written as 0, unknown", opt->depth,
			f->depth_clipped, f->depth_scale);
	if (f->npz_missing)
		e3_warn("%s: %d of the nine arrays are left out: the stream lacks depth, points or pose", opt->npz,
			f->npz_missing);
}

void e3_export_tell(const e3_export_options *opt, const e3_export_facts *f)
{
	const char *others[] = {opt->tum, opt->kitti, opt->intrinsics, opt->npz, opt->depth, opt->depth_color,
		opt->run_json};
	warn_about(opt, f);
	if (opt->glb)
		tell_points(opt->glb, f->glb_points, opt, f);
	if (opt->ply)
		tell_points(opt->ply, f->ply_points, opt, f);
	for (size_t k = 0; k < sizeof others / sizeof *others; k++)
		if (others[k])
			e3_note("%s: %" PRId64 " %s", name_of(others[k]), f->frames, frames_of(f));
	if (opt->glb || opt->ply)
		e3_detail("scene scale %.6g, voxel %.6g, %.1f MB spooled", f->scene_scale, f->voxel, (double)f->spooled / 1e6);
	if (opt->depth)
		e3_detail("%s: depth = value / %.9g", opt->depth, f->depth_scale);
}
