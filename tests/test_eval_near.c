/* eval: the fast searches in large clouds against plain ones: the nearest point and the bound for all others, points
 * around a box, normals, ICP. */
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "check.h"
#include <time.h>

static const e3_work one = {.threads = 1}, two = {.threads = 2};

static uint32_t state32 = 1;

static double uniform(void)
{
	state32 = e3_fmix32(state32 + 0x9e3779b9u);
	return state32 / 4294967296.0;
}

enum { KINDS = 5, MANY = 3000 };

/* 0: in a cube; 1: a wavy sheet; 2: on a grid, so with ties and duplicates; 3: dense here, sparse there; 4: two thirds
 * of them at one place, as a network's points where it has none */
static void fill(int kind, double (*x)[3], size_t n)
{
	for (size_t k = 0; k < n; k++) {
		double u = uniform(), v = uniform(), w = uniform();
		if (kind == 2)
			u = floor(6 * u), v = floor(6 * v), w = floor(6 * w);
		else if (kind == 1)
			w = 0.1 * sin(6 * u) * cos(5 * v);
		else if (kind == 3)
			u *= u * u, v *= v * v, w *= w * w;
		else if (kind == 4 && k % 3)
			u = v = w = 0;
		x[k][0] = u, x[k][1] = v, x[k][2] = w;
	}
}

static double apart(const double a[3], const double b[3])
{
	double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
	return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static void nearest_case(const e3_kdtree *t, int j)
{
	double q[3], limit = j % 3 ? INFINITY : 0.3 * uniform() * uniform(), slack = j % 2 ? 0 : 0.2 * uniform(),
				 best = INFINITY, second = INFINITY;
	uint32_t guess = j % 5 < 2 ? E3_NOWHERE : (uint32_t)(uniform() * (double)t->n);
	for (int a = 0; a < 3; a++)
		q[a] = 1.4 * uniform() - 0.2;
	if (j % 7 == 0)
		memcpy(q, t->x[(size_t)j % t->n], sizeof q);
	for (size_t k = 0; k < t->n; k++) {
		double d2 = apart(t->x[k], q);
		if (d2 < best)
			second = best, best = d2;
		else if (d2 < second)
			second = d2;
	}
	e3_nearest got;
	e3_kdtree_nearest(t, q, guess, limit, slack, &got);
	assert_int_equal(got.row != E3_NOWHERE, best < limit);
	if (got.row == E3_NOWHERE) {
		assert_true(got.d2 == limit && got.rest <= best);
		return;
	}
	assert_true(got.d2 == best && apart(t->x[got.row], q) == best);
	double sure = (sqrt(best) + slack) * (sqrt(best) + slack) * (1 - 1e-12);
	assert_true(got.rest <= second); /* no other is nearer */
	assert_true(
		got.rest >= fmin(fmin(second, limit), slack > 0 ? sure : best)); /* and it is as large as was asked for */
}

static void nearest_points_equal_brute_force(void **state)
{
	static double x[MANY][3];
	static const size_t sizes[] = {1, 2, 9, 100, MANY};
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
			e3_kdtree t;
			fill(kind, x, sizes[s]);
			assert_int_equal(e3_kdtree_init(&t, x, sizes[s], &one, NULL), 0);
			for (int j = 0; j < 200; j++)
				nearest_case(&t, j);
			e3_kdtree_release(&t);
		}
}

/* Sheets that are turned, small, large and far from the origin, seen from far away: where every box is about as near.
 */
static void nearest_points_of_distant_sheets_equal_brute_force(void **state)
{
	static double x[MANY][3];
	static const double sizes[] = {1, 1e-3, 1e-20, 1e12, 1e25}, away[] = {0, 1, 1e3, 1e7};
	for (int j = 0; j < 20; j++) {
		double size = sizes[j % 5], from[3];
		e3_kdtree t;
		for (int a = 0; a < 3; a++)
			from[a] = size * away[j % 4] * (uniform() - 0.5);
		for (size_t k = 0; k < MANY; k++) {
			double u = uniform(), v = uniform(), w = 1e-4 * uniform();
			const double p[3] = {0.8 * u - 0.3 * v, 0.5 * u + 0.6 * v, 0.4 * u - 0.7 * v + w};
			for (int a = 0; a < 3; a++)
				x[k][a] = from[a] + size * p[a];
		}
		assert_int_equal(e3_kdtree_init(&t, x, MANY, &one, NULL), 0);
		for (int i = 0; i < 100; i++) {
			double q[3], best = INFINITY, far = i % 10 ? 3 : 1e9;
			for (int a = 0; a < 3; a++)
				q[a] = from[a] + size * far * (uniform() - 0.5);
			for (size_t k = 0; k < MANY; k++)
				best = fmin(best, apart(x[k], q));
			e3_nearest got;
			e3_kdtree_nearest(&t, q, E3_NOWHERE, INFINITY, 0, &got);
			assert_true(got.row != E3_NOWHERE && got.d2 == best && apart(x[got.row], q) == best);
		}
		e3_kdtree_release(&t);
	}
}

