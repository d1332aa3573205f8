/* track: direct alignment of two pictures: the relative pose that makes them look the same. Private to this layer.
 *
 * The network's relative poses are right to a degree or two; from there, the pictures themselves tell the rest. Points
 * of one picture, at the depths that the network gave them, are projected into the other, and the pose is changed until
 * the brightness there is what it was here (Lucas and Kanade 1981; with depth: Steinbrücker, Sturm and Cremers 2011;
 * robust weights: Kerl, Sturm and Cremers 2013), from coarse pictures to fine ones.
 */
#ifndef E3_TRACK_DIRECT_H
#define E3_TRACK_DIRECT_H

#include "e3/track.h"

enum { E3_PYRAMID_LEVELS = 6 };

/* Brightness, 0 to 1; each level is half as wide and high as the one before, down to 40 to 80 pixels. */
typedef struct e3_pyramid {
	int levels, w[E3_PYRAMID_LEVELS], h[E3_PYRAMID_LEVELS];
	float *px[E3_PYRAMID_LEVELS]; /* in one allocation, px[0] */
	size_t room;
} e3_pyramid;

/* Of an RGB picture [h][w][3]. The pyramid is reused. */
int e3_pyramid_make(e3_pyramid *p, const uint8_t *rgb, int w, int h, e3_err *err);
/* In two steps: room for a picture of w × h, then, once its brightness is in px[0], the other levels. A picture that is
 * too small has no levels, and no px. */
int e3_pyramid_room(e3_pyramid *p, int w, int h, e3_err *err);
void e3_pyramid_reduce(e3_pyramid *p);
void e3_pyramid_release(e3_pyramid *p);

typedef struct e3_sight {
	const e3_view *view;
	const e3_pyramid *picture;
} e3_sight;

typedef struct e3_aligned {
	e3_pose pose;      /* of `to`, in the coordinates of both views */
	double turn, move; /* by which the two directions differ: radians; mean depths */
	double depth;      /* how far the depths of the two are apart: 1.48 times the median of the logarithm */
} e3_aligned;

/* Both views in the same coordinates; `to` is moved. Points of each picture are found in the other, and the result is
 * halfway between what the two directions say: what is wrong with the depths pulls them apart. Returns 1; 0 when there
 * is nothing better than the pose that to->view has: too little is seen, the pictures agree no more than before, the
 * way is too long, or the two directions differ too much. */
int e3_align_direct(const e3_sight *from, const e3_sight *to, e3_aligned *out);

#endif
