/* export: what the formats share: the pose of a frame, a checked flush. */
#include "export/writer.h"

int e3_export_frame_init(e3_export_frame *frame, const e3_pred *pred, e3_err *err)
{
	*frame = (e3_export_frame){.pred = pred};
	if (!pred->has_pose)
		return 0;
	if (e3_pose_decode(pred->pose, &frame->pose, err))
		return e3_fail_in(err, "frame %lld", (long long)pred->s.i);
	frame->k = e3_intrinsics_decode(pred->pose, pred->w, pred->h);
	frame->usable_k = e3_intrinsics_usable(pred->pose);
	return 0;
}

void e3_tell_lensless(const char *path, int64_t lensless, int64_t frames)
{
	if (lensless)
		e3_tell(E3_TELL_WARN, "%s: %lld of %lld frames have no usable field of view: their focal lengths are 0", path,
			(long long)lensless, (long long)frames);
}

int e3_writer_flush(e3_format_writer *w, e3_err *err)
{
	if (w->file.f && (fflush(w->file.f) || ferror(w->file.f)))
		return e3_fail_sys(err, "writing: %s", e3_file_name(&w->file));
	return 0;
}
