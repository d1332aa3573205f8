/* graph: the residual of each kind of term, and its derivatives. */
#include "graph.h"
#include <math.h>
#include <string.h>

/* --- rotations --- */

void graph_so3_exp(const double w[3], double r[9])
{
	double angle = sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2]), half = angle / 2;
	double k = half > 1e-8 ? sin(half) / angle : 0.5, q[4] = {k * w[0], k * w[1], k * w[2], cos(half)};
	if (e3_quat_to_mat(q, r))
		memcpy(r, e3_similarity_identity.r, sizeof e3_similarity_identity.r);
}

void graph_so3_log(const double r[9], double w[3])
{
	double q[4] = {0, 0, 0, 1};
	e3_mat_to_quat(r, q);
	double sine = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]), k = sine > 1e-12 ? e3_quat_angle(q) / sine : 2;
	for (int axis = 0; axis < 3; axis++)
		w[axis] = k * q[axis];
}

static void mul(const double a[9], const double b[9], double out[9])
{
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			out[3 * row + col] = a[3 * row] * b[col] + a[3 * row + 1] * b[3 + col] + a[3 * row + 2] * b[6 + col];
}

/* aᵀ b */
static void mul_left(const double a[9], const double b[9], double out[9])
{
	double t[9] = {a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]};
	mul(t, b, out);
}

/* The derivative of log(exp(w) exp(d)) with respect to d at 0: 1 + [w]/2 + k [w]². */
static void log_slope(const double w[3], double out[9])
{
	double angle2 = w[0] * w[0] + w[1] * w[1] + w[2] * w[2], angle = sqrt(angle2);
	double k = angle > 1e-4 ? (1 - angle / (2 * tan(angle / 2))) / angle2 : 1. / 12;
	double outer[9];
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			outer[3 * row + col] = w[row] * w[col] - (row == col ? angle2 : 0);
	const double cross[9] = {0, -w[2], w[1], w[2], 0, -w[0], -w[1], w[0], 0};
	for (int n = 0; n < 9; n++)
		out[n] = (n % 4 == 0 ? 1 : 0) + cross[n] / 2 + k * outer[n];
}

/* j[rows at..][columns col..] = weight × m × sign */
static void put(double j[ROWS_MAX][DOF], int at, int col, const double m[9], double weight)
{
	for (int row = 0; row < 3; row++)
		for (int k = 0; k < 3; k++)
			j[at + row][col + k] = weight * m[3 * row + k];
}

/* m [p]×: how m p changes when p is turned by a small w, with the opposite sign: m (w × p) = -m [p]× w. */
static void mul_cross(const double m[9], const double p[3], double out[9])
{
	const double cross[9] = {0, -p[2], p[1], p[2], 0, -p[0], -p[1], p[0], 0};
	mul(m, cross, out);
}

void graph_move(e3_similarity *node, const double x[DOF])
{
	double turn[9], r[9];
	for (int row = 0; row < 3; row++)
		for (int k = 0; k < 3; k++)
			node->t[row] += node->s * node->r[3 * row + k] * x[3 + k];
	graph_so3_exp(x, turn);
	mul(node->r, turn, r);
	memcpy(node->r, r, sizeof r);
	node->s *= exp(x[6]);
}

/* --- a point of a node in the world: rows at.. of node k's derivatives, times `m`, which is applied to the world ---
 */

static void point_slopes(const e3_similarity *x, const double p[3], const double m[9], double weight,
	double j[ROWS_MAX][DOF], int at)
{
	double mr[9], turned[9];
	mul(m, x->r, mr);
	mul_cross(mr, p, turned);
	put(j, at, 0, turned, -weight * x->s);
	put(j, at, 3, mr, weight * x->s);
	for (int row = 0; row < 3; row++)
		j[at + row][6] = weight * x->s * (mr[3 * row] * p[0] + mr[3 * row + 1] * p[1] + mr[3 * row + 2] * p[2]);
}

/* --- edges: D = A⁻¹ B against the measured Z --- */

