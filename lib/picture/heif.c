/* picture: HEIF (HEIC, AVIF) through libheif: the primary picture, grids put together, turned and mirrored as its
 * properties say. Its EXIF orientation repeats them and is ignored, as the standard asks. */
#include "readers.h"
#include <libheif/heif.h>
#include <string.h>

typedef struct reader {
	struct heif_context *context;
	struct heif_image_handle *handle;
} reader;

static int failed(struct heif_error e, e3_err *err) { return e3_fail(err, "%s", e.message ? e.message : "damaged"); }

static void close_heif(reader *r)
{
	if (r->handle)
		heif_image_handle_release(r->handle);
	if (r->context)
		heif_context_free(r->context);
}

static int open_heif(reader *r, const e3_picture *from, e3_err *err)
{
	*r = (reader){heif_context_alloc(), NULL};
	if (!r->context)
		return e3_fail(err, "out of memory");
	struct heif_error e = heif_context_read_from_memory_without_copy(r->context, from->bytes, from->n, NULL);
	if (e.code == heif_error_Ok)
		e = heif_context_get_primary_image_handle(r->context, &r->handle);
	return e.code == heif_error_Ok ? 0 : failed(e, err);
}

int heif_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	reader r;
	out->animated = e3_picture_may_move(from->bytes, from->n);
	int rc = open_heif(&r, from, err);
	if (!rc)
		out->w = heif_image_handle_get_width(r.handle), out->h = heif_image_handle_get_height(r.handle);
	close_heif(&r);
	return rc && out->animated ? 0 : rc;
}

/* The decoded pixels, whose size may differ from what the header states. */
static int copy(const struct heif_image *im, bool alpha, e3_image *out, e3_err *err)
{
	int stride = 0, w = heif_image_get_primary_width(im), h = heif_image_get_primary_height(im);
	const uint8_t *from = heif_image_get_plane_readonly(im, heif_channel_interleaved, &stride);
	if (!from)
		return e3_fail(err, "damaged: no pixels");
	if (e3_image_init(out, w, h, 3, err))
		return -1;
	for (int y = 0; y < h; y++, from += stride) {
		uint8_t *to = out->px + 3 * (size_t)y * (size_t)w;
		if (alpha)
			rgba_over_white(from, to, (size_t)w);
		else
			memcpy(to, from, 3 * (size_t)w);
	}
	return 0;
}

static void tell_hdr(const e3_picture *from, const struct heif_image_handle *handle)
{
	enum { PQ = 16, HLG = 18 };
	struct heif_color_profile_nclx *profile = NULL;
	if (heif_image_handle_get_nclx_color_profile(handle, &profile).code == heif_error_Ok && profile &&
		((int)profile->transfer_characteristics == PQ || (int)profile->transfer_characteristics == HLG))
		e3_tell(E3_TELL_NOTE, "reading: %s: HDR (PQ or HLG): a picture is sent without tone mapping", from->name);
	heif_nclx_color_profile_free(profile);
}

int heif_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	reader r;
	struct heif_image *im = NULL;
	struct heif_decoding_options *options = heif_decoding_options_alloc();
	int rc = options ? open_heif(&r, from, err) : e3_fail(err, "out of memory");
	if (!rc) {
		bool alpha = heif_image_handle_has_alpha_channel(r.handle);
		options->ignore_transformations = from->stored;
		options->convert_hdr_to_8bit = 1;
		tell_hdr(from, r.handle);
		struct heif_error e = heif_decode_image(r.handle, &im, heif_colorspace_RGB,
			alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, options);
		rc = e.code == heif_error_Ok ? copy(im, alpha, out, err) : failed(e, err);
	}
	if (im)
		heif_image_release(im);
	if (options)
		close_heif(&r);
	heif_decoding_options_free(options);
	return rc;
}
