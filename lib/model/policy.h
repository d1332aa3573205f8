/* model: shares and budgets of the layers, as pure functions of numbers: no cache, no device (doc/network.md 9,
 * doc/design.md 4). The policies themselves are in e3/policy.h. */
#ifndef E3_MODEL_POLICY_H
#define E3_MODEL_POLICY_H

#include "e3/policy.h"

/* Shares that sum to 1: softmax(-variance / temperature) over the layers. */
void e3_policy_shares(const double *variance, int layers, double temperature, double *alpha);

/* budget[l] = total × alpha[l], but at least floors[l] and at most ceilings[l]. The other layers share the difference
 * in proportion, so the sum stays `total` (or sum(ceilings), if that is less). Bounds may be 0 and INFINITY. */
void e3_policy_budgets(const double *alpha, int layers, double total, const double *floors, const double *ceilings,
	double *budget);

#endif
