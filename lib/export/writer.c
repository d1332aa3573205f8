/* export: what the formats share: the pose of a frame, a checked flush, temporary files. */
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

int e3_writer_flush(e3_format_writer *w, e3_err *err)
{
	if (w->file.f && (fflush(w->file.f) || ferror(w->file.f)))
		return e3_fail_sys(err, "writing: %s", w->file.path);
	return 0;
}

int e3_spool_write(FILE *f, const void *from, size_t n, e3_err *err)
{
	return fwrite(from, 1, n, f) == n ? 0 : e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
}

int e3_spool_read(FILE *f, void *to, size_t n, e3_err *err)
{
	if (fread(to, 1, n, f) == n)
		return 0;
	return ferror(f) ? e3_fail_sys(err, "reading a temporary file")
					 : e3_fail(err, "reading a temporary file: it ends early");
}
