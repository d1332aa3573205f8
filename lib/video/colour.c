/* video: decoded frames to upright RGB: matrix and range (doc/formats.md 5.4), rotation (5.3). Accepts every pixel
 * format that swscale reads. There is no tone mapping and no deinterlacing. */
#include "internal.h"
#include "e3/mem.h"
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
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

static const int32_t *stream_matrix(const AVStream *stream)
{
#if LIBAVFORMAT_VERSION_MAJOR >= 61
	const AVPacketSideData *side = av_packet_side_data_get(stream->codecpar->coded_side_data,
		stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
	return side && side->size >= 9 * sizeof(int32_t) ? (const int32_t *)side->data : NULL;
#else
	size_t size = 0;
	const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
	return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
#endif
}

/* From the display matrix of the stream, else of the first frame. */
int video_settle_orientation(e3_video *v)
{
	if (v->orientation == 0) {
		const int32_t *matrix = stream_matrix(v->stream);
		const AVFrameSideData *side = av_frame_get_side_data(v->frame, AV_FRAME_DATA_DISPLAYMATRIX);
		if (!matrix && side && side->size >= 9 * sizeof(int32_t))
			matrix = (const int32_t *)side->data;
		v->orientation = matrix && v->options.autorotate ? video_orientation(matrix) : 1;
	}
	return v->orientation;
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

int video_colour_image(video_colour *c, const AVFrame *f, int orientation, e3_image *out, int *rot, e3_err *err)
{
	static const int degrees[9] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
	if (prepare_sws(c, f, err))
		return -1;
	if (out->w != f->width || out->h != f->height || out->channels != 3) {
		e3_image_release(out);
		if (e3_image_init(out, f->width, f->height, 3, err))
			return -1;
	}
	if (convert(c, f, out, err))
		return -1;
	*rot = degrees[orientation];
	return e3_image_orient(out, orientation, err);
}

void video_colour_release(video_colour *c)
{
	sws_freeContext(c->sws);
	free(c->scratch);
	*c = (video_colour){0};
}

int e3_video_image(e3_video *v, e3_image *out, int *rot, e3_err *err)
{
	return video_colour_image(&v->colour, v->frame, video_settle_orientation(v), out, rot, err);
}
