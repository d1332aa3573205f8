/* image: a small plotter: axes with labels, curves, bars, heat maps, a key and a colour scale.
 *
 * e3_plot_init draws title, frame, ticks and grid; then curves, bars or one heat map go into the frame, in data
 * coordinates, clipped to it. Values that are NaN are left out. The caller saves p.im and calls e3_plot_release.
 */
#ifndef E3_PLOT_H
#define E3_PLOT_H

#include "e3/image.h"

typedef struct e3_plot_axes {
	int w, h;          /* of the frame the data goes into, pixels; at least 1 */
	const char *title; /* above everything; may be long: the picture is made wide enough */
	const char *x_label, *y_label;
	double x0, x1, y0, y1; /* left, right, bottom, top in data coordinates; y0 > y1 counts downwards, as rows do */
	bool whole_x, whole_y; /* ticks at whole numbers only */
	bool no_x_ticks, no_y_ticks;
	int key_chars; /* room for a key or a scale on the right, in characters; 0 = none */
} e3_plot_axes;

typedef struct e3_plot {
	e3_image im;
	int x, y, w, h; /* the frame, pixels */
	double x0, x1, y0, y1;
	int keys; /* entries in the key so far */
} e3_plot;

typedef struct e3_pen {
	uint8_t rgb[3];
	double width; /* pixels */
	bool dashed;
} e3_pen;

int e3_plot_init(e3_plot *p, const e3_plot_axes *axes, e3_err *err);
void e3_plot_release(e3_plot *p);

/* Joins n points; a point that is not finite breaks the curve. */
void e3_plot_curve(e3_plot *p, const double *x, const double *y, size_t n, const e3_pen *pen);
/* A box from x0 to x1 and from 0 (or the nearer end of the axis) to y. */
void e3_plot_bar(e3_plot *p, double x0, double x1, double y, const uint8_t rgb[3]);
/* Fills the frame with v [rows][cols], row 0 on top; values at range[0] and below take the first
 * colour, values at range[1] and above the last. */
void e3_plot_heat(e3_plot *p, const double *v, int rows, int cols, e3_cmap cmap, const double range[2]);
/* On the right: one line of the key, or the colours of a heat map from lo to hi. */
void e3_plot_key(e3_plot *p, const char *text, const e3_pen *pen);
void e3_plot_scale(e3_plot *p, e3_cmap cmap, const double range[2], const char *label);

/* First tick at or above lo and the distance of ticks (1, 2 or 5 times a power of ten) for about `count` of them in
 * [lo, hi]. */
void e3_plot_ticks(double lo, double hi, int count, bool whole, double *first, double *step);

#endif
