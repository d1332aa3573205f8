/* A frame that is given up leaves no trace: the session saves the same file as before, and goes on with the same bits.
 */
#include "model_saved.h"

enum { FRAMES = 6, TASKS = 300 };

static int asked, patience; /* how often it may be asked; negative: as often as it likes */

static int stop(void) { return patience >= 0 && ++asked > patience; }

/* Tries the frame and gives it up after so many tasks, of which it has more. */
static void give_up(const struct how *how, stream *t, int picture, int tasks)
{
	e3_err err = {""};
	uint8_t *rgb = custom_picture(picture, t->size[0], t->size[1]);
	asked = 0, patience = tasks;
	if (e3_session_step(t->s, rgb, &t->pred, &t->evict, &err) == 0)
		fail_msg("%s: frame %d has no more than %d tasks", how->name, picture, tasks);
	patience = -1;
	free(rgb);
	assert_non_null(strstr(err.text, "interrupted"));
}

static void one_way(const struct how *how)
{
	e3_infer_options o = options_of(how);
	stream plain, halted;
	int tried = 0;
	stream_open(dev, &plain, &custom_wide, &o);
	stream_open(dev, &halted, &custom_wide, &o);
	for (int i = 0; i < FRAMES; i++) {
		for (int tasks = i; tasks < TASKS; tasks += 1 + tasks, tried++)
			give_up(how, &halted, i, tasks);
		if (i > 0) {
			save(&halted, path_of("c"));
			same_use(plain.s, halted.s);
			resume(&halted, path_of("c"), &o);
		}
		stream_step(&plain, i), stream_step(&halted, i);
		stream_same_maps(&plain.pred, &halted.pred);
		same_records(&plain.evict, &halted.evict);
	}
	same_use(plain.s, halted.s);
	unlink(path_of("c"));
	stream_close(&plain), stream_close(&halted);
	print_message("# %s: %d frames given up\n", how->name, tried);
}

static void a_frame_that_is_given_up_leaves_no_trace(void **state)
{
	patience = -1;
	*dev->halt = (e3_halt){stop, true};
	for (size_t k = 0; k < sizeof hows / sizeof *hows; k++)
		one_way(&hows[k]);
	*dev->halt = (e3_halt){0};
}

static void loading_can_be_given_up(void **state)
{
	e3_err err = {""};
	stream t = {.size = {custom_wide.size[0], custom_wide.size[1]}};
	t.ckpt = custom_open(&custom_wide.c, custom_wide.seed, &t.file, &err);
	asked = 0, patience = 3;
	e3_ckpt_stop_by(t.ckpt, stop);
	e3_ckpt_read_with(t.ckpt, 1); /* or other threads ask too */
	assert_null(e3_net_open(t.ckpt, dev, &err));
	assert_non_null(strstr(err.text, "interrupted"));
	assert_int_equal(asked, 4);
	e3_ckpt_stop_by(t.ckpt, NULL);
	t.net = e3_net_open(t.ckpt, dev, &err);
	assert_non_null(t.net);
	stream_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_that_is_given_up_leaves_no_trace),
		cmocka_unit_test(loading_can_be_given_up),
	};
	return cmocka_run_group_tests_name("model_halt", tests, set_up, tear_down);
}
