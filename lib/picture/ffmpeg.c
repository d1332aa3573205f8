/* picture: BMP, GIF, JPEG XL and JPEG 2000 through FFmpeg's decoders: the whole file is one packet. */
#include "readers.h"
#include "e3/num.h"
#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <string.h>

static int sized(e3_image_facts *out, int64_t w, int64_t h, e3_err *err)
{
	if (w < 1 || h < 1 || w > INT32_MAX || h > INT32_MAX)
		return e3_fail(err, "damaged: the header states %lld × %lld pixels", (long long)w, (long long)h);
	out->w = (int)w, out->h = (int)h;
	return 0;
}

int bmp_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	enum { CORE = 12, INFO = 40, RAW = 0, MASKS = 3 };
	const uint8_t *p = from->bytes;
	size_t n = from->n, header = e3_le32(p + 14);
	if (n < 14 + header)
		return e3_fail(err, "truncated: the BMP header is not complete");
	bool core = header < INFO;
	int64_t w = core ? e3_le16(p + 18) : (int32_t)e3_le32(p + 18),
			h = core ? e3_le16(p + 20) : (int32_t)e3_le32(p + 22);
	uint64_t bits = core ? e3_le16(p + 24) : e3_le16(p + 28), rows = (uint64_t)(h < 0 ? -h : h);
	uint32_t coding = core ? RAW : e3_le32(p + 30);
	if (sized(out, w, h < 0 ? -h : h, err))
		return -1;
	uint64_t need = e3_le32(p + 10) + ((uint64_t)w * bits + 31) / 32 * 4 * rows;
	if ((coding == RAW || coding == MASKS) && need > n)
		return e3_fail(err, "truncated: the BMP needs %llu bytes, %zu are there", (unsigned long long)need, n);
	return 0;
}

int gif_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	size_t length;
	int images, whole = e3_gif_walk(from->bytes, from->n, &length, &images);
	out->animated = images > 1;
	if (whole < 0)
		return e3_fail(err, "damaged GIF");
	if (images == 0)
		return e3_fail(err, "truncated: the GIF ends inside its first picture");
	return sized(out, e3_le16(from->bytes + 6), e3_le16(from->bytes + 8), err);
}

int j2k_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	const uint8_t *siz = memmem(from->bytes, from->n, "\xff\x4f\xff\x51", 4);
	size_t left = siz ? from->n - (size_t)(siz - from->bytes) : 0;
	if (left < 24)
		return e3_fail(err, "truncated: the JPEG 2000 header is not complete");
	return sized(out, (int64_t)e3_be32(siz + 8) - e3_be32(siz + 16), (int64_t)e3_be32(siz + 12) - e3_be32(siz + 20),
		err);
}

/* The size is coded bit by bit: the decoder finds it. */
int jxl_look(const e3_picture *from, e3_image_facts *out, e3_err *err) { return 0; }

static enum AVCodecID codec_of(const e3_picture *from)
{
	switch (e3_image_sniff(from->bytes, from->n)) {
	case E3_IMAGE_BMP:
		return AV_CODEC_ID_BMP;
	case E3_IMAGE_GIF:
		return AV_CODEC_ID_GIF;
	case E3_IMAGE_JXL:
		return AV_CODEC_ID_JPEGXL;
	default:
		return AV_CODEC_ID_JPEG2000;
	}
}

/* To RGB, or to RGBA when there is alpha, in rows long enough for whole vectors. */
static int convert(const AVFrame *f, e3_image *out, e3_err *err)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get((enum AVPixelFormat)f->format);
	bool alpha = d && ((d->flags & AV_PIX_FMT_FLAG_ALPHA) || f->format == AV_PIX_FMT_PAL8);
	enum AVPixelFormat to = alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
	uint8_t *rows[4] = {NULL};
	int strides[4], rc = -1;
	if (e3_image_init(out, f->width, f->height, 3, err))
		return -1;
	struct SwsContext *sws = sws_getContext(f->width, f->height, (enum AVPixelFormat)f->format, f->width, f->height, to,
		SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
	const int *k = sws_getCoefficients(SWS_CS_ITU601);
	if (sws) /* pictures are of full range */
		sws_setColorspaceDetails(sws, k, 1, k, 1, 0, 1 << 16, 1 << 16);
	if (!sws || av_image_alloc(rows, strides, f->width + 64, f->height, to, 64) < 0)
		e3_fail(err, "pixel format %s: not supported", d ? d->name : "unknown");
	else if (sws_scale(sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, rows, strides) != f->height)
		e3_fail(err, "converting to RGB failed");
	else
		rc = 0;
	for (int y = 0; !rc && y < f->height; y++) {
		const uint8_t *from = rows[0] + (size_t)y * (size_t)strides[0];
		uint8_t *px = out->px + 3 * (size_t)y * (size_t)f->width;
		if (alpha)
			rgba_over_white(from, px, (size_t)f->width);
		else
			memcpy(px, from, 3 * (size_t)f->width);
	}
	av_freep(&rows[0]);
	sws_freeContext(sws);
	return rc;
}

static int decode(AVCodecContext *codec, AVPacket *packet, AVFrame *frame, e3_err *err)
{
	char text[AV_ERROR_MAX_STRING_SIZE] = "";
	int rc = avcodec_send_packet(codec, packet);
	if (rc >= 0)
		rc = avcodec_send_packet(codec, NULL);
	if (rc >= 0)
		rc = avcodec_receive_frame(codec, frame);
	if (rc >= 0 && !frame->decode_error_flags && !(frame->flags & AV_FRAME_FLAG_CORRUPT))
		return 0;
	av_strerror(rc, text, sizeof text);
	return e3_fail(err, "damaged: %s", rc < 0 && rc != AVERROR_EOF ? text : "no picture could be decoded");
}

/* FFmpeg reads whole words: its packets end in zeros. */
static int make_packet(AVPacket *packet, const e3_picture *from, e3_err *err)
{
	if (from->n > INT32_MAX / 2 || av_new_packet(packet, (int)from->n) < 0)
		return e3_fail(err, "%zu bytes: too large", from->n);
	memcpy(packet->data, from->bytes, from->n);
	packet->flags |= AV_PKT_FLAG_KEY;
	return 0;
}

int ffmpeg_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	e3_image_facts facts;
	e3_image_kind kind = e3_image_sniff(from->bytes, from->n);
	if ((kind == E3_IMAGE_BMP && bmp_look(from, &facts, err)) || (kind == E3_IMAGE_GIF && gif_look(from, &facts, err)))
		return -1;
	const AVCodec *decoder = avcodec_find_decoder(codec_of(from));
	if (!decoder)
		return e3_fail(err, "this FFmpeg has no decoder for %s", avcodec_get_name(codec_of(from)));
	AVCodecContext *codec = avcodec_alloc_context3(decoder);
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	int rc = codec && packet && frame ? 0 : e3_fail(err, "out of memory");
	if (!rc)
		codec->thread_count = 1, codec->err_recognition = AV_EF_EXPLODE, rc = make_packet(packet, from, err);
	if (!rc && avcodec_open2(codec, decoder, NULL) < 0)
		rc = e3_fail(err, "this FFmpeg cannot open its decoder for %s", decoder->name);
	if (!rc)
		rc = decode(codec, packet, frame, err);
	if (!rc)
		rc = convert(frame, out, err);
	av_frame_free(&frame);
	av_packet_free(&packet);
	avcodec_free_context(&codec);
	return rc;
}
