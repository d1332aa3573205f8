/* video: decoded frames to upright RGB: matrix and range (doc/formats.md 5.4), rotation (5.3), square pixels (5.6).
 * Accepts every pixel format that swscale reads; what swscale gets wrong is exact.c's. There is no deinterlacing. */
#include "exact.h"
#include "e3/mem.h"
#include <libavutil/display.h>
#include <libavutil/dovi_meta.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The EXIF orientation that equals what the ffmpeg program does with a display matrix; angles that are no multiples of
 * 90 degrees are ignored. */
int video_orientation(const int32_t *matrix)
{
	double angle = av_display_rotation_get(matrix);
	if (isnan(angle))
		return 1;
	double theta = -round(angle);
	theta -= 360 * floor(theta / 360 + 0.9 / 360);
	if (fabs(theta - 90) < 1)
		return matrix[3] > 0 ? 5 : 6;
	if (fabs(theta - 180) < 1)
		return matrix[0] < 0 ? matrix[4] < 0 ? 3 : 2 : matrix[4] < 0 ? 4 : 1;
	if (fabs(theta - 270) < 1)
		return matrix[3] < 0 ? 7 : 8;
	return fabs(theta) < 1 && matrix[4] < 0 ? 4 : 1;
}

/* At least `least` bytes of what the container says of the stream, and how many; or NULL. */
static const uint8_t *stream_side(const AVStream *stream, enum AVPacketSideDataType type, size_t least, size_t *size)
{
#if LIBAVFORMAT_VERSION_MAJOR >= 61
	const AVPacketSideData *side =
		av_packet_side_data_get(stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, type);
	const uint8_t *data = side ? side->data : NULL;
	*size = side ? side->size : 0;
#else
	const uint8_t *data = av_stream_get_side_data(stream, type, size);
#endif
	return data && *size >= least ? data : NULL;
}

static void add_side(const e3_video *v, enum AVPacketSideDataType from, enum AVFrameSideDataType to)
{
	size_t size = 0;
	const uint8_t *data = av_frame_get_side_data(v->frame, to) ? NULL : stream_side(v->stream, from, 1, &size);
	AVFrameSideData *side = data ? av_frame_new_side_data(v->frame, to, size) : NULL;
	if (side)
		memcpy(side->data, data, size);
}

