/* trace: sheets of kept patches, one per layer, and the sheet of how many layers still hold a patch
 * (doc/formats.md 7.3). */
#include "e3/trace_draw.h"
#include "e3/io.h"
#include "trace/style.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 1800, NOW_FRAMES = 12, LEGEND = 160 };

static const uint8_t red[3] = {0xe0, 0x30, 0x30};

/* Applies fn to every pixel of the box (x, y, w, h). */
static void map_pixels(e3_image *im, const int box[4], void (*fn)(uint8_t *px, const void *ctx), const void *ctx)
{
	for (int y = box[1]; y < box[1] + box[3]; y++)
		for (int x = box[0]; x < box[0] + box[2]; x++)
			fn(im->px + 3 * ((size_t)y * (size_t)im->w + (size_t)x), ctx);
}

static int luma(const uint8_t *px) { return (299 * px[0] + 587 * px[1] + 114 * px[2]) / 1000; }

static void dim(uint8_t *px, const void *ctx) { memset(px, luma(px) / 4, 3); }

static void mark(uint8_t *px, const void *ctx)
{
	for (int c = 0; c < 3; c++)
		px[c] = (uint8_t)((2 * px[c] + 3 * red[c]) / 5);
}

static void hide(uint8_t *px, const void *ctx) { memset(px, 255, 3); }

/* Colours a pixel but keeps its brightness, so that the picture stays recognisable. */
static void tint(uint8_t *px, const void *ctx)
{
	const uint8_t *rgb = ctx;
	int y = luma(px);
	for (int c = 0; c < 3; c++)
		px[c] = (uint8_t)((rgb[c] * (90 + y * 2 / 3) / 255 * 3 + y) / 4);
}

static void paint_evicted(e3_image *im, const int box[4], e3_patch_style style)
{
	map_pixels(im, box, style == E3_PATCH_MARK ? mark : style == E3_PATCH_HIDE ? hide : dim, NULL);
}

/* What a tile shows: the patches of a shot in one layer. */
typedef struct scene {
	const e3_trace_run *x;
	const e3_trace_shots *fr;
	const e3_sheet_look *look;
	e3_sheet_view view;
	int layer;    /* not for E3_SHEET_LAYERS */
	int64_t then; /* in the cache that answered for this frame, after it; -1: at the end of the shot's own segment */
} scene;

/* The step of the shot's frame, and the step after which its tokens are shown. Without a step it is in no cache. */
typedef struct moment {
	int64_t step, at;
} moment;

static moment moment_of(const scene *s, const e3_trace_shot *shot)
{
	const e3_replay *r = s->x->replay;
	int64_t at = e3_replay_answer(r, s->then < 0 ? shot->t : s->then);
	if (at < 0)
		return (moment){-1, -1};
	int64_t segment = r->step[at].segment;
	return s->then < 0 ? (moment){at, e3_replay_last(r, segment)}
					   : (moment){e3_replay_step_of(r, segment, shot->t), at};
}

static int paint_patch(const scene *s, e3_image *im, moment m, int index, const int box[4])
{
	const e3_replay *r = s->x->replay;
	uint8_t rgb[3] = {255, 255, 255};
	if (s->view == E3_SHEET_LAYERS) {
		int holding = m.step < 0 ? 0 : e3_replay_holders(r, m.step, index, m.at);
		e3_cmap_rgb(E3_VIRIDIS, (double)holding / r->shape.layers, rgb);
		map_pixels(im, box, tint, rgb);
		return holding;
	}
	bool alive = m.step >= 0 && e3_replay_alive_at(r, s->layer, m.step, index, m.at);
	if (s->view == E3_SHEET_AGE) {
		double life = alive || m.step < 0 ? 0 : e3_replay_life(r, s->layer, m.step, index);
		if (!alive)
			e3_cmap_rgb(E3_VIRIDIS, life / (double)e3_replay_longest(r), rgb);
		map_pixels(im, box, tint, rgb);
	} else if (!alive) {
		paint_evicted(im, box, s->look->style);
	}
	return alive;
}

static void draw_grid(e3_image *im, int cell)
{
	static const uint8_t line[3] = {90, 96, 108};
	for (int x = 0; x < im->w; x += cell)
		for (int y = 0; y < im->h; y++)
			e3_draw_blend(im, x, y, line, 0.5);
	for (int y = 0; y < im->h; y += cell)
		for (int x = 0; x < im->w; x++)
			e3_draw_blend(im, x, y, line, 0.5);
}

