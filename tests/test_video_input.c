/* Inputs as one sequence of frames: the bundled clip and pictures in files; what is live; lists of pictures. */
#include "check.h"
#include "e3/input.h"
#include <sys/stat.h>
#include <unistd.h>

#define CLIP "pipelines/demo/clip.mp4"

static e3_input_options options(char **operand, int n)
{
	return (e3_input_options){.operand = operand,
		.n = n,
		.choice.end = INFINITY,
		.reconnect = -1,
		.stall = -1,
		.stream = -1,
		.threads = 1,
		.autorotate = true,
		.exif = true,
		.spool_max = 1 << 30};
}

/* Reads all frames; returns how many, src[] receives their numbers in the source. */
static int read_all(const e3_input_options *o, int64_t src[100], double *fps)
{
	e3_err err = {""};
	e3_image im = {0};
	e3_source at;
	bool key;
	int n = 0, rc;
	e3_input *in = e3_input_open(o, &err);
	if (!in)
		fail_msg("%s", err.text);
	int64_t announced = e3_input_frames(in);
	*fps = e3_input_fps(in);
	while ((rc = e3_input_next(in, &im, &at, &key, &err)) > 0) {
		assert_true(n < 100 && im.w > 0 && im.channels == 3);
		src[n++] = at.src_i;
	}
	if (rc)
		fail_msg("%s", err.text);
	assert_int_equal(announced, n);
	assert_int_equal(e3_input_skipped(in), 0);
	e3_image_release(&im);
	e3_input_close(in);
	return n;
}

static void a_video_is_read_twice_a_second_unless_asked_otherwise(void **state)
{
	char *operand[] = {CLIP};
	int64_t src[100];
	double fps;
	e3_input_options o = options(operand, 1);
	assert_false(e3_input_is_live(&o));
	assert_string_equal(e3_input_name(&o), CLIP);
	assert_int_equal(read_all(&o, src, &fps), 8);
	assert_true(fps == 2);
	for (int k = 0; k < 8; k++)
		assert_int_equal(src[k], 6 * k + 5);
	o.choice.all = true;
	assert_int_equal(read_all(&o, src, &fps), 48);
	assert_true(fps == 12);
	o.choice = (e3_frame_choice){.every = 1, .by_time = true, .start = 1, .end = INFINITY};
	assert_int_equal(read_all(&o, src, &fps), 3);
	assert_int_equal(src[0], 12);
	assert_int_equal(src[2], 36);
}

static void pictures_are_all_read(void **state)
{
	char *operand[] = {"tests/data/decode/420.jpg", "tests/data/decode/444.jpg", "tests/data/decode/420.jpg"};
	int64_t src[100];
	double fps;
	e3_input_options o = options(operand, 3);
	assert_int_equal(read_all(&o, src, &fps), 3);
	assert_true(fps == 0 && src[2] == 2);
	o.choice.step = 2, o.choice.fps = 10;
	assert_int_equal(read_all(&o, src, &fps), 1);
	assert_true(fps == 5 && src[0] == 1);
}

static void a_frame_rate_that_is_needed_must_be_known(void **state)
{
	char *operand[] = {"tests/data/decode/420.jpg"};
	e3_err err;
	e3_input_options o = options(operand, 1);
	o.choice.every = 1;
	assert_null(e3_input_open(&o, &err));
	assert_non_null(strstr(err.text, "the frame rate is unknown"));
}

static void sources_are_live_by_their_kind_or_on_request(void **state)
{
	const struct {
		char *input;
		bool automatic;
	} table[] = {{"v4l2:/dev/nothing", true}, {"rtsp://host/path", true}, {"lavfi:testsrc2", true},
		{"http://host/path", false}, {"-", false}, {CLIP, false}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		char *operand[] = {table[k].input};
		e3_input_options o = options(operand, 1);
		assert_int_equal(e3_input_is_live(&o), table[k].automatic);
		o.live = E3_LIVE_LATEST;
		assert_true(e3_input_is_live(&o));
		o.live = E3_LIVE_OFF;
		assert_false(e3_input_is_live(&o));
	}
}

static void folders_are_sorted_by_bytes_or_naturally(void **state)
{
	static const char *const name[] = {"f10.png", "f2.png", "F1.JPG", "f02.png", "notes.txt", ".hidden.png"};
	static const char *const want[2][4] = {{"F1.JPG", "f02.png", "f2.png", "f10.png"},
		{"F1.JPG", "f02.png", "f10.png", "f2.png"}};
	char dir[] = "/tmp/e3-test-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	for (int k = 0; k < 6; k++) {
		snprintf(path, sizeof path, "%s/%s", dir, name[k]);
		fclose(fopen(path, "w"));
	}
	for (int lexical = 0; lexical < 2; lexical++) {
		char *operand[] = {dir};
		e3_picture_list list;
		assert_int_equal(e3_pictures_expand(operand, 1, lexical, &list, NULL), 0);
		assert_int_equal(list.n, 4);
		for (int k = 0; k < 4; k++)
			assert_string_equal(strrchr(list.path[k], '/') + 1, want[lexical][k]);
		e3_pictures_release(&list);
	}
	for (int k = 0; k < 6; k++) {
		snprintf(path, sizeof path, "%s/%s", dir, name[k]);
		unlink(path);
	}
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_video_is_read_twice_a_second_unless_asked_otherwise),
		cmocka_unit_test(pictures_are_all_read),
		cmocka_unit_test(a_frame_rate_that_is_needed_must_be_known),
		cmocka_unit_test(sources_are_live_by_their_kind_or_on_request),
		cmocka_unit_test(folders_are_sorted_by_bytes_or_naturally),
	};
	e3_video_log(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