void video_add_tags(e3_video *v)
{
	AVFrame *f = v->frame;
	f->sample_aspect_ratio = av_guess_sample_aspect_ratio(v->format, v->stream, f);
	const AVCodecParameters *par = v->stream->codecpar;
	if (f->color_trc == AVCOL_TRC_UNSPECIFIED)
		f->color_trc = par->color_trc;
	if (f->color_primaries == AVCOL_PRI_UNSPECIFIED)
		f->color_primaries = par->color_primaries;
	if (!e3_tone_is_hdr((int)f->color_trc))
		return;
	add_side(v, AV_PKT_DATA_CONTENT_LIGHT_LEVEL, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
	add_side(v, AV_PKT_DATA_MASTERING_DISPLAY_METADATA, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);
}

int video_check_colours(const e3_video *v, e3_err *err)
{
	size_t size = 0;
	const AVDOVIDecoderConfigurationRecord *dolby =
		(const AVDOVIDecoderConfigurationRecord *)stream_side(v->stream, AV_PKT_DATA_DOVI_CONF, sizeof *dolby, &size);
	bool own =
		dolby && (dolby->dv_profile == 5 || (dolby->dv_profile == 10 && dolby->dv_bl_signal_compatibility_id == 0));
	if (own && v->options.tonemap && v->options.matrix == E3_MATRIX_AUTO)
		return e3_fail(err,
			"reading: %s: Dolby Vision profile %d: its colours are Dolby's own (IPT-PQ-c2) and not supported; without "
			"tone mapping they are sent as they are",
			v->options.input, dolby->dv_profile);
	return 0;
}

/* From the display matrix of the stream, else of the first frame. */
int video_settle_orientation(e3_video *v)
{
	if (v->orientation == 0) {
		size_t size = 0;
		const int32_t *matrix =
			(const int32_t *)stream_side(v->stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof *matrix, &size);
		const AVFrameSideData *side = av_frame_get_side_data(v->frame, AV_FRAME_DATA_DISPLAYMATRIX);
		if (!matrix && side && side->size >= 9 * sizeof(int32_t))
			matrix = (const int32_t *)side->data;
		v->orientation = matrix && v->options.autorotate ? video_orientation(matrix) : 1;
	}
	return v->orientation;
}

video_colour video_colour_of(const e3_video_options *o)
{
	return (video_colour){.input = o->input,
		.matrix = o->matrix,
		.tonemap = o->tonemap,
		.square = o->square,
		.threads = o->threads};
}

static int space_of(e3_matrix matrix, const AVFrame *f)
{
	if (matrix == E3_MATRIX_601)
		return SWS_CS_ITU601;
	if (matrix == E3_MATRIX_709)
		return SWS_CS_ITU709;
	if (matrix == E3_MATRIX_2020)
		return SWS_CS_BT2020;
	switch (f->colorspace) {
	case AVCOL_SPC_BT709:
		return SWS_CS_ITU709;
	case AVCOL_SPC_FCC:
		return SWS_CS_FCC;
	case AVCOL_SPC_BT470BG:
	case AVCOL_SPC_SMPTE170M:
		return SWS_CS_ITU601;
	case AVCOL_SPC_SMPTE240M:
		return SWS_CS_SMPTE240M;
	case AVCOL_SPC_BT2020_NCL:
	case AVCOL_SPC_BT2020_CL:
		return SWS_CS_BT2020;
	default:
		return f->height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
	}
}

/* The deprecated full-range formats state by their name what the range field states for others. */
static enum AVPixelFormat plain_format(enum AVPixelFormat format)
{
	switch (format) {
	case AV_PIX_FMT_YUVJ420P:
		return AV_PIX_FMT_YUV420P;
	case AV_PIX_FMT_YUVJ422P:
		return AV_PIX_FMT_YUV422P;
	case AV_PIX_FMT_YUVJ444P:
		return AV_PIX_FMT_YUV444P;
	case AV_PIX_FMT_YUVJ440P:
		return AV_PIX_FMT_YUV440P;
	case AV_PIX_FMT_YUVJ411P:
		return AV_PIX_FMT_YUV411P;
	default:
		return format;
	}
}

static int prepare_sws(video_colour *c, const AVFrame *f, e3_err *err)
{
	bool opencv = c->matrix == E3_MATRIX_OPENCV;
	/* OpenCV passes the format on as it is and sets neither matrix nor range. */
	enum AVPixelFormat format = opencv ? (enum AVPixelFormat)f->format : plain_format((enum AVPixelFormat)f->format);
	int space = opencv ? -1 : space_of(c->matrix, f);
	int range = f->color_range == AVCOL_RANGE_JPEG || (int)format != f->format;
	if (c->sws && c->w == f->width && c->h == f->height && c->format == f->format && c->space == space &&
		c->range == range)
		return 0;
	sws_freeContext(c->sws);
	c->sws = sws_getContext(f->width, f->height, format, f->width, f->height, AV_PIX_FMT_RGB24, SWS_BICUBIC, NULL, NULL,
		NULL);
	if (!c->sws)
		return e3_fail(err, "converting to RGB: %s: pixel format %s, %d × %d: not supported", c->input,
			av_get_pix_fmt_name(format) ? av_get_pix_fmt_name(format) : "unknown", f->width, f->height);
	if (!opencv) {
		const int *k = sws_getCoefficients(space);
		sws_setColorspaceDetails(c->sws, k, range, k, 1, 0, 1 << 16,
			1 << 16); /* RGB input has no matrix: refused, which is right */
	}
	c->w = f->width, c->h = f->height, c->format = f->format, c->space = space, c->range = range;
	return 0;
}

/* swscale writes whole vectors: rows of other lengths are written to padded rows first. */
static int convert(video_colour *c, const AVFrame *f, e3_image *out, e3_err *err)
{
	size_t row = 3 * (size_t)f->width, stride = (row + 63) / 64 * 64 + 64;
	bool direct = row % 192 == 0;
	if (!direct && stride * (size_t)f->height > c->n_scratch) {
		free(c->scratch);
		c->n_scratch = 0;
		c->scratch = e3_alloc((size_t)f->height, stride, "a picture", err);
		if (!c->scratch)
			return -1;
		c->n_scratch = stride * (size_t)f->height;
	}
	uint8_t *to[4] = {direct ? out->px : c->scratch};
	int strides[4] = {(int)(direct ? row : stride)};
	if (sws_scale(c->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, to, strides) != f->height)
		return e3_fail(err, "converting to RGB: %s: failed", c->input);
	for (int y = 0; !direct && y < f->height; y++)
		memcpy(out->px + (size_t)y * row, c->scratch + (size_t)y * stride, row);
	return 0;
}

/* The frame as it is stored. */
static int convert_any(video_colour *c, const AVFrame *f, e3_image *out, e3_err *err)
{
	bool exact = video_exact_wanted(c, f);
	if (!exact && prepare_sws(c, f, err))
		return -1;
	if (out->w != f->width || out->h != f->height || out->channels != 3) {
		e3_image_release(out);
		if (e3_image_init(out, f->width, f->height, 3, err))
			return -1;
	}
	return exact ? video_exact_image(c, f, out, err) : convert(c, f, out, err);
}

int video_square_width(int w, AVRational aspect)
{
	enum { MOST = 8, MAX_SIDE = 65535 }; /* aspects beyond 1:8 and 8:1 are damage */
	if (aspect.num <= 0 || aspect.den <= 0 || aspect.num > MOST * (int64_t)aspect.den ||
		aspect.den > MOST * (int64_t)aspect.num)
		return w;
	int64_t square = av_rescale(w, aspect.num, aspect.den);
	return square >= 1 && square <= MAX_SIDE ? (int)square : w;
}

static int make_square(video_colour *c, int w, e3_image *out, e3_err *err)
{
	const e3_fit_plan plan = {.scaled_w = w, .scaled_h = c->stored.h, .w = w, .h = c->stored.h};
	e3_strips rows = e3_image_strips(&c->stored);
	if (!c->squarer)
		c->squarer = e3_fitter_open(c->threads, err);
	return c->squarer ? e3_fitter_apply(c->squarer, &rows, &plan, out, err) : -1;
}

int video_colour_image(video_colour *c, const AVFrame *f, int orientation, e3_image *out, int *rot, e3_err *err)
{
	static const int degrees[9] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
	bool squares = c->square && c->matrix != E3_MATRIX_OPENCV;
	int w = squares ? video_square_width(f->width, f->sample_aspect_ratio) : f->width;
	e3_image *flat = orientation == 1 ? out : &c->flat;
	if (convert_any(c, f, w == f->width ? flat : &c->stored, err))
		return -1;
	if (w != f->width && make_square(c, w, flat, err))
		return -1;
	*rot = degrees[orientation];
	return flat == out ? 0 : e3_image_turn(flat, orientation, out, err);
}

void video_colour_release(video_colour *c)
{
	sws_freeContext(c->sws);
	free(c->scratch), free(c->tone);
	e3_image_release(&c->stored);
	e3_image_release(&c->flat);
	e3_fitter_close(c->squarer);
	*c = (video_colour){0};
}

double e3_video_sharpness(const e3_video *v) { return video_sharpness(v->frame); }

int e3_video_keep(e3_video *v, e3_err *err)
{
	if (!v->kept)
		v->kept = av_frame_alloc();
	else
		av_frame_unref(v->kept);
	if (!v->kept || av_frame_ref(v->kept, v->frame) < 0)
		return e3_fail(err, "reading: %s: out of memory", v->options.input);
	return 0;
}

/* Animated pictures lie over white, as still ones do. 8 bits; once more changes nothing. */
static int over_white(AVFrame *f, e3_err *err)
{
	bool grey = f->format == AV_PIX_FMT_YA8;
	int step = grey ? 2 : 4, colours = step - 1;
	if (!grey && f->format != AV_PIX_FMT_RGBA && f->format != AV_PIX_FMT_BGRA)
		return 0;
	if (av_frame_make_writable(f) < 0)
		return e3_fail(err, "decoding: out of memory");
	for (int y = 0; y < f->height; y++) {
		uint8_t *px = f->data[0] + (ptrdiff_t)y * f->linesize[0];
		for (int x = 0; x < f->width; x++, px += step) {
			int a = px[colours];
			for (int c = 0; c < colours; c++)
				px[c] = (uint8_t)((px[c] * a + 255 * (255 - a) + 127) / 255);
			px[colours] = 255;
		}
	}
	return 0;
}

int e3_video_kept_image(e3_video *v, e3_image *out, int *rot, e3_err *err)
{
	if (v->info.picture && over_white(v->kept, err))
		return -1;
	return video_colour_image(&v->colour, v->kept, video_settle_orientation(v), out, rot, err);
}

int e3_video_image(e3_video *v, e3_image *out, int *rot, e3_err *err)
{
	if (v->info.picture && over_white(v->frame, err))
		return -1;
	return video_colour_image(&v->colour, v->frame, video_settle_orientation(v), out, rot, err);
}
