/* graph: the normal equations: a sparse symmetric matrix of 7 × 7 blocks, factored by CHOLMOD's simplicial Cholesky. */
#include "e3/mem.h"
#include "graph.h"
#include <stdlib.h>
#include <string.h>
#include <suitesparse/cholmod.h>

struct normal {
	cholmod_common c;
	bool changed;
	int nodes;        /* the layout's */
	int *first, *row; /* blocks below the diagonal: of column j row[first[j]] to row[first[j + 1] - 1], ascending */
	cholmod_sparse *matrix;  /* lower triangle, with the damped diagonal while solving */
	cholmod_dense *gradient; /* of the cost, negative */
	double *diagonal;        /* [nodes][DOF] without damping */
	cholmod_factor *factor;
	cholmod_dense *x, *y, *e; /* solution; workspace */
};

normal *graph_normal_open(e3_err *err)
{
	normal *n = e3_alloc(1, sizeof *n, "normal equations", err);
	if (!n)
		return NULL;
	if (!cholmod_start(&n->c)) {
		free(n);
		e3_fail(err, "graph: CHOLMOD does not start");
		return NULL;
	}
	n->c.print = 0;
	n->c.supernodal = CHOLMOD_SIMPLICIAL;
	n->c.nmethods = 1, n->c.method[0].ordering = CHOLMOD_GIVEN;
	n->c.final_ll = 1; /* LLᵀ: says when the matrix is not positive definite */
	n->c.quick_return_if_not_posdef = 1;
	n->changed = true;
	return n;
}

static void forget(normal *n)
{
	cholmod_free_sparse(&n->matrix, &n->c);
	cholmod_free_dense(&n->gradient, &n->c);
	cholmod_free_factor(&n->factor, &n->c);
	free(n->first), free(n->row), free(n->diagonal);
	n->first = n->row = NULL, n->diagonal = NULL;
}

void graph_normal_close(normal *n)
{
	if (!n)
		return;
	forget(n);
	cholmod_free_dense(&n->x, &n->c), cholmod_free_dense(&n->y, &n->c), cholmod_free_dense(&n->e, &n->c);
	cholmod_finish(&n->c);
	free(n);
}

void graph_normal_changed(normal *n) { n->changed = true; }

static int fail(const normal *n, const char *what, e3_err *err)
{
	return e3_fail(err, "graph: %s: %s", what,
		n->c.status == CHOLMOD_OUT_OF_MEMORY   ? "out of memory"
			: n->c.status == CHOLMOD_TOO_LARGE ? "the problem is too large"
											   : "CHOLMOD failed");
}

/* --- layout --- */

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int low(const term *t) { return t->node[0] < t->node[1] ? t->node[0] : t->node[1]; }
static int high(const term *t) { return t->node[0] < t->node[1] ? t->node[1] : t->node[0]; }
static bool is_pair(const term *t) { return t->kind != TERM_REMOVED && t->node[1] >= 0; }

/* The blocks of each column, each once. */
static int list_blocks(e3_graph *g, normal *n, e3_err *err)
{
	int *at = NULL, kept = 0;
	if (!(n->first = e3_alloc((size_t)g->nodes + 2, sizeof *n->first, "normal equations", err)) ||
		!(n->row = e3_alloc((size_t)g->terms + 1, sizeof *n->row, "normal equations", err)))
		return -1;
	at = n->first + 1;
	for (int k = 0; k < g->terms; k++)
		if (is_pair(&g->term[k]))
			at[low(&g->term[k]) + 1]++;
	for (int j = 0; j < g->nodes; j++)
		at[j + 1] += at[j];
	for (int k = 0; k < g->terms; k++)
		if (is_pair(&g->term[k]))
			n->row[at[low(&g->term[k])]++] = high(&g->term[k]);
	/* now at[j] is the end of column j and n->first[j] its start */
	for (int j = 0, from = 0; j < g->nodes; j++) {
		int to = at[j];
		qsort(n->row + from, (size_t)(to - from), sizeof *n->row, ascending);
		n->first[j] = kept;
		for (int k = from; k < to; k++)
			if (kept == n->first[j] || n->row[kept - 1] != n->row[k])
				n->row[kept++] = n->row[k];
		from = to;
	}
	n->first[g->nodes] = kept;
	return 0;
}

static void find_blocks(e3_graph *g, const normal *n)
{
	for (int k = 0; k < g->terms; k++) {
		term *t = &g->term[k];
		t->block = -1;
		if (!is_pair(t))
			continue;
		int j = low(t), row = high(t), from = n->first[j], to = n->first[j + 1];
		while (to - from > 1) {
			int middle = (from + to) / 2;
			if (n->row[middle] <= row)
				from = middle;
			else
				to = middle;
		}
		t->block = from - n->first[j];
	}
}

/* Blocks become columns of numbers: of column c of a block column the diagonal block's rows c to 6, then the others. */
static int lay_out(normal *n, int nodes, e3_err *err)
{
	size_t size = (size_t)nodes * DOF, numbers = (size_t)nodes * 28 + (size_t)n->first[nodes] * 49;
	n->matrix = cholmod_allocate_sparse(size, size, numbers, 1, 1, -1, CHOLMOD_REAL, &n->c);
	n->gradient = cholmod_zeros(size, 1, CHOLMOD_REAL, &n->c);
	if (!n->matrix || !n->gradient)
		return fail(n, "normal equations", err);
	if (!(n->diagonal = e3_alloc(size, sizeof *n->diagonal, "normal equations", err)))
		return -1;
	int *start = n->matrix->p, *index = n->matrix->i, at = 0;
	for (int j = 0; j < nodes; j++)
		for (int col = 0; col < DOF; col++) {
			start[DOF * j + col] = at;
			for (int row = col; row < DOF; row++)
				index[at++] = DOF * j + row;
			for (int k = n->first[j]; k < n->first[j + 1]; k++)
				for (int row = 0; row < DOF; row++)
					index[at++] = DOF * n->row[k] + row;
		}
	start[size] = at;
	return 0;
}

