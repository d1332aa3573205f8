/* What the aligner hands back and tells, prediction by prediction. */
#include "e3/aligner.h"
#include "graph_walk.h"

enum { FRAMES = 6 }; /* of a segment */

typedef struct record {
	int n;
	e3_correct told[4096];
} record;

static int tell(void *to, const e3_correct *x, e3_err *err)
{
	record *r = to;
	assert_true(r->n < 4096 && x->from <= x->to && x->to <= x->i);
	r->told[r->n++] = *x;
	return 0;
}

static e3_pred frame(const e3_similarity *world, int64_t segment, int64_t i)
{
	static uint8_t rgb[3];
	static float depth[1], conf[1] = {2};
	depth[0] = (float)(2 * world->s);
	e3_pred p = {.s = {.i = i, .pts = (double)i},
		.w = 1,
		.h = 1,
		.rgb = rgb,
		.has_pose = true,
		.depth = depth,
		.depth_conf = conf,
		.pose = {0, 0, 0, 0, 0, 0, 1, 1, 1},
		.has_segment = true,
		.segment = segment};
	/* the camera is on the x axis of the segment */
	p.pose[0] = -0.1f * (float)(i % FRAMES);
	e3_similarity_pack(&e3_similarity_identity, p.world);
	assert_int_equal(e3_similarity_pred(world, &p, NULL), 0);
	return p;
}

static e3_edge loop_edge(walk *w, int a, int b, int64_t i)
{
	e3_edge e = {.i = i, .type = E3_EDGE_LOOP, .a = a, .b = b, .frame = {a * FRAMES, i}, .sigma = {1e-3, 1e-3, 1e-3}};
	e3_similarity sim = walk_measure(w, a, b, (const double[3]){0});
	e3_similarity_pack(&sim, e.sim);
	return e;
}

/* Sends a walk whose joins drift; loops from every segment of the second half to one of the first. */
static e3_aligner *run(walk *w, record *r, e3_aligner_options o, double (*world)[8], bool *moved)
{
	e3_err err = {""};
	o.tell = tell, o.to = r;
	e3_aligner *a = e3_aligner_open(&o, &err);
	e3_similarity in = w->truth[0];
	assert_non_null(a);
	for (int k = 0; k < w->n; k++) {
		if (k > 0) {
			e3_similarity z = walk_measure(w, k - 1, k, (const double[3]){0});
			z.s *= 1.03;
			e3_similarity_mul(&in, &z, &in);
			e3_edge e = {.i = k * FRAMES - 1,
				.a = k - 1,
				.b = k,
				.frame = {k * FRAMES - 1, k * FRAMES - 1},
				.sigma = {0.01, 0.02, 0.02}};
			e3_similarity_pack(&z, e.sim);
			assert_int_equal(e3_aligner_edge_add(a, &e, &err), 0);
		}
		for (int n = 0; n < FRAMES; n++) {
			int64_t i = k * FRAMES + n;
			e3_pred p = frame(&in, k, i);
			if (e3_aligner_pred(a, &p, &moved[i], &err))
				fail_msg("%s", err.text);
			memcpy(world[i], p.world, sizeof p.world);
			if (n == 2 && k >= w->n / 2) {
				e3_edge e = loop_edge(w, k - w->n / 2, k, i);
				assert_int_equal(e3_aligner_edge_add(a, &e, &err), 0);
			}
		}
	}
	return a;
}

/* The newest correction of a frame on top of the world it was handed back in. */
static e3_similarity final_world(const record *r, int64_t i, const double world[8])
{
	e3_similarity x, by;
	assert_int_equal(e3_similarity_unpack(world, &x, NULL), 0);
	for (int k = r->n - 1; k >= 0; k--)
		if (r->told[k].from <= i && i <= r->told[k].to) {
			assert_int_equal(e3_similarity_unpack(r->told[k].sim, &by, NULL), 0);
			e3_similarity_mul(&by, &x, &x);
			break;
		}
	return x;
}

static record told;
static double worlds[600][8];
static bool moved[600];

static const e3_aligner_options plain = {.graph = E3_GRAPH_DEFAULTS, .gap = 0.02, .turn_sigma = 0.01};

