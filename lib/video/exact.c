/* video: frames to RGB by the definitions of H.273, for what swscale gets wrong or does not know: grey of more than 8
 * bits, formats that it does not read, YCgCo, ICtCp, BT.2020 with constant luminance, HDR and wide gamuts. Rows are
 * independent and spread over threads. */
#include "exact.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <math.h>
#include <stdlib.h>

/* Numbers of H.273 that FFmpeg's header need not know. */
enum { SPC_YCGCO_RE = 16, SPC_YCGCO_RO = 17 };

typedef enum exact_matrix { GREY, RGB, YCBCR, YCGCO, YCGCO_R, CONSTANT, ICTCP } exact_matrix;

typedef struct exact_job {
	const AVFrame *f;
	const AVPixFmtDescriptor *d;
	const e3_tone *tone; /* NULL: codes stay as they are */
	e3_image *out;
	float *scratch; /* [threads][ROW_SCRATCH][width] */
	exact_matrix matrix;
	float kr, kb;
	float black, white, unit; /* codes: of luma, and the range of chroma */
	float middle;             /* of chroma */
	float to_lms[9], to_rgb[9];
	float nb, pb, nr, pr; /* constant luminance: scales of chroma by its sign */
} exact_job;

enum { BAND = 16, ROW_SCRATCH = 3 + PLANES_SCRATCH };

static bool grey(const AVPixFmtDescriptor *d) { return d->nb_components < 3 && !(d->flags & AV_PIX_FMT_FLAG_PAL); }

/* swscale takes grey of 8 bits, alone, as what it is; black and white too. */
static bool misread_grey(const AVFrame *f, const AVPixFmtDescriptor *d)
{
	bool plain = d->nb_components == 1 && d->comp[0].depth == 8 && f->color_range != AVCOL_RANGE_MPEG;
	return grey(d) && d->comp[0].depth > 1 && !plain;
}

/* Colours of less than 8 bits are not spread over the whole range by swscale. */
static bool misread_colours(const AVPixFmtDescriptor *d)
{
	return d->flags & AV_PIX_FMT_FLAG_RGB && d->comp[0].depth < 8;
}

static int space_of(const video_colour *c, const AVFrame *f)
{
	return c->matrix == E3_MATRIX_601 ? AVCOL_SPC_SMPTE170M
		: c->matrix == E3_MATRIX_709  ? AVCOL_SPC_BT709
		: c->matrix == E3_MATRIX_2020 ? AVCOL_SPC_BT2020_NCL
									  : f->colorspace;
}

static bool unusual(int space)
{
	switch (space) {
	case AVCOL_SPC_YCGCO:
	case SPC_YCGCO_RE:
	case SPC_YCGCO_RO:
	case AVCOL_SPC_BT2020_CL:
	case AVCOL_SPC_SMPTE2085:
	case AVCOL_SPC_CHROMA_DERIVED_NCL:
	case AVCOL_SPC_CHROMA_DERIVED_CL:
	case AVCOL_SPC_ICTCP:
		return true;
	default:
		return false;
	}
}

bool video_exact_wanted(const video_colour *c, const AVFrame *f)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get((enum AVPixelFormat)f->format);
	if (!d || !planes_readable(d) || c->matrix == E3_MATRIX_OPENCV)
		return false;
	bool coded = !grey(d) && !(d->flags & AV_PIX_FMT_FLAG_RGB);
	if (!sws_isSupportedInput((enum AVPixelFormat)f->format) || misread_grey(f, d) || misread_colours(d))
		return true;
	return (coded && unusual(space_of(c, f))) || (c->tonemap && tags_need_tone(f));
}

/* --- what the tags mean --- */

static int refuse(const video_colour *c, const char *what, e3_err *err)
{
	return e3_fail(err, "converting to RGB: %s: colours coded as %s: not supported; another matrix can be forced",
		c->input, what);
}

