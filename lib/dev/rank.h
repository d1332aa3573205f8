/* dev: the order of eviction (doc/network.md 9.2): the CPU's arithmetic on scores, and the reference for other devices.
 */
#ifndef E3_DEV_RANK_H
#define E3_DEV_RANK_H

#include "e3/dev.h"

/* Population variance of the mass of n keys (9.2): two passes in double. */
double e3_rank_variance(const float *mass, size_t n);

/* A token as eviction sees it. */
typedef struct e3_candidate {
	float score;
	uint32_t id, slot;
} e3_candidate;

/* Ascending by score, ties by id: the first r are evicted. Scores may be +inf, not NaN. */
void e3_rank_sort(e3_candidate *c, size_t n);

/* Quantiles 0 1 5 25 50 75 95 99 100 % of sorted scores, linear interpolation; NaN when n = 0. */
void e3_rank_quantiles(const e3_candidate *sorted, size_t n, float q[9]);

/* A token's random number, the same in every frame: a hash of its id and of the seed, from 0 to 2^32. */
float e3_rank_random(uint32_t id, uint32_t seed);

/* A token's dither: a number in (0, 1), an odd multiple of 2^-24, the same in every frame. The patches of a frame take
 * Roberts' R2 sequence along columns and rows, which is a dither mask: the patches below any bound lie evenly over the
 * picture. From frame to frame the mask moves on by the golden ratio. The special tokens form a row above the first.
 */
float e3_rank_dither(const e3_rule *rule, uint32_t id);

/* The score of a token, given its mean relative share (used only where the scoring measures it).
 *
 * Dividing by a random number is priority sampling (Duffield, Lund and Thorup 2007): keeping the highest of
 * weight / random draws tokens without replacement, in proportion to their weights. */
float e3_rank_score(const e3_rule *rule, uint32_t id, float share);

#endif
