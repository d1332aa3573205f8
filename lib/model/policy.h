/* model: what leaves the cache, as pure functions of numbers: no cache, no device (spec/model.md 9, DESIGN 4). */
#ifndef E3_MODEL_POLICY_H
#define E3_MODEL_POLICY_H

#include "e3/infer.h"

/* Population variance of the mass of n keys (9.2): two passes in double. */
double e3_mass_variance(const float *mass, size_t n);

/* Shares that sum to 1: softmax(-variance / temperature) over the layers. */
void e3_policy_shares(const double *variance, int layers, double temperature, double *alpha);

/* budget[l] = total × alpha[l] where floors[l] <= that <= ceilings[l]; the others are held at their bound and what they take or
 * leave is shared by the rest in proportion, so the sum stays `total` (or sum(ceilings), if that is less). Bounds may be 0 and
 * INFINITY. */
void e3_policy_budgets(const double *alpha, int layers, double total, const double *floors, const double *ceilings, double *budget);

/* A token as eviction sees it. */
typedef struct e3_candidate {
	float score;
	uint32_t id, slot;
} e3_candidate;

/* Ascending by score, ties by id: the first r are those that leave. Scores may be +inf, not NaN. */
void e3_policy_sort(e3_candidate *c, size_t n);

/* Quantiles 0 1 5 25 50 75 95 99 100 % of sorted scores, linear interpolation; NaN when n = 0. */
void e3_policy_quantiles(const e3_candidate *sorted, size_t n, float q[9]);

/* A token's score under the policies that do not look at attention: its age, or a fixed lot. */
float e3_policy_window_score(uint32_t frame);
float e3_policy_random_score(uint32_t id);

#endif
