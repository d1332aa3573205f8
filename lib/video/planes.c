/* video: the components of a frame of any pixel format, row by row, at the full size. */
#include "exact.h"
#include <math.h>
#include <string.h>

bool planes_readable(const AVPixFmtDescriptor *d)
{
	const uint64_t no = AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_PAL;
	/* FFmpeg cannot describe where the luma of uyyvyy411 lies. */
	if (d->flags & no || d->nb_components < 1 || av_pix_fmt_desc_get_id(d) == AV_PIX_FMT_UYYVYY411)
		return false;
	bool is_float = d->flags & AV_PIX_FMT_FLAG_FLOAT;
	return is_float ? d->comp[0].depth == 32 : d->comp[0].depth <= 16;
}

static void from_bytes(const uint8_t *p, const AVComponentDescriptor *c, int w, float *out)
{
	int mask = (1 << c->depth) - 1;
	for (int x = 0; x < w; x++)
		out[x] = (float)(p[x * c->step] >> c->shift & mask);
}

static void from_words(const uint8_t *p, const AVComponentDescriptor *c, int w, float *out)
{
	int mask = (1 << c->depth) - 1;
	for (int x = 0; x < w; x++) {
		uint16_t v;
		memcpy(&v, p + x * c->step, sizeof v);
		out[x] = (float)(v >> c->shift & mask);
	}
}

/* Packed in bits, big-endian, floating point. */
static void from_any(const AVFrame *f, const AVPixFmtDescriptor *d, int c, int y, int w, float *out)
{
	uint32_t v;
	for (int x = 0; x < w; x++) {
		av_read_image_line2(&v, (const uint8_t **)f->data, f->linesize, d, x, y, c, 1, 0, sizeof v);
		if (d->flags & AV_PIX_FMT_FLAG_FLOAT)
			memcpy(out + x, &v, sizeof v);
		else
			out[x] = (float)v;
	}
}

static void read_row(const AVFrame *f, const AVPixFmtDescriptor *d, int c, int y, int w, float *out)
{
	const AVComponentDescriptor *k = &d->comp[c];
	const uint64_t odd = AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_FLOAT;
	const uint8_t *p = f->data[k->plane] + (ptrdiff_t)y * f->linesize[k->plane] + k->offset;
	if (d->flags & odd || k->depth + k->shift > 16)
		from_any(f, d, c, y, w, out);
	else if (k->depth + k->shift > 8)
		from_words(p, k, w, out);
	else
		from_bytes(p, k, w, out);
}

/* Where the first chroma sample lies, in luma samples: H.273, ChromaLocType. */
static void location(const AVFrame *f, int log2_w, int log2_h, float at[2])
{
	float middle[2] = {(float)((1 << log2_w) - 1) / 2, (float)((1 << log2_h) - 1) / 2};
	at[0] = 0, at[1] = middle[1]; /* left, also where nothing is said */
	switch (f->chroma_location) {
	case AVCHROMA_LOC_CENTER:
		at[0] = middle[0];
		break;
	case AVCHROMA_LOC_TOPLEFT:
		at[1] = 0;
		break;
	case AVCHROMA_LOC_TOP:
		at[0] = middle[0], at[1] = 0;
		break;
	case AVCHROMA_LOC_BOTTOMLEFT:
		at[1] = 2 * middle[1];
		break;
	case AVCHROMA_LOC_BOTTOM:
		at[0] = middle[0], at[1] = 2 * middle[1];
		break;
	default:
		break;
	}
}

/* The samples on both sides of `pos` of a line of n, and the share of the second. */
static float sides(float pos, int n, int pair[2])
{
	float low = floorf(pos);
	int k = (int)low;
	pair[0] = k < 0 ? 0 : k >= n ? n - 1 : k;
	pair[1] = k + 1 < 0 ? 0 : k + 1 >= n ? n - 1 : k + 1;
	return pos - low;
}

static void widen(const float *in, int n, int log2_w, float first, float *out, int w)
{
	int pair[2], period = 1 << log2_w;
	for (int phase = 0; phase < period; phase++) {
		float pos = ((float)phase - first) / (float)period, share = pos - floorf(pos);
		int low = (int)floorf(pos);
		for (int x = phase, k = low; x < w; x += period, k++)
			if (k >= 0 && k + 1 < n) {
				out[x] = in[k] + share * (in[k + 1] - in[k]);
			} else {
				sides((float)k, n, pair);
				out[x] = in[pair[0]] + share * (in[pair[1]] - in[pair[0]]);
			}
	}
}

void planes_row(const AVFrame *f, const AVPixFmtDescriptor *d, int c, int y, float *out, float *scratch)
{
	bool chroma = (c == 1 || c == 2) && d->nb_components >= 3 && !(d->flags & AV_PIX_FMT_FLAG_RGB);
	int log2_w = chroma ? d->log2_chroma_w : 0, log2_h = chroma ? d->log2_chroma_h : 0;
	if (!log2_w && !log2_h) {
		read_row(f, d, c, y, f->width, out);
		return;
	}
	float at[2], *row[2] = {scratch, scratch + f->width};
	int w = -(-f->width >> log2_w), h = -(-f->height >> log2_h), pair[2];
	location(f, log2_w, log2_h, at);
	float share = sides(((float)y - at[1]) / (float)(1 << log2_h), h, pair);
	read_row(f, d, c, pair[0], w, row[0]);
	if (share > 0 && pair[1] != pair[0]) {
		read_row(f, d, c, pair[1], w, row[1]);
		for (int x = 0; x < w; x++)
			row[0][x] += share * (row[1][x] - row[0][x]);
	}
	widen(row[0], w, log2_w, at[0], out, f->width);
}