static void set_lms(exact_job *j)
{
	static const double pq[9] = {2048, 2048, 0, 6610, -13613, 7003, 17933, -17390, -543},
						hlg[9] = {2048, 2048, 0, 3625, -7465, 3840, 9500, -9212, -288},
						rgb[9] = {1688, 2146, 262, 683, 2951, 462, 99, 309, 3688};
	double a[9], b[9];
	e3_tone_invert(j->f->color_trc == AVCOL_TRC_ARIB_STD_B67 ? hlg : pq, a);
	e3_tone_invert(rgb, b);
	for (int k = 0; k < 9; k++)
		j->to_lms[k] = (float)(a[k] * 4096), j->to_rgb[k] = (float)(b[k] * 4096);
	j->matrix = ICTCP;
}

static void set_constant(exact_job *j)
{
	int t = (int)j->f->color_trc;
	j->nb = 2 * e3_tone_code(t, 1 - j->kb), j->pb = 2 * (1 - e3_tone_code(t, j->kb));
	j->nr = 2 * e3_tone_code(t, 1 - j->kr), j->pr = 2 * (1 - e3_tone_code(t, j->kr));
	j->matrix = CONSTANT;
}

static int set_matrix(exact_job *j, const video_colour *c, int space, e3_err *err)
{
	static const struct {
		int space;
		double kr, kb;
	} known[] = {{AVCOL_SPC_BT709, .2126, .0722}, {AVCOL_SPC_FCC, .30, .11}, {AVCOL_SPC_BT470BG, .299, .114},
		{AVCOL_SPC_SMPTE170M, .299, .114}, {AVCOL_SPC_SMPTE240M, .212, .087}, {AVCOL_SPC_BT2020_NCL, .2627, .0593},
		{AVCOL_SPC_BT2020_CL, .2627, .0593}};
	bool hdr = e3_tone_is_hdr((int)j->f->color_trc);
	if (space == AVCOL_SPC_CHROMA_DERIVED_NCL)
		space = hdr || j->f->color_primaries == AVCOL_PRI_BT2020 ? AVCOL_SPC_BT2020_NCL
			: j->f->color_primaries == AVCOL_PRI_BT709           ? AVCOL_SPC_BT709
																 : space;
	if (space == AVCOL_SPC_SMPTE2085)
		return refuse(c, "Y'D'zD'x (SMPTE ST 2085)", err);
	if (space == AVCOL_SPC_CHROMA_DERIVED_CL || space == AVCOL_SPC_CHROMA_DERIVED_NCL)
		return refuse(c, "luma derived from the primaries", err);
	if (space == AVCOL_SPC_UNSPECIFIED || space == AVCOL_SPC_RGB || space == AVCOL_SPC_RESERVED)
		space = hdr || j->f->color_primaries == AVCOL_PRI_BT2020 ? AVCOL_SPC_BT2020_NCL
			: j->f->height >= 720                                ? AVCOL_SPC_BT709
																 : AVCOL_SPC_SMPTE170M;
	j->matrix = YCBCR, j->kr = .299f, j->kb = .114f;
	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		if (known[k].space == space)
			j->kr = (float)known[k].kr, j->kb = (float)known[k].kb;
	if (space == AVCOL_SPC_YCGCO || space == SPC_YCGCO_RE || space == SPC_YCGCO_RO)
		j->matrix = space == AVCOL_SPC_YCGCO ? YCGCO : YCGCO_R;
	else if (space == AVCOL_SPC_BT2020_CL)
		set_constant(j);
	else if (space == AVCOL_SPC_ICTCP)
		set_lms(j);
	return 0;
}

/* Deprecated formats state by their name that their range is full. */
static bool full_range(const AVFrame *f, exact_matrix m)
{
	switch (f->format) {
	case AV_PIX_FMT_YUVJ420P:
	case AV_PIX_FMT_YUVJ422P:
	case AV_PIX_FMT_YUVJ444P:
	case AV_PIX_FMT_YUVJ440P:
	case AV_PIX_FMT_YUVJ411P:
		return true;
	default:
		return m == RGB || f->color_range == AVCOL_RANGE_JPEG || (m == GREY && f->color_range != AVCOL_RANGE_MPEG);
	}
}

