/* trace: draws attention: binned maps with evicted keys in neutral grey; frame-to-frame mass as pictures and tables. */
#include "trace/attn.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/plot.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 720, BORDERS = 24 };

/* A matrix to draw: the means of the bins; 0 above the diagonal, because no query sees a later frame. */
typedef struct table {
	int rows, cols;
	double *v;        /* NaN: all keys were evicted */
	double *gone;     /* share of the cell's (query, key) pairs whose key was evicted */
	uint32_t *layers; /* how many layers gave the cell a value; only for means over layers */
} table;

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The range that was asked for, or from 0 to percentile `top` of the values above 0. */
static int find_range(const e3_trace_attn_look *look, double top, const table *m, double range[2], e3_err *err)
{
	if (look->has_range && !isnan(look->lo)) {
		range[0] = look->lo, range[1] = look->hi;
		return 0;
	}
	top = look->has_range ? look->hi : top;
	size_t n = 0, all = (size_t)m->rows * (size_t)m->cols;
	double *v = e3_alloc(all, sizeof *v, "values to order", err);
	if (!v)
		return -1;
	for (size_t k = 0; k < all; k++)
		if (isfinite(m->v[k]) && m->v[k] > 0)
			v[n++] = m->v[k];
	qsort(v, n, sizeof *v, by_value);
	range[0] = 0;
	range[1] = n ? v[(size_t)(top / 100 * (double)(n - 1))] : 1;
	free(v);
	return 0;
}

/* How many (query, key) pairs of a bin are causal: the key's frame is not later than the query's. */
static int64_t causal_pairs(const trace_bins *b, int r, int c, int64_t queries, int64_t tokens)
{
	int64_t row_end = (r + 1) * b->row_bin, first = c * b->col_bin, end = first + b->col_bin, pairs = 0;
	row_end = row_end < b->rows ? row_end : b->rows;
	end = end < b->cols ? end : b->cols;
	for (int64_t row = r * b->row_bin; row < row_end; row++) {
		int64_t seen = (row / queries + 1) * tokens, last = seen < end ? seen : end;
		pairs += last > first ? last - first : 0;
	}
	return pairs;
}

static int make_table(const trace_bins *b, int64_t tokens, bool full, table *m, e3_err *err)
{
	*m = (table){.rows = trace_bins_rows(b), .cols = trace_bins_cols(b)};
	m->v = e3_alloc((size_t)m->rows * (size_t)m->cols, sizeof *m->v, "a picture of attention", err);
	m->gone = e3_alloc((size_t)m->rows * (size_t)m->cols, sizeof *m->gone, "a picture of attention", err);
	if (!m->v || !m->gone)
		return -1;
	int64_t queries = full ? tokens : 1; /* rows a frame */
	for (int r = 0; r < m->rows; r++)
		for (int c = 0; c < m->cols; c++) {
			size_t at = (size_t)r * (size_t)b->side + (size_t)c, to = (size_t)r * (size_t)m->cols + (size_t)c;
			double pairs = (double)causal_pairs(b, r, c, queries, tokens);
			m->v[to] = b->count[at] ? (double)b->sum[at] / b->count[at] : pairs > 0 ? NAN : 0;
			m->gone[to] = pairs > 0 ? 1 - b->count[at] / pairs : 0;
		}
	return 0;
}

/* Blends in neutral grey by the share of evicted keys. */
static void draw_gone(e3_plot *p, const table *m)
{
	static const uint8_t grey[3] = {0x80, 0x80, 0x80};
	for (int y = 0; y < p->h; y++)
		for (int x = 0; x < p->w; x++) {
			int r = (int)((int64_t)y * m->rows / p->h), c = (int)((int64_t)x * m->cols / p->w);
			e3_draw_blend(&p->im, p->x + x, p->y + y, grey, m->gone[(size_t)r * (size_t)m->cols + (size_t)c]);
		}
}

/* Borders of frames as dashed white lines, unless there are too many to tell apart. */
static void draw_borders(e3_plot *p, int64_t frames)
{
	static const e3_pen white = {{255, 255, 255}, 1, true};
	for (int64_t f = 1; f < frames && frames <= BORDERS; f++) {
		double at = (double)f - 0.5;
		e3_plot_curve(p, (double[2]){at, at}, (double[2]){p->y0, p->y1}, 2, &white);
		e3_plot_curve(p, (double[2]){p->x0, p->x1}, (double[2]){at, at}, 2, &white);
	}
}

