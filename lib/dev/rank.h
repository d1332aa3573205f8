/* dev: who leaves first (spec/model.md 9.2): what the CPU does with scores, and the oracle for other devices. */
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

#endif