/* Of the codes: black, white, and what chroma is counted in. */
static void set_range(exact_job *j, int space)
{
	int depth = j->d->comp[0].depth, deeper = 0;
	if (j->d->flags & AV_PIX_FMT_FLAG_FLOAT) {
		j->white = j->unit = 1;
		return;
	}
	if (j->matrix == YCGCO_R) /* luma has more bits than the colours that it stands for */
		deeper = space == SPC_YCGCO_RE ? 2 : 1;
	float step = ldexpf(1, depth - deeper - 8), most = ldexpf(1, depth - deeper) - 1;
	bool full = full_range(j->f, j->matrix);
	j->black = full ? 0 : 16 * step;
	j->white = full ? most : 235 * step;
	j->unit = full ? most : j->matrix == YCGCO ? 219 * step : 224 * step;
	j->middle = ldexpf(1, depth - 1);
}

/* --- a row --- */

static void scale(float *v, int w, float zero, float unit)
{
	float k = 1 / unit;
	for (int x = 0; x < w; x++)
		v[x] = (v[x] - zero) * k;
}

static void from_ycbcr(const exact_job *j, float *const v[3], int w)
{
	float kg = 1 - j->kr - j->kb, red = 2 * (1 - j->kr), blue = 2 * (1 - j->kb);
	for (int x = 0; x < w; x++) {
		float y = v[0][x], cb = v[1][x], cr = v[2][x], r = y + red * cr, b = y + blue * cb;
		v[0][x] = r, v[1][x] = (y - j->kr * r - j->kb * b) / kg, v[2][x] = b;
	}
}

static void from_ycgco(float *const v[3], int w)
{
	for (int x = 0; x < w; x++) {
		float y = v[0][x], cg = v[1][x], co = v[2][x];
		v[0][x] = y - cg + co, v[1][x] = y + cg, v[2][x] = y - cg - co;
	}
}

/* In codes, as the lifting steps are defined: rounded down. */
static void from_ycgco_r(const exact_job *j, float *const v[3], int w)
{
	for (int x = 0; x < w; x++) {
		float cg = v[1][x] - j->middle, co = v[2][x] - j->middle, t = v[0][x] - floorf(cg / 2);
		float b = t - floorf(co / 2);
		v[0][x] = b + co, v[1][x] = t + cg, v[2][x] = b;
	}
	for (int c = 0; c < 3; c++)
		scale(v[c], w, j->black, j->white - j->black);
}

static void from_constant(const exact_job *j, float *const v[3], int w)
{
	int t = (int)j->f->color_trc;
	for (int x = 0; x < w; x++) {
		float y = v[0][x], cb = v[1][x], cr = v[2][x];
		float b = y + cb * (cb <= 0 ? j->nb : j->pb), r = y + cr * (cr <= 0 ? j->nr : j->pr);
		float g = e3_tone_linear(t, y) - j->kr * e3_tone_linear(t, r) - j->kb * e3_tone_linear(t, b);
		v[0][x] = r, v[1][x] = e3_tone_code(t, g / (1 - j->kr - j->kb)), v[2][x] = b;
	}
}

static void from_ictcp(const exact_job *j, float *const v[3], int w)
{
	int t = (int)j->f->color_trc;
	const float *a = j->to_lms, *b = j->to_rgb;
	for (int x = 0; x < w; x++) {
		float lms[3];
		for (int k = 0; k < 3; k++)
			lms[k] = e3_tone_linear(t, a[3 * k] * v[0][x] + a[3 * k + 1] * v[1][x] + a[3 * k + 2] * v[2][x]);
		for (int k = 0; k < 3; k++)
			v[k][x] = e3_tone_code(t, b[3 * k] * lms[0] + b[3 * k + 1] * lms[1] + b[3 * k + 2] * lms[2]);
	}
}

