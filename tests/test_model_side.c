/* A second past beside the main stream: what it computes is what a session of its own computes, and the main stream
 * does not notice it. */
#include "check.h"
#include "model_stream.h"
#include "model/session.h"

static e3_dev *dev;

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	return dev ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_dev_close(dev);
	return 0;
}

static void same_bits(const e3_result *got, const e3_result *want, bool points)
{
	size_t area = (size_t)want->w * (size_t)want->h * sizeof(float);
	assert_memory_equal(got->pose, want->pose, sizeof got->pose);
	assert_memory_equal(got->depth, want->depth, area);
	assert_memory_equal(got->depth_conf, want->depth_conf, area);
	assert_int_equal(!!got->points, points);
	if (points)
		assert_memory_equal(got->points, want->points, 3 * area);
}

static e3_infer_options small_budget(void)
{
	e3_infer_options o = e3_infer_defaults();
	o.budget_kind = E3_BUDGET_FRAMES, o.budget = 3;
	return o;
}

/* Frames 4 to 9 of one stream, seen by its main past; the side sees them from 6 on, and then takes over. Beside it a
 * session that sees 0 to 9, and one that begins with 6. */
static void the_side_is_a_session_of_its_own(void **state)
{
	e3_infer_options o = small_budget(), with_side = o;
	e3_evict evict = {0};
	e3_result side;
	stream both, whole, late;
	with_side.side = 4, with_side.segment = 10;
	stream_open(dev, &both, &custom_wide, &with_side);
	stream_open(dev, &whole, &custom_wide, &o);
	stream_open(dev, &late, &custom_wide, &o);
	for (int i = 0; i < 10; i++) {
		stream_step(&both, i), stream_step(&whole, i);
		same_bits(&both.pred, &whole.pred, true);
		if (i < 6)
			continue;
		stream_step(&late, i);
		assert_int_equal(e3_session_side(both.s, NULL, &side, &evict, NULL), 0);
		same_bits(&side, &late.pred, false);
		assert_int_equal(evict.i, i - 6);
		assert_int_equal(e3_session_side_frames(both.s), i - 5);
	}
	e3_session_take_over(both.s);
	assert_int_equal(e3_session_frames(both.s), 4);
	assert_int_equal(e3_session_side_frames(both.s), 0);
	for (int i = 10; i < 14; i++) {
		stream_step(&both, i), stream_step(&late, i);
		same_bits(&both.pred, &late.pred, true);
	}
	e3_evict_release(&evict);
	stream_close(&both), stream_close(&whole), stream_close(&late);
}

/* Other pictures beside the stream, forgotten again, leave no trace in it. */
static void other_pictures_can_be_seen_beside_the_stream(void **state)
{
	e3_infer_options o = small_budget(), with_side = o;
	e3_evict evict = {0};
	e3_err err;
	e3_result side;
	stream both, plain, other;
	with_side.side = 5;
	stream_open(dev, &both, &custom_wide, &with_side);
	stream_open(dev, &plain, &custom_wide, &o);
	for (int round = 0; round < 2; round++) {
		stream_open(dev, &other, &custom_wide, &o);
		for (int i = 0; i < 5; i++) {
			stream_step(&both, 5 * round + i), stream_step(&plain, 5 * round + i), stream_step(&other, 40 + i);
			same_bits(&both.pred, &plain.pred, true);
			uint8_t *rgb = custom_picture(40 + i, both.size[0], both.size[1]);
			assert_int_equal(e3_session_side(both.s, rgb, &side, &evict, NULL), 0);
			free(rgb);
			same_bits(&side, &other.pred, false);
		}
		assert_int_equal(e3_session_side(both.s, NULL, &side, &evict, &err), -1);
		assert_string_equal(err.text, "inferring beside the stream: no picture");
		e3_session_side_clear(both.s);
		stream_close(&other);
	}
	assert_int_equal(e3_session_side(plain.s, NULL, &side, &evict, &err), -1);
	assert_string_equal(err.text, "inferring beside the stream: the session has no side");
	e3_evict_release(&evict);
	stream_close(&both), stream_close(&plain);
}

/* With segments a fraction is one of the segment: the length of the stream need not be known. */
static void a_fraction_is_one_of_the_segment(void **state)
{
	e3_infer_options o = e3_infer_defaults(), clip = o;
	e3_plan p, q;
	o.segment = 10, o.cached = clip.cached = E3_F32, clip.frames = 10;
	assert_int_equal(e3_plan_make(&custom_wide.c, &o, custom_wide.size[0], custom_wide.size[1], &p, NULL), 0);
	assert_int_equal(e3_plan_make(&custom_wide.c, &clip, custom_wide.size[0], custom_wide.size[1], &q, NULL), 0);
	assert_true(p.budget == q.budget && p.pages == q.pages);
	o.frames = 4, clip.frames = 4;
	assert_int_equal(e3_plan_make(&custom_wide.c, &o, custom_wide.size[0], custom_wide.size[1], &p, NULL), 0);
	assert_int_equal(e3_plan_make(&custom_wide.c, &clip, custom_wide.size[0], custom_wide.size[1], &q, NULL), 0);
	assert_true(p.budget == q.budget && p.pages == q.pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_side_is_a_session_of_its_own),
		cmocka_unit_test(other_pictures_can_be_seen_beside_the_stream),
		cmocka_unit_test(a_fraction_is_one_of_the_segment),
	};
	return cmocka_run_group_tests_name("model: a side of the stream", tests, set_up, tear_down);
}