typedef struct sheet {
	const char *dir, *name, *title, *note, *scale;
	int64_t frames;
	double top; /* percentile that the range ends at when none was asked for */
	bool maps;  /* a column is a token, not a frame: draw evicted keys and the borders of frames */
} sheet;

static int draw_table(const e3_trace_attn *a, const table *m, const sheet *s, e3_err *err)
{
	double range[2];
	char path[4096];
	int zoom = SIDE / m->cols > 1 ? SIDE / m->cols : 1, side = m->cols * zoom;
	if (find_range(&a->look, s->top, m, range, err))
		return -1;
	e3_plot p;
	e3_plot_axes axes = {.w = side,
		.h = side,
		.title = s->title,
		.x_label = "key of frame",
		.y_label = s->note,
		.x0 = -0.5,
		.x1 = (double)s->frames - 0.5,
		.y0 = (double)s->frames - 0.5,
		.y1 = -0.5,
		.whole_x = true,
		.whole_y = true,
		.key_chars = 10};
	if (e3_plot_init(&p, &axes, err))
		return -1;
	e3_plot_heat(&p, m->v, m->rows, m->cols, a->look.map, range);
	if (s->maps)
		draw_gone(&p, m), draw_borders(&p, s->frames);
	e3_plot_scale(&p, a->look.map, range, s->scale);
	snprintf(path, sizeof path, "%s/%s", s->dir, s->name);
	int rc = e3_png_save(path, &p.im, err);
	e3_plot_release(&p);
	return rc;
}

static void add_to_mean(table *mean, const table *m)
{
	for (size_t k = 0; k < (size_t)m->rows * (size_t)m->cols; k++)
		if (mean->gone[k] += m->gone[k], isfinite(m->v[k]))
			mean->v[k] += m->v[k], mean->layers[k]++;
}

static int start_mean(table *mean, const table *m, e3_err *err)
{
	size_t n = (size_t)m->rows * (size_t)m->cols;
	*mean = (table){.rows = m->rows, .cols = m->cols};
	mean->v = e3_alloc(n, sizeof *mean->v, "mean of attention", err);
	mean->gone = e3_alloc(n, sizeof *mean->gone, "mean of attention", err);
	mean->layers = e3_alloc(n, sizeof *mean->layers, "mean of attention", err);
	return mean->v && mean->gone && mean->layers ? 0 : -1;
}

static void table_release(table *m)
{
	free(m->v);
	free(m->gone);
	free(m->layers);
	*m = (table){0};
}

/* The pictures of one kind (maps, or frame-to-frame mass): one per layer, and their mean. */
static int draw_kind(e3_trace_attn *a, const char *dir, bool maps, int64_t frames, e3_err *err)
{
	table mean = {0};
	int rc = 0;
	bool full = a->layer[0].full;
	const char *note = !maps ? "query frame; a row sums to 1"
		: full               ? "query of frame; grey: evicted keys"
							 : "query frame; grey: evicted keys";
	const char *from = !maps ? "" : full ? ", head-averaged maps" : ", mean over a frame's queries";
	char title[128], name[64];
	sheet s = {dir, name, title, note, maps ? "prob." : "mass", frames, maps ? 99 : 95, maps};
	for (int k = 0; !rc && k < a->n; k++) {
		const attn_layer *x = &a->layer[k];
		table m;
		snprintf(title, sizeof title, "Attention%s, layer %d%s%s", maps ? "" : " between frames", x->layer, from,
			maps && a->look.scale_rows ? ", rows x (frame + 1)" : "");
		snprintf(name, sizeof name, maps ? "layer_%02d.png" : "frame_mass_layer_%02d.png", x->layer);
		rc = make_table(maps ? &x->map : &x->mass, maps ? a->shape.n : 1, maps && x->full, &m, err) ||
				draw_table(a, &m, &s, err) || (!mean.v && start_mean(&mean, &m, err))
			? -1
			: 0;
		if (!rc)
			add_to_mean(&mean, &m);
		table_release(&m);
	}
	for (int k = 0; !rc && k < mean.rows * mean.cols; k++)
		mean.v[k] = mean.layers[k] ? mean.v[k] / mean.layers[k] : NAN, mean.gone[k] /= a->n;
	snprintf(title, sizeof title, "Attention%s, mean of %d layer%s", maps ? "" : " between frames", a->n,
		a->n == 1 ? "" : "s");
	snprintf(name, sizeof name, maps ? "mean.png" : "frame_mass_mean.png");
	if (!rc)
		rc = draw_table(a, &mean, &s, err);
	table_release(&mean);
	return rc;
}

