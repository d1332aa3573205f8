/* video: how sharp a frame is, measured on its luma without a conversion to RGB (doc/formats.md 5.7). */
#include "exact.h"
#include "e3/mem.h"
#include <stdlib.h>

enum { CELLS = 480, BLOCK_MAX = 8 };

/* Sums of blocks of luma: a row of them at a time. */
typedef struct luma {
	const AVFrame *f;
	const AVPixFmtDescriptor *d;
	int c, block, cells; /* component; pixels of a block's side; blocks in a row */
	uint32_t *sum;       /* [width] */
	float *row;          /* scratch of formats that are neither bytes nor words */
} luma;

static void add_bytes(const uint8_t *p, int w, uint32_t *sum)
{
	for (int x = 0; x < w; x++)
		sum[x] += p[x];
}

static void add_words(const uint8_t *p, int w, uint32_t *sum)
{
	for (int x = 0; x < w; x++) {
		uint16_t v;
		memcpy(&v, p + 2 * (size_t)x, sizeof v);
		sum[x] += v;
	}
}

static void add_any(const luma *l, int y)
{
	planes_row(l->f, l->d, l->c, y, l->row, l->row + l->f->width);
	float k = l->d->flags & AV_PIX_FMT_FLAG_FLOAT ? 4095 : 1;
	for (int x = 0; x < l->f->width; x++) {
		float v = k * l->row[x];
		l->sum[x] += v > 0 && v < 65535 ? (uint32_t)v : v > 0 ? 65535 : 0;
	}
}

static void add_row(const luma *l, int y)
{
	const AVComponentDescriptor *k = &l->d->comp[l->c];
	const uint8_t *p = l->f->data[k->plane] + (ptrdiff_t)y * l->f->linesize[k->plane] + k->offset;
	bool odd = l->d->flags & (AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_FLOAT);
	if (!odd && k->step == 1 && k->depth == 8)
		add_bytes(p, l->f->width, l->sum);
	else if (!odd && k->step == 2 && k->depth > 8)
		add_words(p, l->f->width, l->sum);
	else
		add_any(l, y);
}

static void cells_of(const luma *l, int y, float *out)
{
	memset(l->sum, 0, sizeof *l->sum * (size_t)l->f->width);
	for (int k = 0; k < l->block; k++)
		add_row(l, y * l->block + k);
	for (int x = 0; x < l->cells; x++) {
		uint32_t s = 0;
		for (int k = 0; k < l->block; k++)
			s += l->sum[x * l->block + k];
		out[x] = (float)s;
	}
}

typedef struct moments {
	double n, sum, detail;
} moments;

/* Rows above, of and below the one that is measured. */
static void measure(const float *const rows[3], int n, moments *m)
{
	float sum = 0, detail = 0;
	for (int x = 1; x + 1 < n; x++) {
		float v = rows[1][x], across = rows[1][x + 1] - rows[1][x - 1], down = rows[2][x] - rows[0][x];
		sum += v, detail += across * across + down * down;
	}
	m->n += n - 2, m->sum += sum, m->detail += detail;
}

/* The code of black in luma of limited range. */
static double black_of(const AVFrame *f, const AVPixFmtDescriptor *d)
{
	bool coded = d->nb_components >= 3 && !(d->flags & AV_PIX_FMT_FLAG_RGB);
	return coded && f->color_range != AVCOL_RANGE_JPEG ? (double)(16 << (d->comp[0].depth - 8)) : 0;
}

double video_sharpness(const AVFrame *f)
{
	luma l = {.f = f, .d = av_pix_fmt_desc_get((enum AVPixelFormat)f->format)};
	if (!l.d || !planes_readable(l.d))
		return 0;
	l.c = l.d->flags & AV_PIX_FMT_FLAG_RGB ? 1 : 0; /* green */
	l.block = f->width / CELLS < 1 ? 1 : f->width / CELLS > BLOCK_MAX ? BLOCK_MAX : f->width / CELLS;
	l.cells = f->width / l.block;
	int rows = f->height / l.block;
	size_t w = (size_t)f->width;
	if (l.cells < 3 || rows < 3)
		return 0;
	float *memory = e3_alloc((6 + PLANES_SCRATCH) * w, sizeof *memory, "rows", NULL);
	if (!memory)
		return 0;
	l.sum = (uint32_t *)(memory + 3 * w), l.row = memory + 4 * w;
	moments m = {0};
	for (int y = 0; y < rows; y++) {
		cells_of(&l, y, memory + (size_t)(y % 3) * w);
		if (y >= 2) {
			const float *const three[3] = {memory + (size_t)((y - 2) % 3) * w, memory + (size_t)((y - 1) % 3) * w,
				memory + (size_t)(y % 3) * w};
			measure(three, l.cells, &m);
		}
	}
	free(memory);
	double mean = m.sum / m.n - black_of(f, l.d) * l.block * l.block;
	return mean > 0 ? m.detail / m.n / (mean * mean) : 0;
}

double e3_picture_sharpness(const e3_image *im)
{
	const AVFrame f = {.format = AV_PIX_FMT_RGB24,
		.width = im->w,
		.height = im->h,
		.data = {im->px},
		.linesize = {3 * im->w}};
	return video_sharpness(&f);
}
