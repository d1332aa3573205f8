/* sets: trajectories: what each format's text means, that it comes back, what is refused and in which words; pairing of
 * stamps. */
#include "check.h"
#include "e3/sets.h"
#include <unistd.h>

static void near(double got, double want, double within)
{
	if (!(fabs(got - want) <= within))
		fail_msg("%.17g, expected %.17g", got, want);
}

static int parse(const char *text, e3_traj_format format, e3_traj *t, e3_err *err)
{
	size_t n = strlen(text); /* a block of its own, so that reading past it is detected */
	char *own = malloc(n ? n : 1);
	memcpy(own, text, n);
	int rc = e3_traj_decode(own, n, "t.txt", format, t, err);
	free(own);
	return rc;
}

/* A quarter turn about z: x to y. In TUM's order the scalar is last, in the other first. */
static void each_format_means_the_same_pose(void **state)
{
	static const double want[12] = {0, -1, 0, 1, 1, 0, 0, 2, 0, 0, 1, 3};
	static const struct {
		e3_traj_format format;
		const char *text;
	} cases[] = {
		{E3_TRAJ_TUM, "# stamp\n12.5 1 2 3 0 0 0.7071067811865476 0.7071067811865476\n"},
		{E3_TRAJ_TUM, "\n\t12.5,1,2,3\t0 0 1 1  # a quaternion of any length, no line end"},
		{E3_TRAJ_TUM,
			"\xef\xbb\xbf"
			"12.5 1 2 3 0 0 1 1\n"},
		{E3_TRAJ_TUM_WXYZ, "12.5 1 2 3 1 0 0 1\r\n"},
		{E3_TRAJ_KITTI, "0 -1 0 1 1 0 0 2 0 0 1 3\n"},
		{E3_TRAJ_4X4, "0 -1 0 1\n1 0 0 2\n0 0 1 3\n0 0 0 1\n"},
		{E3_TRAJ_4X4, "0 -1 0 1 1 0 0 2 0 0 1 3 0 0 0 1"},
		{E3_TRAJ_NRGBD, "0 1 0 1\n1 0 0 2\n0 0 -1 3\n0 0 0 1\n"},
	};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		e3_traj t;
		e3_err err = {""};
		if (parse(cases[k].text, cases[k].format, &t, &err))
			fail_msg("case %zu: %s", k, err.text);
		assert_int_equal(t.n, 1);
		near(t.stamp[0], cases[k].format <= E3_TRAJ_TUM_WXYZ ? 12.5 : 0, 0);
		for (int j = 0; j < 12; j++)
			near(t.pose[0][j], want[j], 1e-15);
		e3_traj_release(&t);
	}
}

/* Three poses through a file of every format. */
static void what_is_written_comes_back(void **state)
{
	static const double r[3][9] = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, 1},
		{0, 0, 1, 0.6, 0.8, 0, -0.8, 0.6, 0}};
	for (int format = E3_TRAJ_TUM; format <= E3_TRAJ_NRGBD; format++) {
		e3_traj t = {0}, back;
		for (int k = 0; k < 3; k++) {
			double m[12];
			for (int j = 0; j < 12; j++)
				m[j] = j % 4 == 3 ? 0.1 * k + j / 3.0 : r[k][j / 4 * 3 + j % 4];
			assert_int_equal(e3_traj_add(&t, format == E3_TRAJ_TUM ? 1311868164.363181 + k / 30.0 : k, m, NULL), 0);
		}
		char path[] = "/tmp/e3-test-XXXXXX";
		close(mkstemp(path));
		assert_int_equal(e3_traj_save(path, (e3_traj_format)format, &t, NULL), 0);
		assert_int_equal(e3_traj_load(path, (e3_traj_format)format, &back, NULL), 0);
		remove(path);
		assert_int_equal(back.n, 3);
		for (int k = 0; k < 3; k++) {
			near(back.stamp[k], t.stamp[k], 1e-6);
			for (int j = 0; j < 12; j++)
				near(back.pose[k][j], t.pose[k][j], 1e-15);
		}
		e3_traj_release(&t);
		e3_traj_release(&back);
	}
}

