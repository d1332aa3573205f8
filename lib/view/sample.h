/* view: the points that are taken of a frame, and the maps of it that are computed on the way. */
#ifndef VIEW_SAMPLE_H
#define VIEW_SAMPLE_H

#include "e3/geom.h"
#include "view/merge.h"
#include "view/record.h"

enum { VIEW_FAR = 20 /* medians of the depth beyond which points are not taken: boxes have 16 bits */, VIEW_EDGES = 7 };

/* Memory that is used again. Zero-initialised is empty. */
typedef struct view_sampler {
	uint32_t *order; /* [w h] every pixel once, at random */
	float *z;        /* [w h] depth, or that of the point map; 0: none */
	float *inverse;  /* [w h] */
	uint8_t *edge;   /* [w h] 0 .. VIEW_EDGES: how near a depth edge */
	float *taken;    /* [limit][3] */
	uint8_t *rest;   /* [limit][4] colour, confidence and edge */
	int w, h;
	int64_t limit;
} view_sampler;

typedef struct view_sampling {
	const e3_pred *pred;
	const view_frame *frame;
	double confidence[2]; /* range of its logarithm in the run */
	double spread;        /* points lie this many times further apart than their number alone would have them */
	int64_t limit;        /* points, at most */
	uint32_t n;           /* the frame: each begins with other pixels, so that a camera that moves draws no lines */
} view_sampling;

/* Has it what points are made of? */
bool view_sample_can(const e3_pred *p);
/* *out is a chunk of its own, without points when nothing is new. merge: what is known of the world; NULL: nothing. */
int view_sample(view_sampler *s, const view_sampling *from, view_merge *merge, view_chunk *out, e3_err *err);
void view_sampler_release(view_sampler *s);

/* ln of a confidence, within the range: what has none is certain. */
double view_certainty(const float *confidence, size_t k, const double range[2]);
/* Where the confidences of a run lie, by those of one frame: from 0 (confidence 1) to a little above its largest. */
void view_confidence_range(const e3_pred *p, double range[2]);

#endif