/* AMD on the blocks, then each block's seven unknowns together: the same fill as on the unknowns, in a fraction of the
 * time. */
static int analyse(normal *n, int nodes, e3_err *err)
{
	cholmod_sparse blocks = {.nrow = (size_t)nodes,
		.ncol = (size_t)nodes,
		.nzmax = (size_t)n->first[nodes],
		.p = n->first,
		.i = n->row,
		.stype = -1,
		.itype = CHOLMOD_INT,
		.xtype = CHOLMOD_PATTERN,
		.dtype = CHOLMOD_DOUBLE,
		.sorted = 1,
		.packed = 1};
	int *order = e3_alloc((size_t)nodes * (DOF + 1), sizeof *order, "normal equations", err), rc = 0;
	if (!order)
		return -1;
	int *all = order + nodes;
	if (!cholmod_amd(&blocks, NULL, 0, order, &n->c))
		rc = fail(n, "ordering", err);
	for (int k = 0; k < nodes * DOF; k++)
		all[k] = DOF * order[k / DOF] + k % DOF;
	if (!rc && !(n->factor = cholmod_analyze_p(n->matrix, all, NULL, 0, &n->c)))
		rc = fail(n, "ordering", err);
	free(order);
	return rc;
}

int graph_normal_prepare(e3_graph *g, bool *analysed, e3_err *err)
{
	normal *n = g->normal;
	*analysed = n->changed;
	if (!n->changed)
		return 0;
	forget(n);
	if (list_blocks(g, n, err) || lay_out(n, g->nodes, err) || analyse(n, g->nodes, err))
		return -1;
	find_blocks(g, n);
	n->nodes = g->nodes, n->changed = false;
	return 0;
}

/* --- sums --- */

void graph_normal_clear(normal *n)
{
	memset(n->matrix->x, 0, n->matrix->nzmax * sizeof(double));
	memset(n->gradient->x, 0, n->gradient->nzmax * sizeof(double));
}

static double *column(const normal *n, int node, int col)
{
	return (double *)n->matrix->x + ((const int *)n->matrix->p)[DOF * node + col];
}

static void add_own(normal *n, int node, const linear *l, int side, double weight)
{
	double *gradient = (double *)n->gradient->x + (size_t)DOF * (size_t)node;
	for (int col = 0; col < DOF; col++) {
		double *to = column(n, node, col);
		for (int row = col; row < DOF; row++) {
			double sum = 0;
			for (int k = 0; k < l->rows; k++)
				sum += l->j[side][k][row] * l->j[side][k][col];
			to[row - col] += weight * sum;
		}
		double sum = 0;
		for (int k = 0; k < l->rows; k++)
			sum += l->j[side][k][col] * l->r[k];
		gradient[col] -= weight * sum;
	}
}

void graph_normal_add(e3_graph *g, const term *t, const linear *l, double weight)
{
	normal *n = g->normal;
	add_own(n, t->node[0], l, 0, weight);
	if (t->node[1] < 0)
		return;
	add_own(n, t->node[1], l, 1, weight);
	int side = t->node[0] < t->node[1] ? 0 : 1; /* of the block's column */
	for (int col = 0; col < DOF; col++) {
		double *to = column(n, low(t), col) + (DOF - col) + (ptrdiff_t)DOF * t->block;
		for (int row = 0; row < DOF; row++) {
			double sum = 0;
			for (int k = 0; k < l->rows; k++)
				sum += l->j[!side][k][row] * l->j[side][k][col];
			to[row] += weight * sum;
		}
	}
}

/* --- solution --- */

/* The first node does not move unless the world is known; distances free its scale. */
static void anchor(const e3_graph *g)
{
	normal *n = g->normal;
	int fixed = g->world ? 0 : g->distances ? 6 : DOF, below = n->first[1] - n->first[0];
	for (int col = 0; col < DOF; col++) {
		double *to = column(n, 0, col);
		for (int row = col; row < DOF; row++)
			if (col < fixed || row < fixed)
				to[row - col] = row == col;
		if (col >= fixed)
			continue;
		memset(to + DOF - col, 0, (size_t)below * DOF * sizeof *to);
		((double *)n->gradient->x)[col] = 0;
	}
}

/* Seven unknowns that nothing measures have a diagonal of 0: they too must have a pivot. */
static const double least_diagonal = 1e-6;

static void damp(normal *n, double lambda)
{
	for (int k = 0; k < n->nodes * DOF; k++)
		*column(n, k / DOF, k % DOF) = n->diagonal[k] + lambda * (n->diagonal[k] + least_diagonal);
}

void graph_normal_ready(e3_graph *g)
{
	normal *n = g->normal;
	anchor(g);
	for (int k = 0; k < n->nodes * DOF; k++)
		n->diagonal[k] = *column(n, k / DOF, k % DOF);
}

int graph_normal_solve(e3_graph *g, double lambda, const double **x, e3_err *err)
{
	normal *n = g->normal;
	damp(n, lambda);
	*x = NULL;
	cholmod_factorize(n->matrix, n->factor, &n->c);
	if (n->c.status == CHOLMOD_NOT_POSDEF)
		return 0;
	if (n->c.status < 0)
		return fail(n, "factoring", err);
	if (!cholmod_solve2(CHOLMOD_A, n->factor, n->gradient, NULL, &n->x, NULL, &n->y, &n->e, &n->c))
		return fail(n, "solving", err);
	*x = n->x->x;
	return 0;
}
