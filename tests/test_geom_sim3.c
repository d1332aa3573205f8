/* Similarities: their group, their messages, and what they do to a prediction. */
#include "check.h"
#include "e3/geom.h"

static const double message[8] = {1.7, 0.1, -0.4, 0.2, 0.887, 0.5, -2, 3};

static void near(double a, double b, double bound)
{
	if (!(fabs(a - b) <= bound))
		fail_msg("%.12g, expected %.12g within %g", a, b, bound);
}

static void the_message_holds_the_similarity(void **state)
{
	e3_similarity a;
	double back[8], length = 0;
	assert_int_equal(e3_similarity_unpack(message, &a, NULL), 0);
	e3_similarity_pack(&a, back);
	for (int k = 1; k < 5; k++)
		length += message[k] * message[k];
	for (int k = 0; k < 8; k++)
		near(back[k], k >= 1 && k < 5 ? message[k] / sqrt(length) : message[k], 1e-12);
}

static void bad_messages_are_refused(void **state)
{
	static const struct {
		int at;
		double value;
		const char *text;
	} bad[] = {
		{0, 0, "similarity: scale 0: expected more than 0"},
		{0, -1, "similarity: scale -1: expected more than 0"},
		{6, INFINITY, "similarity: not finite"},
		{2, NAN, "similarity: not finite"},
	};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		e3_similarity a;
		e3_err err;
		double m[8];
		memcpy(m, message, sizeof m);
		m[bad[k].at] = bad[k].value;
		assert_int_equal(e3_similarity_unpack(m, &a, &err), -1);
		assert_string_equal(err.text, bad[k].text);
	}
	e3_err err;
	e3_similarity a;
	assert_int_equal(e3_similarity_unpack((double[8]){1}, &a, &err), -1);
	assert_string_equal(err.text, "similarity: the quaternion is zero");
}

static void products_and_inverses_apply_in_order(void **state)
{
	e3_similarity a, b, ab, inverse;
	const double other[8] = {0.4, -0.3, 0.2, 0.5, 0.8, -1, 0.25, 4}, x[3] = {1, -2, 0.5};
	double by_two[3], by_one[3];
	e3_similarity_unpack(message, &a, NULL), e3_similarity_unpack(other, &b, NULL);
	e3_similarity_mul(&a, &b, &ab);
	e3_similarity_apply(&b, x, by_two), e3_similarity_apply(&a, by_two, by_two);
	e3_similarity_apply(&ab, x, by_one);
	for (int k = 0; k < 3; k++)
		near(by_one[k], by_two[k], 1e-12);
	e3_similarity_invert(&ab, &inverse);
	e3_similarity_apply(&inverse, by_one, by_one);
	for (int k = 0; k < 3; k++)
		near(by_one[k], x[k], 1e-12);
	e3_similarity_mul(&inverse, &ab, &ab);
	near(ab.s, 1, 1e-12);
	for (int k = 0; k < 3; k++)
		near(ab.t[k], 0, 1e-12), near(ab.r[4 * k], 1, 1e-12);
}

/* A point seen by the camera: the moved camera sees the moved point at the same place, `s` times as far away. */
static void a_prediction_moves_as_one(void **state)
{
	float depth[1] = {2}, points[3] = {0.3f, -0.2f, 1.5f};
	e3_pred pred = {.w = 1,
		.h = 1,
		.has_pose = true,
		.pose = {0.1f, 0.2f, -0.3f, 0.1f, 0.7f, -0.1f, 0.7f, 1, 1.2f},
		.depth = depth,
		.points = points,
		.has_segment = true,
		.world = {1, 0, 0, 0, 1, 0, 0, 0}};
	e3_similarity a;
	e3_pose before, after;
	double x[3] = {0.3f, -0.2f, 1.5f};
	e3_similarity_unpack(message, &a, NULL);
	assert_int_equal(e3_pose_decode(pred.pose, &before, NULL), 0);
	assert_int_equal(e3_similarity_pred(&a, &pred, NULL), 0);
	assert_int_equal(e3_pose_decode(pred.pose, &after, NULL), 0);
	for (int row = 0; row < 3; row++) {
		double was = before.t[row], is = after.t[row];
		for (int col = 0; col < 3; col++)
			was += before.r[3 * row + col] * x[col], is += after.r[3 * row + col] * (double)points[col];
		near(is, a.s * was, 1e-5);
	}
	near((double)depth[0], 2 * a.s, 1e-6);
	near((double)pred.pose[8], (double)1.2f, 0);
	near(pred.world[0], a.s, 1e-12), near(pred.world[7], a.t[2], 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_message_holds_the_similarity),
		cmocka_unit_test(bad_messages_are_refused),
		cmocka_unit_test(products_and_inverses_apply_in_order),
		cmocka_unit_test(a_prediction_moves_as_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