static void edge(const e3_graph *g, const term *t, bool slopes, linear *out)
{
	const e3_similarity *a = &g->node[t->node[0]], *b = &g->node[t->node[1]];
	double world[3], y[3], d[9], off[9], w[3];
	e3_similarity_apply(b, t->point[1], world);
	for (int k = 0; k < 3; k++)
		world[k] -= a->t[k];
	for (int k = 0; k < 3; k++)
		y[k] = (a->r[k] * world[0] + a->r[3 + k] * world[1] + a->r[6 + k] * world[2]) / a->s;
	mul_left(a->r, b->r, d);
	mul_left(t->rotation, d, off);
	graph_so3_log(off, w);
	out->rows = 7;
	for (int k = 0; k < 3; k++) {
		out->r[k] = t->weight[0] * w[k];
		out->r[3 + k] = t->weight[1] * (y[k] - t->position[k]);
	}
	out->r[6] = t->weight[2] * (log(b->s / a->s) - t->log_scale);
	if (!slopes)
		return;
	double slope[9], back[9], turned[9];
	memset(out->j, 0, sizeof out->j);
	/* a turns by w: D becomes exp(-w) D = D exp(-Dᵀ w), and y becomes y - w × y. */
	log_slope(w, slope);
	put(out->j[1], 0, 0, slope, t->weight[0]);
	const double dt[9] = {d[0], d[3], d[6], d[1], d[4], d[7], d[2], d[5], d[8]};
	mul(slope, dt, back);
	put(out->j[0], 0, 0, back, -t->weight[0]);
	mul_cross(e3_similarity_identity.r, y, turned);
	put(out->j[0], 3, 0, turned, t->weight[1]);
	put(out->j[0], 3, 3, e3_similarity_identity.r, -t->weight[1]);
	for (int k = 0; k < 3; k++)
		out->j[0][3 + k][6] = -t->weight[1] * y[k];
	const double at[9] = {a->r[0], a->r[3], a->r[6], a->r[1], a->r[4], a->r[7], a->r[2], a->r[5], a->r[8]};
	point_slopes(b, t->point[1], at, t->weight[1] / a->s, out->j[1], 3);
	out->j[0][6][6] = -t->weight[2], out->j[1][6][6] = t->weight[2];
}

/* --- known positions and poses --- */

static void position(const e3_graph *g, const term *t, bool slopes, linear *out)
{
	const e3_similarity *x = &g->node[t->node[0]];
	double world[3];
	e3_similarity_apply(x, t->point[0], world);
	out->rows = 3;
	for (int k = 0; k < 3; k++)
		out->r[k] = t->weight[1] * (world[k] - t->position[k]);
	if (!slopes)
		return;
	memset(out->j, 0, sizeof out->j);
	point_slopes(x, t->point[0], e3_similarity_identity.r, t->weight[1], out->j[0], 0);
}

/* The node turns by w: turnᵀ R exp(w) C = (turnᵀ R C) exp(Cᵀ w). */
static void pose(const e3_graph *g, const term *t, bool slopes, linear *out)
{
	const e3_similarity *x = &g->node[t->node[0]];
	double camera[9], off[9], w[3];
	position(g, t, slopes, out);
	mul(x->r, t->rotation, camera);
	mul_left(t->turn, camera, off);
	graph_so3_log(off, w);
	out->rows = 6;
	for (int k = 0; k < 3; k++)
		out->r[3 + k] = t->weight[0] * w[k];
	if (!slopes)
		return;
	const double *c = t->rotation, ct[9] = {c[0], c[3], c[6], c[1], c[4], c[7], c[2], c[5], c[8]};
	double slope[9], back[9];
	log_slope(w, slope);
	mul(slope, ct, back);
	put(out->j[0], 3, 0, back, t->weight[0]);
}

/* The logarithm of the length, which is linear in the logarithm of the scale. */
static void distance(const e3_graph *g, const term *t, bool slopes, linear *out)
{
	double p[2][3], u[3], length2 = 0;
	int second = t->node[1] < 0 ? t->node[0] : t->node[1];
	e3_similarity_apply(&g->node[t->node[0]], t->point[0], p[0]);
	e3_similarity_apply(&g->node[second], t->point[1], p[1]);
	for (int k = 0; k < 3; k++)
		u[k] = p[0][k] - p[1][k], length2 += u[k] * u[k];
	length2 = fmax(length2, 1e-200);
	out->rows = 1;
	out->r[0] = t->weight[1] * (log(length2) / 2 - t->log_scale);
	if (!slopes)
		return;
	memset(out->j, 0, sizeof out->j);
	for (int side = 0; side < 2; side++) {
		double three[ROWS_MAX][DOF], sign = side ? -1 : 1;
		point_slopes(&g->node[side ? second : t->node[0]], t->point[side], e3_similarity_identity.r,
			sign * t->weight[1] / length2, three, 0);
		int to = side && t->node[1] >= 0;
		for (int col = 0; col < DOF; col++)
			out->j[to][0][col] += u[0] * three[0][col] + u[1] * three[1][col] + u[2] * three[2][col];
	}
}

void graph_linearise(const e3_graph *g, const term *t, bool slopes, linear *out)
{
	switch (t->kind) {
	case TERM_JOIN:
	case TERM_LOOP:
		edge(g, t, slopes, out);
		break;
	case TERM_POSITION:
		position(g, t, slopes, out);
		break;
	case TERM_POSE:
		pose(g, t, slopes, out);
		break;
	case TERM_DISTANCE:
		distance(g, t, slopes, out);
		break;
	case TERM_REMOVED:
		out->rows = 0;
		break;
	}
}