static void points_around_a_box_are_complete(void **state)
{
	static double x[MANY][3], was[MANY][3];
	static uint32_t row[MANY];
	for (int kind = 0; kind < KINDS; kind++) {
		e3_kdtree t;
		fill(kind, x, MANY);
		memcpy(was, x, sizeof x);
		assert_int_equal(e3_kdtree_init(&t, x, MANY, &two, NULL), 0);
		for (int j = 0; j < 100; j++) {
			double low[3], high[3], radius = j % 4 ? 0.2 * uniform() : 0;
			for (int a = 0; a < 3; a++)
				low[a] = uniform(), high[a] = low[a] + 0.2 * uniform();
			size_t n = e3_kdtree_around(&t, low, high, radius, row, MANY), at = 0;
			assert_true(n <= MANY);
			for (size_t k = 0; k < MANY; k++) {
				double near[3];
				for (int a = 0; a < 3; a++)
					near[a] = fmin(fmax(x[k][a], low[a]), high[a]);
				bool told = at < n && row[at] == k;
				assert_true(told || apart(near, x[k]) >= radius * radius);
				at += told;
			}
			assert_int_equal(at, n); /* in ascending order, each once */
			assert_int_equal(e3_kdtree_around(&t, low, high, radius, row, n / 2), n > n / 2 ? n / 2 + 1 : n);
		}
		e3_kdtree_undo(&t);
		assert_memory_equal(x, was, sizeof x);
	}
}

static double seconds_of(double (*x)[3], size_t n)
{
	e3_kdtree t;
	clock_t from = clock();
	assert_int_equal(e3_kdtree_init(&t, x, n, &one, NULL), 0);
	for (size_t k = 0; k < n; k++) {
		double q[3] = {1 + uniform(), uniform(), uniform()}, d2[3];
		size_t row[3];
		e3_nearest got;
		e3_kdtree_nearest(&t, q, E3_NOWHERE, INFINITY, 0, &got);
		assert_int_equal(e3_kdtree_near(&t, q, 3, INFINITY, row, d2), 3);
		assert_true(got.d2 == d2[0]);
	}
	e3_kdtree_release(&t);
	return (double)(clock() - from) / CLOCKS_PER_SEC;
}

/* In processor time, against points that are apart: searches that visit all points take a hundred times that. */
static void points_at_one_place_or_far_away_are_not_all_visited(void **state)
{
	enum { N = 40000 };
	double(*x)[3] = e3_alloc(N, sizeof *x, "points", NULL);
	assert_non_null(x);
	fill(0, x, N);
	double apart_takes = seconds_of(x, N);
	fill(0, x, N); /* one point far away, as of a pixel whose depth is wrong, blurs no box of the others */
	x[N / 2][2] = 1e8;
	assert_true(seconds_of(x, N) < 10 * apart_takes + 0.05);
	memset(x, 0, N * sizeof *x);
	assert_true(seconds_of(x, N) < 10 * apart_takes + 0.05);
	fill(0, x, N); /* seen from 1e7 times its size: as a similarity makes it that fits one pixel's point at 1e7 */
	for (size_t k = 0; k < N; k++)
		for (int a = 0; a < 3; a++)
			x[k][a] *= 1e-7;
	assert_true(seconds_of(x, N) < 10 * apart_takes + 0.05);
	free(x);
}

