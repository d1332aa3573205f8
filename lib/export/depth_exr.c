/* export: depth as OpenEXR (doc/formats.md 4.9): one channel Z of 32-bit floats, compressed, each frame written as it
 * arrives. Unknown depth is 0. What the numbers mean stands in the attributes. */
#include "e3/version.h"
#include "export/depth_map.h"
#include <inttypes.h>
#include <openexr.h>
#include <unistd.h>

enum { ZIP_LEVEL = 4 }; /* of zlib */

typedef struct exr {
	e3_format_writer base;
	e3_depth_map map;
} exr;

/* What the library writes to, and what it says when it fails. */
typedef struct sink {
	int fd;
	e3_err why;
} sink;

static int64_t write_at(exr_const_context_t c, void *to, const void *bytes, uint64_t n, uint64_t at,
	exr_stream_error_func_ptr_t fail)
{
	sink *s = to;
	for (uint64_t done = 0; done < n;) {
		ssize_t got = pwrite(s->fd, (const char *)bytes + done, n - done, (off_t)(at + done));
		if (got < 0) {
			(void)e3_fail_sys(&s->why, "writing");
			return -1;
		}
		done += (uint64_t)got;
	}
	return (int64_t)n;
}

/* The first reason counts: later ones follow from it. */
static void hear(exr_const_context_t c, exr_result_t code, const char *text)
{
	void *to;
	if (exr_get_user_data(c, &to) == EXR_ERR_SUCCESS && to && !((sink *)to)->why.text[0])
		(void)e3_fail(&((sink *)to)->why, "%s", text);
}

static exr_result_t write_head(exr_context_t c, const exr *s, const e3_pred *p)
{
	int part;
	exr_result_t rc = exr_add_part(c, NULL, EXR_STORAGE_SCANLINE, &part);
	if (!rc)
		rc = exr_initialize_required_attr_simple(c, part, s->map.w, s->map.h, EXR_COMPRESSION_ZIP);
	if (!rc)
		rc = exr_add_channel(c, part, "Z", EXR_PIXEL_FLOAT, EXR_PERCEPTUALLY_LINEAR, 1, 1);
	if (!rc)
		rc = exr_attr_set_string(c, part, "comments",
			"e3-export " E3_VERSION
			". Z: distance along the optical axis, not along the ray; 0 = unknown; up to the scale of the model. "
			"The centre of the first pixel is at 0.5, 0.5.");
	if (!rc && p->s.i <= INT32_MAX)
		rc = exr_attr_set_int(c, part, "e3:frame", (int32_t)p->s.i);
	if (!rc)
		rc = exr_attr_set_double(c, part, "e3:time", p->s.pts);
	return rc ? rc : exr_write_header(c);
}

static exr_result_t write_rows(exr_context_t c, const exr *s)
{
	exr_encode_pipeline_t pipe = EXR_ENCODE_PIPELINE_INITIALIZER;
	exr_chunk_info_t chunk;
	int32_t rows;
	bool open = false;
	exr_result_t rc = exr_get_scanlines_per_chunk(c, 0, &rows);
	for (int y = 0; !rc && y < s->map.h; y += rows) {
		rc = exr_write_scanline_chunk_info(c, 0, y, &chunk);
		if (!rc)
			rc = open ? exr_encoding_update(c, 0, &chunk, &pipe) : exr_encoding_initialize(c, 0, &chunk, &pipe);
		if (rc)
			break;
		pipe.channels[0].encode_from_ptr = (const uint8_t *)(s->map.d + (size_t)y * (size_t)s->map.w);
		pipe.channels[0].user_pixel_stride = sizeof(float);
		pipe.channels[0].user_line_stride = s->map.w * (int32_t)sizeof(float);
		pipe.channels[0].user_bytes_per_element = sizeof(float);
		pipe.channels[0].user_data_type = EXR_PIXEL_FLOAT;
		if (!open)
			rc = exr_encoding_choose_default_routines(c, 0, &pipe);
		open = true;
		if (!rc)
			rc = exr_encoding_run(c, 0, &pipe);
	}
	exr_encoding_destroy(c, &pipe);
	return rc;
}

static int write_frame(const exr *s, const e3_pred *p, e3_file *to, e3_err *err)
{
	sink out = {.fd = to->fd};
	exr_context_initializer_t init = EXR_DEFAULT_CONTEXT_INITIALIZER;
	exr_context_t c = NULL;
	init.user_data = &out;
	init.write_fn = write_at;
	init.error_handler_fn = hear;
	init.zip_level = ZIP_LEVEL;
	exr_result_t rc = exr_start_write(&c, to->path, EXR_WRITE_FILE_DIRECTLY, &init);
	if (!rc)
		rc = write_head(c, s, p);
	if (!rc)
		rc = write_rows(c, s);
	if (c) { /* writes the table of rows */
		exr_result_t last = exr_finish(&c);
		rc = rc ? rc : last;
	}
	if (!rc)
		return 0;
	return e3_fail(err, "writing: %s: %s", to->path,
		out.why.text[0] ? out.why.text : exr_get_default_error_message(rc));
}

static int exr_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	exr *s = (exr *)w;
	const e3_pred *p = frame->pred;
	char name[64], path[4096];
	e3_file file;
	snprintf(name, sizeof name, "%06" PRId64 ".exr", p->s.i);
	if (e3_depth_map_make(&s->map, p, run->opt->depth_at_source, err) ||
		e3_outdir_name(&w->dir, name, path, sizeof path, err) || e3_file_open(&file, path, err))
		return -1;
	if (write_frame(s, p, &file, err)) {
		e3_file_discard(&file);
		return -1;
	}
	return e3_file_commit(&file, err);
}

static void exr_release(e3_format_writer *w) { e3_depth_map_release(&((exr *)w)->map); }

const e3_format_ops e3_depth_exr_format = {
	.size = sizeof(exr),
	.check = e3_depth_map_check,
	.add = exr_add,
	.release = exr_release,
};