static void to_rgb(const exact_job *j, float *const v[3], int w)
{
	if (j->matrix == YCGCO_R) {
		from_ycgco_r(j, v, w);
		return;
	}
	bool chroma = j->matrix != RGB;
	scale(v[0], w, j->black, j->white - j->black);
	for (int c = 1; c < 3; c++)
		scale(v[c], w, chroma ? j->middle : 0, chroma ? j->unit : ldexpf(1, j->d->comp[c].depth) - 1);
	if (j->matrix == YCBCR)
		from_ycbcr(j, v, w);
	else if (j->matrix == YCGCO)
		from_ycgco(v, w);
	else if (j->matrix == CONSTANT)
		from_constant(j, v, w);
	else if (j->matrix == ICTCP)
		from_ictcp(j, v, w);
}

static void write_row(float *const v[3], int w, uint8_t *out)
{
	for (int c = 0; c < 3; c++)
		for (int x = 0; x < w; x++) {
			float level = v[c][x] * 255 + 0.5f;
			out[3 * x + c] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
		}
}

static void convert_band(void *job, int band, int thread)
{
	const exact_job *j = job;
	int w = j->f->width, last = (band + 1) * BAND < j->f->height ? (band + 1) * BAND : j->f->height;
	float *own = j->scratch + (size_t)thread * ROW_SCRATCH * (size_t)w, *spare = own + 3 * (size_t)w;
	for (int y = band * BAND; y < last; y++) {
		float *v[3] = {own, own + w, own + 2 * (size_t)w};
		uint8_t *out = j->out->px + 3 * (size_t)y * (size_t)w;
		if (j->matrix == GREY) {
			planes_row(j->f, j->d, 0, y, v[0], spare);
			scale(v[0], w, j->black, j->white - j->black);
			v[1] = v[2] = v[0];
		} else {
			for (int c = 0; c < 3; c++)
				planes_row(j->f, j->d, c, y, v[c], spare);
			to_rgb(j, v, w);
		}
		if (j->tone)
			e3_tone_row(j->tone, v, w, out);
		else
			write_row(v, w, out);
	}
}

/* The peak is that of the first such frame, so that exposure does not change within a video. */
static int prepare_tone(video_colour *c, const AVFrame *f, e3_err *err)
{
	const int tags[3] = {f->color_trc, f->color_primaries, f->colorspace};
	if (c->tone && c->tags[0] == tags[0] && c->tags[1] == tags[1] && c->tags[2] == tags[2])
		return 0;
	free(c->tone);
	c->peak = c->peak > 0 ? c->peak : tags_peak(f);
	c->tone = tags_tone(f, c->peak, err);
	for (int k = 0; k < 3; k++)
		c->tags[k] = tags[k];
	return c->tone ? 0 : -1;
}

int video_exact_image(video_colour *c, const AVFrame *f, e3_image *out, e3_err *err)
{
	int threads = c->threads > 1 ? c->threads : 1, space = space_of(c, f);
	exact_job j = {.f = f, .d = av_pix_fmt_desc_get((enum AVPixelFormat)f->format), .out = out};
	if (grey(j.d))
		j.matrix = GREY;
	else if (j.d->flags & AV_PIX_FMT_FLAG_RGB)
		j.matrix = RGB;
	else if (set_matrix(&j, c, space, err))
		return -1;
	set_range(&j, space);
	if (c->tonemap && tags_need_tone(f)) {
		if (prepare_tone(c, f, err))
			return -1;
		j.tone = c->tone;
	}
	j.scratch = e3_alloc((size_t)threads * ROW_SCRATCH * (size_t)f->width, sizeof *j.scratch, "rows", err);
	if (!j.scratch)
		return -1;
	e3_parallel_once(threads, (f->height + BAND - 1) / BAND, convert_band, &j);
	free(j.scratch);
	return 0;
}