static void a_pose_that_is_missing_or_damaged_is_named(void **state)
{
	static const struct {
		e3_traj_format format;
		const char *text, *why;
	} cases[] = {
		{E3_TRAJ_TUM, "", "holds no pose"},
		{E3_TRAJ_TUM, "# nothing\n", "holds no pose"},
		{E3_TRAJ_TUM, "1 2 3 4 0 0 0 1\n2 2 3 4 0 0 0\n", "line 2: 7 numbers: expected 8"},
		{E3_TRAJ_TUM, "1 2 3 4 0 0 0 1 9\n", "line 1: more than 8 numbers"},
		{E3_TRAJ_TUM, "1 2 3 4 0 0 0 0\n", "line 1: the quaternion has length 0"},
		{E3_TRAJ_TUM, "1 2 nan 4 0 0 0 1\n", "line 1: number 3 is not finite: the pose is missing"},
		{E3_TRAJ_TUM, "1 2 x 4 0 0 0 1\n", "line 1: 'x' is not a number"},
		{E3_TRAJ_TUM, "1 2 0x10 4 0 0 0 1\n", "'0x10' is not a number"},
		{E3_TRAJ_TUM, "1 2 33333333333333333333333333333333333333333333333333333333333333333333 4 0 0 0 1\n",
			"is not a number"},
		{E3_TRAJ_KITTI, "0 -1 0 1 1 0 0 2 0 0 1\n", "line 1: 11 numbers: expected 12"},
		{E3_TRAJ_KITTI, "2 0 0 1 0 1 0 2 0 0 1 3\n", "line 1: the matrix is not a rotation"},
		{E3_TRAJ_KITTI, "-1 0 0 1 0 1 0 2 0 0 1 3\n", "line 1: the matrix is a reflection"},
		{E3_TRAJ_4X4, "1 0 0 1\n0 1 0 2\n0 0 1 3\n", "the text ends after 12 of the 16 numbers"},
		{E3_TRAJ_4X4, "1 0 0 1\n0 1 0 2\n0 0 1 3\n0 0 1 1\n", "the last row of the matrix is not 0 0 0 1"},
		{E3_TRAJ_4X4, "-inf -inf -inf -inf\n0 1 0 2\n0 0 1 3\n0 0 0 1\n",
			"number 1 is not finite: the pose is missing"},
		{E3_TRAJ_NRGBD, "1 0 0 1\n0 1 0 2\n0 0 1 3\n", "the text ends inside a matrix of 4 lines"},
		{E3_TRAJ_NRGBD, "1 0 0 1\n0 nan 0 2\n0 0 1 3\n0 0 0 1\n", "is not finite"},
	};
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		e3_traj t;
		e3_err err = {""};
		assert_int_equal(parse(cases[k].text, cases[k].format, &t, &err), -1);
		assert_null(t.pose);
		if (strncmp(err.text, "reading: t.txt: ", 16) || !strstr(err.text, cases[k].why))
			fail_msg("case %zu: '%s' does not say '%s'", k, err.text, cases[k].why);
	}
	e3_traj t;
	e3_err err;
	static const char nul[] = "1 2 3\0 4 0 0 0 1\n"; /* no end of a text */
	assert_int_equal(e3_traj_decode(nul, sizeof nul - 1, "t.txt", E3_TRAJ_TUM, &t, &err), -1);
	assert_non_null(strstr(err.text, "line 1: '3' is not a number"));
	assert_int_equal(e3_traj_load("/nonexistent/t.txt", E3_TRAJ_TUM, &t, &err), -1);
	assert_non_null(strstr(err.text, "No such file"));
}

/* A missing pose of NRGBD is the identity, rotated like all of its poses. */
static void a_pose_of_nans_is_the_identity(void **state)
{
	static const double want[12] = {1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0};
	e3_traj t;
	assert_int_equal(parse("nan nan nan nan\nnan nan nan nan\nnan nan nan nan\nnan nan nan nan\n", E3_TRAJ_NRGBD, &t,
						 NULL),
		0);
	for (int j = 0; j < 12; j++)
		near(t.pose[0][j], want[j], 0);
	e3_traj_release(&t);
}

/* The nearest pair first; strictly within; each stamp once; ordered by the first list, whatever order it came in. */
static void stamps_are_paired_nearest_first(void **state)
{
	const double a[] = {0.2, 0.0, 0.033, 0.067, 0.1, 0.133},
				 b[] = {0.005, 0.024, 0.03, 0.071, 0.119, 0.125, 0.181, 0.23};
	const double want[][2] = {{0, 0.005}, {0.033, 0.03}, {0.067, 0.071}, {0.1, 0.119}, {0.133, 0.125}, {0.2, 0.181}};
	e3_stamp_pairs pairs;
	assert_int_equal(e3_traj_associate((e3_stamps){a, 6}, (e3_stamps){b, 8}, 0.02, &pairs, NULL), 0);
	assert_int_equal(pairs.n, 6);
	for (size_t k = 0; k < pairs.n; k++) {
		near(a[pairs.at[k][0]], want[k][0], 0);
		near(b[pairs.at[k][1]], want[k][1], 0);
	}
	free(pairs.at);
	const double one = 1, later = 1.25;
	assert_int_equal(e3_traj_associate((e3_stamps){&one, 1}, (e3_stamps){&later, 1}, 0.25, &pairs, NULL), 0);
	assert_int_equal(pairs.n, 0);
	free(pairs.at);
	/* all pairs together are too many to list */
	size_t many = 5000;
	double *same = calloc(many, sizeof *same);
	e3_err err;
	assert_int_equal(e3_traj_associate((e3_stamps){same, many}, (e3_stamps){same, many}, 0.02, &pairs, &err), -1);
	assert_null(pairs.at);
	assert_non_null(strstr(err.text, "less than 0.02 s apart"));
	free(same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_format_means_the_same_pose),
		cmocka_unit_test(what_is_written_comes_back),
		cmocka_unit_test(a_pose_that_is_missing_or_damaged_is_named),
		cmocka_unit_test(a_pose_of_nans_is_the_identity),
		cmocka_unit_test(stamps_are_paired_nearest_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