/* One tile with its caption at (x, y) of the sheet. `cell` pixels a patch. */
static int draw_tile(const scene *s, const e3_trace_shot *shot, int cell, e3_image *sheet, const int at[2], e3_err *err)
{
	const e3_trace_shape *sh = &s->x->replay->shape;
	e3_image im;
	if (e3_resize_bicubic(&shot->rgb, sh->cols * cell, sh->rows * cell, &im, err))
		return -1;
	int64_t kept = 0;
	moment m = moment_of(s, shot);
	for (int p = 0; p < sh->rows * sh->cols; p++)
		kept += paint_patch(s, &im, m, sh->special + p, (int[4]){p % sh->cols * cell, p / sh->cols * cell, cell, cell});
	if (s->look->grid)
		draw_grid(&im, cell);
	e3_draw_blit(sheet, at[0], at[1], &im);
	char text[64];
	int64_t of = (int64_t)sh->rows * sh->cols;
	snprintf(text, sizeof text, "%" PRId64, shot->i);
	int width = e3_draw_text(sheet, at[0], at[1] + im.h + 4, TEXT, ink, text);
	if (s->view == E3_SHEET_LAYERS)
		snprintf(text, sizeof text, "%.1f layers", (double)kept / (double)of);
	else
		snprintf(text, sizeof text, "%" PRId64 " kept", kept);
	if (width + e3_text_width(TEXT, text) + 12 >= im.w)
		text[strcspn(text, " ")] = 0; /* the number alone */
	if (width + e3_text_width(TEXT, text) + 12 < im.w)
		e3_draw_text(sheet, at[0] + im.w - e3_text_width(TEXT, text), at[1] + im.h + 4, TEXT, soft, text);
	e3_image_release(&im);
	return 0;
}

static void draw_legend(e3_image *sheet, const scene *s)
{
	if (s->view != E3_SHEET_AGE && s->view != E3_SHEET_LAYERS)
		return;
	char high[48];
	if (s->view == E3_SHEET_LAYERS)
		snprintf(high, sizeof high, "%d layer%s", s->x->replay->shape.layers,
			s->x->replay->shape.layers == 1 ? "" : "s");
	else
		snprintf(high, sizeof high, "%" PRId64 " step%s; white: kept", e3_replay_longest(s->x->replay),
			e3_replay_longest(s->x->replay) == 1 ? "" : "s");
	int x = sheet->w - MARGIN - e3_text_width(TEXT, high), y = MARGIN;
	e3_draw_text(sheet, x, y, TEXT, soft, high);
	x -= LEGEND + 10;
	for (int k = 0; k < LEGEND; k++) {
		uint8_t rgb[3];
		e3_cmap_rgb(E3_VIRIDIS, k / (LEGEND - 1.0), rgb);
		e3_draw_fill(sheet, x + k, y, 1, LINE - 2, rgb);
	}
	e3_draw_text(sheet, x - e3_text_width(TEXT, "0") - 8, y, TEXT, soft, "0");
}

static int open_sheet(e3_image *sheet, int w, int h, const char *title, e3_err *err)
{
	if (e3_image_init(sheet, w, h, 3, err))
		return -1;
	e3_draw_fill(sheet, 0, 0, w, h, board);
	e3_draw_text(sheet, MARGIN, MARGIN, TEXT, ink, title);
	return 0;
}

static int save(e3_image *sheet, int rc, const char *dir, const char *name, e3_err *err)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	rc = rc ? rc : e3_png_save(path, sheet, err);
	e3_image_release(sheet);
	return rc;
}

/* As many columns as keep the sheet not much wider than high, and at most WIDE pixels wide. */
static int sheet_columns(int n, int tile_w, int tile_h)
{
	int most = (WIDE - 2 * MARGIN + GAP) / (tile_w + GAP), cols = 1;
	while (cols < n && cols < most && cols * tile_w * 2 < ((n + cols - 1) / cols) * tile_h * 3)
		cols++;
	return cols;
}