/* By the plain search, one point at a time; the angle between the two, when the neighbours leave no choice. */
static void normals_equal_those_of_a_plain_search(void **state)
{
	static double x[MANY][3], normal[MANY][3];
	for (int kind = 0; kind < KINDS; kind++)
		for (size_t n = 20; n <= MANY; n += MANY - 20) {
			e3_kdtree t;
			int compared = 0;
			fill(kind, x, n);
			assert_int_equal(e3_kdtree_init(&t, x, n, &one, NULL), 0);
			assert_int_equal(e3_normals_make(&t, E3_NORMAL_NEIGHBOURS, &two, normal, NULL), 0);
			for (size_t i = 0; i < n; i++) {
				size_t row[E3_NORMAL_NEIGHBOURS + 1];
				double d2[E3_NORMAL_NEIGHBOURS + 1], mean[3] = {0}, c[9] = {0}, u[9], d[3], v[9];
				size_t found = e3_kdtree_near(&t, x[i], E3_NORMAL_NEIGHBOURS + 1, INFINITY, row, d2);
				size_t k = found > E3_NORMAL_NEIGHBOURS ? E3_NORMAL_NEIGHBOURS : found;
				if (found > k && d2[k] == d2[k - 1])
					continue; /* one of several at the same distance: any of them is right */
				for (size_t m = 0; m < k; m++)
					for (int a = 0; a < 3; a++)
						mean[a] += x[row[m]][a] / (double)k;
				for (size_t m = 0; m < k; m++)
					for (int a = 0; a < 9; a++)
						c[a] += (x[row[m]][a / 3] - mean[a / 3]) * (x[row[m]][a % 3] - mean[a % 3]) / (double)k;
				e3_svd3(c, u, d, v);
				if (d[1] - d[2] < 0.01 * d[0])
					continue; /* the smallest direction is hardly determined */
				double cosine = fabs(normal[i][0] * v[2] + normal[i][1] * v[5] + normal[i][2] * v[8]);
				assert_true(fabs(cosine - 1) < 1e-9);
				compared++;
			}
			/* points of a grid, and those at one place, have several neighbours at the same distance */
			assert_true(compared >= (kind == 2 && n == MANY ? 0 : (int)n / (kind == 4 ? 4 : 2)));
			e3_kdtree_release(&t);
		}
}

/* The same by searching for every point in every step. */
static int plain_icp(double (*x)[3], size_t n, const e3_kdtree *to, double radius, double *rmse)
{
	double(*from)[3] = e3_alloc(n, sizeof *from, "points", NULL),
	(*onto)[3] = e3_alloc(n, sizeof *onto, "points", NULL), before[2] = {0};
	int steps = 0;
	assert_true(from && onto);
	for (bool done = false;; steps++) {
		size_t matched = 0;
		double sum = 0;
		for (size_t i = 0; i < n; i++) {
			size_t row;
			double d2;
			if (!e3_kdtree_near(to, x[i], 1, radius * radius, &row, &d2))
				continue;
			memcpy(from[matched], x[i], sizeof *from), memcpy(onto[matched++], to->x[row], sizeof *onto);
			sum += d2;
		}
		double fitness = (double)matched / (double)n;
		*rmse = sqrt(sum / (double)matched);
		done = steps > 0 && fabs(fitness - before[0]) < 1e-6 && fabs(*rmse - before[1]) < 1e-6;
		if (done || steps == 30)
			break;
		before[0] = fitness, before[1] = *rmse;
		e3_similarity fit;
		assert_int_equal(e3_similarity_fit((const double(*)[3])from, (const double(*)[3])onto, matched, false, &fit,
							 NULL),
			0);
		for (size_t i = 0; i < n; i++)
			e3_similarity_apply(&fit, x[i], x[i]);
	}
	free(from), free(onto);
	return steps;
}

static void icp_equals_a_plain_search(void **state)
{
	static double to[MANY][3], x[2][MANY][3];
	for (int j = 0; j < 6; j++) {
		const double turn = 0.03 * (1 + j % 3), radius = j % 2 ? 0.1 : 0.03;
		e3_kdtree t;
		e3_icp icp;
		double rmse;
		fill(j % 2, to, MANY);
		for (int i = 0; i < MANY; i++) {
			const double *g = to[i];
			const double p[3] = {g[0] * cos(turn) - g[1] * sin(turn), g[0] * sin(turn) + g[1] * cos(turn), g[2] + 0.01};
			for (int a = 0; a < 3; a++)
				x[0][i][a] = x[1][i][a] = p[a] + 0.02 * (uniform() - 0.5);
		}
		assert_int_equal(e3_kdtree_init(&t, to, MANY, &one, NULL), 0);
		assert_int_equal(e3_icp_run(x[0], MANY, &t, &(e3_icp_rule){radius, &two}, &icp, NULL), 0);
		assert_int_equal(icp.steps, plain_icp(x[1], MANY, &t, radius, &rmse));
		assert_true(icp.steps >= 3 && fabs(icp.rmse - rmse) < 1e-12);
		for (int i = 0; i < MANY; i++)
			assert_true(apart(x[0][i], x[1][i]) < 1e-20);
		e3_kdtree_release(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_points_equal_brute_force),
		cmocka_unit_test(nearest_points_of_distant_sheets_equal_brute_force),
		cmocka_unit_test(points_around_a_box_are_complete),
		cmocka_unit_test(points_at_one_place_or_far_away_are_not_all_visited),
		cmocka_unit_test(normals_equal_those_of_a_plain_search),
		cmocka_unit_test(icp_equals_a_plain_search),
	};
	return cmocka_run_group_tests_name("eval: neighbours", tests, NULL, NULL);
}
