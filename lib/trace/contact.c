/* trace: the contact sheet: frames side by side: the picture, its depth, and the patches that the cache still holds. */
#include "e3/trace_draw.h"
#include "trace/style.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { ROWS = 3, COLUMNS = 64 };

/* Inverse depth in the colour map turbo: near is red, far is blue; where it is unknown, the background stays. */
static void draw_depth(e3_image *sheet, const int at[2], const e3_trace_shot *s, const double range[2])
{
	double span = range[1] > range[0] ? range[1] - range[0] : 1;
	for (int y = 0; y < s->rgb.h; y++)
		for (int x = 0; x < s->rgb.w; x++) {
			float v = s->inverse[(size_t)y * (size_t)s->rgb.w + (size_t)x];
			uint8_t rgb[3];
			e3_cmap_rgb(E3_TURBO, (v - range[0]) / span, rgb);
			if (v > 0)
				e3_draw_fill(sheet, at[0] + x, at[1] + y, 1, 1, rgb);
		}
}

/* The more layers hold a patch, the brighter and more colourful it is; the first layers count most. A patch that no
 * layer holds is almost black. */
static void draw_kept(e3_image *sheet, const int at[2], const e3_trace_shot *s, const e3_replay *r, int cell)
{
	const e3_trace_shape *sh = &r->shape;
	int64_t step = e3_replay_answer(r, s->t), last = step < 0 ? -1 : e3_replay_last(r, r->step[step].segment);
	for (int y = 0; y < s->rgb.h; y++)
		for (int x = 0; x < s->rgb.w; x++) {
			int index = sh->special + y / cell * sh->cols + x / cell;
			const uint8_t *px = s->rgb.px + 3 * ((size_t)y * (size_t)s->rgb.w + (size_t)x);
			int holding = step < 0 ? 0 : e3_replay_holders(r, step, index, last);
			double share = sqrt((double)holding / sh->layers), colour = holding ? 0.5 + 0.5 * share : 0;
			double grey = 0.299 * px[0] + 0.587 * px[1] + 0.114 * px[2], light = 0.14 + 0.86 * share;
			uint8_t rgb[3];
			for (int c = 0; c < 3; c++)
				rgb[c] = (uint8_t)lrint(light * (grey + (px[c] - grey) * colour));
			e3_draw_fill(sheet, at[0] + x, at[1] + y, 1, 1, rgb);
		}
}

static void title_text(const e3_trace_run *x, char *to, size_t size)
{
	const e3_replay *r = x->replay;
	uint64_t now = x->stats->held[r->frames - 1], full = x->stats->full_tokens;
	char a[32], b[32];
	if (x->head->kv_token_bytes > 0) {
		e3_trace_bytes_text((double)now * (double)x->head->kv_token_bytes, a);
		e3_trace_bytes_text((double)full * (double)x->head->kv_token_bytes, b);
	} else {
		e3_trace_count_text(now, a), e3_trace_count_text(full, b);
	}
	snprintf(to, size, "%" PRId64 " frame%s, %s of cache kept of %s (%.0f %%)", r->frames, r->frames == 1 ? "" : "s", a,
		b, 100.0 * (double)now / (double)full);
}

static void draw_column(const e3_trace_run *x, const e3_trace_shots *fr, const e3_trace_shot *s, e3_image *sheet,
	const int at[2], bool depth)
{
	int step = fr->shape.rows * fr->cell + GAP + LINE + 6, y = at[1];
	double range[2];
	char text[64];
	snprintf(text, sizeof text, "frame %" PRId64, s->i);
	int width = e3_draw_text(sheet, at[0], y, TEXT, ink, text);
	snprintf(text, sizeof text, "%.2f s", s->pts);
	if (width + 12 + e3_text_width(TEXT, text) <= s->rgb.w)
		e3_draw_text(sheet, at[0] + s->rgb.w - e3_text_width(TEXT, text), y, TEXT, soft, text);
	y += LINE + 6;
	e3_draw_blit(sheet, at[0], y, &s->rgb);
	y += step;
	if (depth) {
		e3_trace_shots_range(fr, 2, 98, range);
		if (s->inverse)
			draw_depth(sheet, (int[2]){at[0], y}, s, range);
		y += step;
	}
	draw_kept(sheet, (int[2]){at[0], y}, s, x->replay, fr->cell);
}

int e3_trace_contact(const e3_trace_run *x, const e3_trace_shots *fr, int columns, const char *path, e3_err *err)
{
	const e3_trace_shot *shots[COLUMNS];
	int n = e3_trace_shots_pick(fr, columns < COLUMNS ? columns : COLUMNS, shots);
	bool depth = false;
	for (int k = 0; k < n; k++)
		depth |= shots[k]->inverse != NULL;
	const char *label[ROWS] = {NULL, "predicted depth: near red, far blue",
		x->replay->segments > 1
			? "what the cache holds at the end of the segment: the more layers keep a patch, the brighter it is"
			: "what the cache holds at the end: the more layers keep a patch, the brighter it is"};
	int tile_w = fr->shape.cols * fr->cell, step = fr->shape.rows * fr->cell + GAP + LINE + 6, rows = depth ? 3 : 2;
	int top = 2 * MARGIN + LINE, w = 2 * MARGIN + n * (tile_w + GAP) - GAP,
		least = 2 * MARGIN + e3_text_width(TEXT, label[2]);
	e3_image sheet;
	if (e3_image_init(&sheet, w > least ? w : least, top + rows * step - GAP + MARGIN, 3, err))
		return -1;
	e3_draw_fill(&sheet, 0, 0, sheet.w, sheet.h, board);
	char title[160];
	title_text(x, title, sizeof title);
	e3_draw_text(&sheet, MARGIN, MARGIN, TEXT, ink, title);
	for (int k = 0; k < n; k++)
		draw_column(x, fr, shots[k], &sheet, (int[2]){MARGIN + k * (tile_w + GAP), top}, depth);
	for (int k = 1; k < rows; k++)
		e3_draw_text(&sheet, MARGIN, top + k * step, TEXT, soft, label[depth ? k : 2]);
	int rc = e3_png_save(path, &sheet, err);
	e3_image_release(&sheet);
	return rc;
}