/* Frames in reading order, each with its own patches as they are at the end. */
static int draw_sheet(const scene *s, const char *title, const char *dir, const char *name, e3_err *err)
{
	const e3_trace_shot *shots[256];
	int n = e3_trace_shots_pick(s->fr, s->look->frames, shots), cell = s->fr->cell;
	int w = s->fr->shape.cols * cell + GAP, h = s->fr->shape.rows * cell + LINE + 2 * GAP,
		cols = sheet_columns(n, w, h);
	int top = 2 * MARGIN + LINE, width = 2 * MARGIN + cols * w - GAP, least = 2 * MARGIN + e3_text_width(TEXT, title);
	if (s->view == E3_SHEET_AGE || s->view == E3_SHEET_LAYERS)
		least += 36 * 6 * TEXT + LEGEND;
	e3_image sheet;
	if (open_sheet(&sheet, width > least ? width : least, top + (n + cols - 1) / cols * h + MARGIN / 2, title, err))
		return -1;
	draw_legend(&sheet, s);
	int rc = 0;
	for (int k = 0; !rc && k < n; k++)
		rc = draw_tile(s, shots[k], cell, &sheet, (int[2]){MARGIN + k % cols * w, top + k / cols * h}, err);
	return save(&sheet, rc, dir, name, err);
}

/* One row per step: the frames up to this step, each as it was then, the newest last. */
static int draw_now(const scene *s, const char *title, const char *dir, const char *name, e3_err *err)
{
	const e3_trace_shot *shots[NOW_FRAMES];
	int n = e3_trace_shots_pick(s->fr, s->look->frames < NOW_FRAMES ? s->look->frames : NOW_FRAMES, shots);
	int cell = s->fr->cell / 2 > 1 ? s->fr->cell / 2 : 1, label = 8 * 6 * TEXT;
	int w = s->fr->shape.cols * cell + GAP, h = s->fr->shape.rows * cell + LINE + 2 * GAP;
	int top = 2 * MARGIN + LINE, width = 2 * MARGIN + label + n * w - GAP,
		least = 2 * MARGIN + e3_text_width(TEXT, title);
	e3_image sheet;
	if (open_sheet(&sheet, width > least ? width : least, top + n * h + MARGIN / 2, title, err))
		return -1;
	int rc = 0;
	for (int row = 0; !rc && row < n; row++) {
		scene then = *s;
		char text[32];
		then.then = shots[row]->t;
		snprintf(text, sizeof text, "at %" PRId64, shots[row]->i);
		e3_draw_text(&sheet, MARGIN, top + row * h + (h - LINE) / 2 - LINE / 2, TEXT, soft, text);
		for (int k = 0; !rc && k <= row; k++)
			rc = draw_tile(&then, shots[k], cell, &sheet, (int[2]){MARGIN + label + k * w, top + row * h}, err);
	}
	return save(&sheet, rc, dir, name, err);
}

static int draw_layer(const scene *s, const char *dir, e3_err *err)
{
	static const char *const what[] = {[E3_SHEET_SELF] = "patches still in the cache at the end",
		[E3_SHEET_NOW] = "patches in the cache, step by step",
		[E3_SHEET_AGE] = "how long patches stayed"};
	const e3_replay *r = s->x->replay;
	char title[160], name[32], kept[32], all[32];
	uint64_t left = 0;
	for (int64_t k = 0; k < r->segments; k++)
		left += e3_trace_cell_at(r, e3_replay_last(r, k), s->layer)->after;
	e3_trace_count_text(left, kept);
	e3_trace_count_text((uint64_t)r->steps * (uint64_t)r->shape.n, all);
	snprintf(title, sizeof title, "layer %d: %s%s (%s of %s tokens kept)", s->layer, what[s->view],
		r->segments > 1 && s->view != E3_SHEET_NOW ? " of their segment" : "", kept, all);
	snprintf(name, sizeof name, "L%02d.png", s->layer);
	return s->view == E3_SHEET_NOW ? draw_now(s, title, dir, name, err) : draw_sheet(s, title, dir, name, err);
}

int e3_trace_sheets(const e3_trace_run *x, const e3_trace_shots *fr, const e3_sheet_look *look, const char *dir,
	e3_err *err)
{
	if (e3_mkdirs(dir, err))
		return -1;
	scene s = {x, fr, look, E3_SHEET_LAYERS, 0, -1};
	const char *title = x->replay->segments > 1 ? "layers that still hold a patch at the end of its segment"
												: "layers that still hold a patch at the end";
	int rc = draw_sheet(&s, title, dir, "layers.png", err);
	s.view = look->view;
	for (int l = 0; !rc && look->view != E3_SHEET_LAYERS && l < x->replay->shape.layers; l++) {
		s.layer = l;
		if (wants_layer(look->layers, look->n_layers, l))
			rc = draw_layer(&s, dir, err);
	}
	return rc;
}