/* Row t of a layer into `to`; NaN where the layer has no such row. */
static int read_row(attn_layer *x, int64_t t, float *to, e3_err *err)
{
	for (int64_t k = 0; k <= t; k++)
		to[k] = NAN;
	if (t < x->frames && fread(to, sizeof *to, (size_t)t + 1, x->rows) != (size_t)t + 1)
		return e3_fail_sys(err, "reading a temporary file");
	return 0;
}

static void write_row(FILE *f, const double *row, const int *n, int64_t t, int64_t frames)
{
	for (int64_t k = 0; k < frames; k++) {
		const char *end = k + 1 < frames ? "\t" : "\n";
		if (k > t)
			fprintf(f, "0%s", end);
		else if (n[k])
			fprintf(f, "%.7g%s", row[k] / n[k], end);
		else
			fprintf(f, "nan%s", end);
	}
}

/* frames × frames numbers: the mean over layers [from, to). Exact: pictures are binned, tables are not. */
static int write_table(e3_trace_attn *a, const int layers[2], int64_t frames, const char *path, e3_err *err)
{
	e3_file file;
	float *one = e3_alloc((size_t)frames, sizeof *one, "a row of attention", err);
	double *sum = one ? e3_alloc((size_t)frames, sizeof *sum, "a row of attention", err) : NULL;
	int *n = sum ? e3_alloc((size_t)frames, sizeof *n, "a row of attention", err) : NULL;
	int rc = n ? e3_file_open(&file, path, err) : -1;
	bool opened = n && rc == 0;
	for (int k = layers[0]; !rc && k < layers[1]; k++)
		rc = fseek(a->layer[k].rows, 0, SEEK_SET) ? e3_fail_sys(err, "reading a temporary file") : 0;
	for (int64_t t = 0; !rc && t < frames; t++) {
		for (int64_t k = 0; k <= t; k++)
			sum[k] = 0, n[k] = 0;
		for (int l = layers[0]; !rc && l < layers[1]; l++) {
			rc = read_row(&a->layer[l], t, one, err);
			for (int64_t k = 0; !rc && k <= t; k++)
				if (!isnan(one[k]))
					sum[k] += one[k], n[k]++;
		}
		write_row(file.f, sum, n, t, frames);
	}
	if (opened && rc)
		e3_file_discard(&file);
	else if (opened)
		rc = e3_file_commit(&file, err);
	free(one), free(sum), free(n);
	return rc;
}

int e3_trace_attn_draw(e3_trace_attn *a, const char *out, int *layers, e3_err *err)
{
	char dir[4000], path[4096];
	int64_t frames = 0;
	*layers = a->n;
	if (a->n == 0)
		return 0;
	for (int k = 0; k < a->n; k++) {
		frames = a->layer[k].frames > frames ? a->layer[k].frames : frames;
		if (a->layer[k].full != a->layer[0].full)
			return e3_fail(err, "drawing attention: layer %d has maps, layer %d has only mass",
				a->layer[a->layer[0].full ? 0 : k].layer, a->layer[a->layer[0].full ? k : 0].layer);
	}
	for (int k = 0; k < a->n; k++) { /* the stream may end between two layers: give all of them the same bins */
		trace_bins_reach(&a->layer[k].mass, frames, frames);
		trace_bins_reach(&a->layer[k].map, a->layer[0].full ? frames * a->shape.n : frames, frames * a->shape.n);
	}
	snprintf(dir, sizeof dir, "%s/attn", out);
	if (e3_mkdirs(dir, err) || draw_kind(a, dir, true, frames, err) || draw_kind(a, dir, false, frames, err))
		return -1;
	for (int k = 0; k < a->n; k++) {
		snprintf(path, sizeof path, "%s/frame_mass_layer_%02d.tsv", dir, a->layer[k].layer);
		if (write_table(a, (int[2]){k, k + 1}, frames, path, err))
			return -1;
	}
	snprintf(path, sizeof path, "%s/frame_mass_mean.tsv", dir);
	return write_table(a, (int[2]){0, a->n}, frames, path, err);
}
