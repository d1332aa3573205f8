/* eval: pairs of cameras: errors of relative rotation and of the direction of relative translation (doc/evaluation.md
 * 6). They are counted in whole numbers, so pooling in any order gives the same figures. */
#include "e3/eval.h"
#include <math.h>

#define DEGREES (180 / 3.14159265358979323846)

/* The motion from camera b to camera a: rotation and translation of a ∘ b⁻¹. */
static void motion(const e3_pose *a, const e3_pose *b, double q[4], double t[3])
{
	const double back[4] = {-b->q[0], -b->q[1], -b->q[2], b->q[3]};
	double c[3];
	e3_quat_mul(a->q, back, q);
	e3_pose_center(b, c);
	for (int k = 0; k < 3; k++)
		t[k] = a->r[3 * k] * c[0] + a->r[3 * k + 1] * c[1] + a->r[3 * k + 2] * c[2] + a->t[k];
}

/* max(1 - x², 1e-15) */
static double loss(double x)
{
	double l = 1 - x * x;
	return l < 1e-15 ? 1e-15 : l;
}

void e3_pair_errors(const e3_pose ref[2], const e3_pose est[2], double *rotation, double *translation)
{
	double qa[4], ta[3], qb[4], tb[3], dot = 0, la = 0, lb = 0, d = 0;
	motion(&ref[0], &ref[1], qa, ta), motion(&est[0], &est[1], qb, tb);
	for (int k = 0; k < 4; k++)
		dot += qa[k] * qb[k];
	for (int k = 0; k < 3; k++)
		la += ta[k] * ta[k], lb += tb[k] * tb[k];
	la = sqrt(la) + 1e-15, lb = sqrt(lb) + 1e-15;
	for (int k = 0; k < 3; k++)
		d += ta[k] / la * (tb[k] / lb);
	*rotation = DEGREES * acos(1 - 2 * loss(dot));
	double angle = DEGREES * acos(sqrt(1 - loss(d)));
	*translation = isfinite(angle) ? fmin(angle, fabs(180 - angle)) : 1e6 * DEGREES;
}

void e3_pair_counts_add(e3_pair_counts *c, double rotation, double translation)
{
	double most = rotation > translation ? rotation : translation;
	c->n++;
	if (most < E3_AUC_MAX)
		c->bin[(int)most]++;
	for (int k = 0; k < E3_AUCS; k++) {
		c->exact[k] += most == e3_auc_at[k];
		c->rotation[k] += rotation < e3_auc_at[k], c->translation[k] += translation < e3_auc_at[k];
	}
}

void e3_pair_counts_merge(e3_pair_counts *to, const e3_pair_counts *from)
{
	to->n += from->n;
	for (int k = 0; k < E3_AUC_MAX; k++)
		to->bin[k] += from->bin[k];
	for (int k = 0; k < E3_AUCS; k++) {
		to->exact[k] += from->exact[k];
		to->rotation[k] += from->rotation[k], to->translation[k] += from->translation[k];
	}
}

static double share(uint64_t count, uint64_t n) { return n ? (double)count / (double)n : 0; }

double e3_pair_rra(const e3_pair_counts *c, int k) { return share(c->rotation[k], c->n); }

double e3_pair_rta(const e3_pair_counts *c, int k) { return share(c->translation[k], c->n); }

/* A pair in bin b is counted in the cumulative sums of bins b to limit - 1. */
double e3_pair_auc(const e3_pair_counts *c, int k)
{
	int limit = e3_auc_at[k];
	uint64_t sum = c->exact[k];
	for (int b = 0; b < limit; b++)
		sum += c->bin[b] * (uint64_t)(limit - b);
	return share(sum, c->n) / limit;
}
