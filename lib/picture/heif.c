/* picture: HEIF (HEIC, AVIF) through libheif: the primary picture, grids put together, turned and mirrored as its
 * properties say. Its EXIF orientation repeats them and is ignored, as the standard asks. */
#include "readers.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tone.h"
#include <libheif/heif.h>
#include <stdlib.h>
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
	bool moves = out->animated;
	if (!rc) {
		out->w = heif_image_handle_get_width(r.handle), out->h = heif_image_handle_get_height(r.handle);
		out->animated = moves || heif_context_get_number_of_top_level_images(r.context) > 1;
	}
	close_heif(&r);
	return rc && moves ? 0 : rc;
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

/* What libheif converts wrongly, or as BT.601 without a word: matrices by their numbers in H.273. */
static int check_matrix(int matrix, bool full, e3_err *err)
{
	static const char *const unknown[] = {[10] = "BT.2020 with constant luminance",
		[11] = "Y'D'zD'x (SMPTE ST 2085)",
		[13] = "constant luminance derived from the primaries",
		[14] = "ICtCp",
		[15] = "IPT-C2",
		[16] = "YCgCo-Re",
		[17] = "YCgCo-Ro"};
	const char *name = matrix == 8 && !full                               ? "YCgCo of limited range"
		: matrix >= 0 && matrix < (int)(sizeof unknown / sizeof *unknown) ? unknown[matrix]
																		  : NULL;
	return name ? e3_fail(err, "colours coded as %s: not supported in HEIF", name) : 0;
}

/* The tables that make SDR of an HDR picture, in *tone; NULL: it is none, or is not to be mapped. */
static int find_tone(const e3_picture *from, const struct heif_image_handle *handle, e3_tone **tone, e3_err *err)
{
	struct heif_color_profile_nclx *profile = NULL;
	int transfer = 0, primaries = E3_PRIMARIES_2020, rc = 0;
	*tone = NULL;
	if (heif_image_handle_get_nclx_color_profile(handle, &profile).code == heif_error_Ok && profile) {
		transfer = (int)profile->transfer_characteristics;
		rc = check_matrix((int)profile->matrix_coefficients, profile->full_range_flag, err);
		primaries = (int)profile->color_primaries != 2 ? (int)profile->color_primaries : primaries; /* 2: not said */
	}
	heif_nclx_color_profile_free(profile);
	if (rc || !e3_tone_is_hdr(transfer))
		return rc;
	e3_tell(E3_TELL_NOTE, "reading: %s: HDR (PQ or HLG): %s", from->name,
		from->tonemap ? "tone-mapped to SDR" : "sent without tone mapping");
	*tone = from->tonemap ? e3_tone_open(transfer, primaries, 0, err) : NULL;
	return from->tonemap && !*tone ? -1 : 0;
}

/* HDR: the codes of 16-bit words to 8-bit SDR. Transparency is not looked at. */
static int map(const struct heif_image *im, const e3_tone *tone, e3_image *out, e3_err *err)
{
	int stride = 0, w = heif_image_get_primary_width(im), h = heif_image_get_primary_height(im);
	const uint8_t *from = heif_image_get_plane_readonly(im, heif_channel_interleaved, &stride);
	float most = (float)((1 << heif_image_get_bits_per_pixel_range(im, heif_channel_interleaved)) - 1);
	if (!from)
		return e3_fail(err, "damaged: no pixels");
	float *row = e3_alloc(3 * (size_t)w, sizeof *row, "a row", err);
	int rc = row ? e3_image_init(out, w, h, 3, err) : -1;
	for (int y = 0; !rc && y < h; y++, from += stride) {
		float *rgb[3] = {row, row + w, row + 2 * (size_t)w};
		for (int x = 0; x < w; x++)
			for (int c = 0; c < 3; c++)
				rgb[c][x] = (float)e3_le16(from + 2 * (3 * (size_t)x + (size_t)c)) / most;
		e3_tone_row(tone, rgb, w, out->px + 3 * (size_t)y * (size_t)w);
	}
	free(row);
	return rc;
}

int heif_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	reader r;
	struct heif_image *im = NULL;
	struct heif_decoding_options *options = heif_decoding_options_alloc();
	int rc = options ? open_heif(&r, from, err) : e3_fail(err, "out of memory");
	e3_tone *tone = NULL;
	if (!rc)
		rc = find_tone(from, r.handle, &tone, err);
	if (!rc) {
		bool alpha = heif_image_handle_has_alpha_channel(r.handle);
		options->ignore_transformations = from->stored;
		options->convert_hdr_to_8bit = !tone;
		struct heif_error e = heif_decode_image(r.handle, &im, heif_colorspace_RGB,
			tone        ? heif_chroma_interleaved_RRGGBB_LE
				: alpha ? heif_chroma_interleaved_RGBA
						: heif_chroma_interleaved_RGB,
			options);
		rc = e.code != heif_error_Ok ? failed(e, err) : tone ? map(im, tone, out, err) : copy(im, alpha, out, err);
	}
	free(tone);
	if (im)
		heif_image_release(im);
	if (options)
		close_heif(&r);
	heif_decoding_options_free(options);
	return rc;
}
