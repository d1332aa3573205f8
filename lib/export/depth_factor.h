/* export: the factor from depth to 16-bit values (depth_factor.c). */
#ifndef E3_EXPORT_DEPTH_FACTOR_H
#define E3_EXPORT_DEPTH_FACTOR_H

#include "e3/err.h"
#include <stdint.h>

/* How often which depth occurs. */
typedef struct e3_depth_hist {
	uint64_t *n;
	float farthest;
} e3_depth_hist;

int e3_depth_hist_open(e3_depth_hist *h, e3_err *err);
/* A known depth (e3_depth_known). */
void e3_depth_hist_add(e3_depth_hist *h, float depth);
/* The largest of 5000, 1000 and 256 that holds every depth; 65535 / farthest where none does. But where that would
 * round more than a hundredth of the depths that can be held by more than 1 %, a few are far away: then the largest
 * factor that holds as many as possible within 1 %, one of the three if it can be. */
double e3_depth_factor(const e3_depth_hist *h);
void e3_depth_hist_release(e3_depth_hist *h);

#endif
