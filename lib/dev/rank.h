/* dev: who leaves first (doc/network.md 9.2): what the CPU does with scores, and the oracle for other devices. */
#ifndef E3_DEV_RANK_H
#define E3_DEV_RANK_H

#include <stddef.h>
#include <stdint.h>

/* Population variance of the mass of n keys (9.2): two passes in double. */
double e3_rank_variance(const float *mass, size_t n);

/* A token as eviction sees it. */
typedef struct e3_candidate {
	float score;
	uint32_t id, slot;
} e3_candidate;

/* Ascending by score, ties by id: the first r are those that leave. Scores may be +inf, not NaN. */
void e3_rank_sort(e3_candidate *c, size_t n);

/* Quantiles 0 1 5 25 50 75 95 99 100 % of sorted scores, linear interpolation; NaN when n = 0. */
void e3_rank_quantiles(const e3_candidate *sorted, size_t n, float q[9]);

/* A token's score under the policies that do not look at attention: its age, or a fixed lot. */
float e3_rank_frame_score(uint32_t frame);
float e3_rank_lot_score(uint32_t id);

/* A token's lot where who stays is spread evenly over picture and time: in (0, 1), an odd multiple of 2^-24, the same
 * for ever. Patches of one frame take Roberts' R2 sequence along columns and rows, which is a dither mask: those whose
 * lot is below any bound lie evenly over the picture. From frame to frame it moves on by the golden ratio. The frame's
 * special tokens are a row above the first. */
float e3_rank_even_lot(uint32_t id, uint32_t tokens, uint32_t special, uint32_t columns);
/* Priority sampling (Duffield, Lund and Thorup 2007): to keep the highest of weight / lot is to draw tokens without
 * replacement, in proportion to their weight. The weight is the square root of a token's mean relative share. */
float e3_rank_priority(float mean, float lot);

#endif