static void frames_of_a_segment_end_in_one_world(void **state)
{
	walk w = walk_make(20, 2, 5);
	memset(&told, 0, sizeof told);
	e3_aligner *a = run(&w, &told, plain, worlds, moved);
	assert_false(moved[0]);
	assert_true(moved[19 * FRAMES + 5]);
	int before = told.n;
	assert_int_equal(e3_aligner_finish(a, NULL), 0);
	for (int k = 0; k < w.n; k++) {
		e3_similarity first = final_world(&told, k * FRAMES, worlds[k * FRAMES]);
		assert_true(fabs(first.s / w.truth[k].s - 1) < 0.1);
		for (int n = 1; n < FRAMES; n++) {
			e3_similarity x = final_world(&told, k * FRAMES + n, worlds[k * FRAMES + n]);
			assert_true(fabs(x.s / first.s - 1) < 1e-6);
			for (int axis = 0; axis < 3; axis++)
				assert_true(fabs(x.t[axis] - first.t[axis]) < 1e-5);
		}
	}
	const e3_aligner_facts *f = e3_aligner_facts_of(a);
	printf("# %d corrections while it ran, %d in all, %lld solutions\n", before, told.n, (long long)f->solutions);
	assert_int_equal(f->corrections, told.n);
	assert_int_equal(f->loops, 10);
	assert_true(f->before > 10 * f->after);
	e3_aligner_close(a), walk_free(&w);
}

/* A loop that says what is known already is not worth a correction. */
static void small_changes_are_not_told_before_the_end(void **state)
{
	walk w = walk_make(20, 2, 5);
	memset(&told, 0, sizeof told);
	e3_aligner *a = run(&w, &told, plain, worlds, moved);
	e3_edge again = loop_edge(&w, 0, 10, 20 * FRAMES - 1);
	int before = told.n;
	assert_int_equal(e3_aligner_edge_add(a, &again, NULL), 0);
	printf("# %d corrections for a loop that was there already\n", told.n - before);
	assert_true(told.n - before < 5);
	e3_aligner_close(a), walk_free(&w);
}

static void nothing_moves_a_kept_prediction(void **state)
{
	walk w = walk_make(20, 2, 5);
	e3_aligner_options o = plain;
	o.keep = true;
	memset(&told, 0, sizeof told);
	e3_aligner *a = run(&w, &told, o, worlds, moved);
	assert_int_equal(told.n, 0);
	for (int i = 0; i < w.n * FRAMES; i++)
		assert_false(moved[i]);
	assert_int_equal(e3_aligner_finish(a, NULL), 0);
	assert_true(told.n >= 19 && told.n <= 20); /* one for each segment that moved */
	e3_aligner_close(a), walk_free(&w);
}

/* A long segment with a known position for each frame keeps a bounded number of them, and of parts. */
static void a_long_segment_is_bounded(void **state)
{
	enum { N = 20000 };
	e3_known_row *row = calloc(N, sizeof *row);
	e3_known known = {.format = E3_KNOWN_POSITIONS, .row = row, .n = N};
	e3_aligner_options o = plain;
	o.known = &known, o.n_known = 1;
	memset(&told, 0, sizeof told);
	o.tell = tell, o.to = &told;
	e3_aligner *a = e3_aligner_open(&o, NULL);
	for (int i = 0; i < N; i++) {
		row[i] = (e3_known_row){.time = i, .sigma = 0.1};
		for (int axis = 0; axis < 3; axis++) /* the camera's path, turned and ten times as large */
			row[i].pose[4 * axis + 3] = 10 * sin(0.01 * i + 2 * axis);
	}
	for (int i = 0; i < N; i++) {
		e3_pred p = {.s = {.i = i, .pts = i}, .w = 1, .h = 1, .has_pose = true, .pose = {0, 0, 0, 0, 0, 0, 1, 1, 1}};
		bool is_moved;
		for (int axis = 0; axis < 3; axis++)
			p.pose[axis] = (float)-sin(0.01 * i + 2 * axis);
		assert_int_equal(e3_aligner_pred(a, &p, &is_moved, NULL), 0);
		if (i == N - 1) {
			assert_true(is_moved && p.has_segment);
			for (int axis = 0; axis < 3; axis++)
				assert_true(fabs((double)p.pose[axis] + row[i].pose[4 * axis + 3]) < 0.05);
		}
	}
	assert_int_equal(e3_aligner_finish(a, NULL), 0);
	const e3_aligner_facts *f = e3_aligner_facts_of(a);
	printf("# %lld known positions used, %lld solutions, %d corrections\n", (long long)f->known,
		(long long)f->solutions, told.n);
	assert_true(f->world && f->known < 1000 && told.n < 400);
	e3_aligner_close(a), free(row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_a_segment_end_in_one_world),
		cmocka_unit_test(small_changes_are_not_told_before_the_end),
		cmocka_unit_test(nothing_moves_a_kept_prediction),
		cmocka_unit_test(a_long_segment_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
