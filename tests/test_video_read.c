/* The bundled clip: counting, times, seeking; the same frames from a path, a descriptor and a pipe; cut clips are
 * refused. */
#include "check.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/video.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define CLIP "pipelines/demo/clip.mp4"
enum { FRAMES = 48, W = 224, H = 168 };

static e3_video_options options(const char *input, int fd)
{
	return (e3_video_options){.input = input,
		.fd = fd,
		.stream = -1,
		.threads = 1,
		.autorotate = true,
		.spool_max = 1 << 30};
}

static e3_video *open_clip(void)
{
	e3_err err = {""};
	e3_video_options o = options(CLIP, -1);
	e3_video *v = e3_video_open(&o, &err);
	if (!v)
		fail_msg("%s", err.text);
	return v;
}

/* FNV-1a of every frame's pixels. */
static void hashes(e3_video *v, uint64_t out[FRAMES])
{
	e3_video_frame f;
	e3_image im = {0};
	e3_err err = {""};
	int rot = -1, n = 0, rc;
	while ((rc = e3_video_next(v, &f, &err)) > 0) {
		assert_int_equal(f.index, n);
		assert_true(fabs(f.pts - n / 12.0) < 1e-9);
		assert_int_equal(e3_video_image(v, &im, &rot, &err), 0);
		assert_true(im.w == W && im.h == H && im.channels == 3 && rot == 0);
		out[n++] = e3_fnv1a64(im.px, 3 * W * H);
	}
	if (rc < 0)
		fail_msg("%s", err.text);
	assert_int_equal(n, FRAMES);
	assert_int_equal(e3_video_errors(v), 0);
	e3_image_release(&im);
}

static void frames_are_counted_and_timed_before_decoding(void **state)
{
	for (int times = 0; times < 2; times++) {
		e3_video *v = open_clip();
		assert_int_equal(e3_video_frames(v), -1);
		assert_int_equal(e3_video_index(v, times, NULL), 0);
		assert_int_equal(e3_video_frames(v), FRAMES);
		assert_int_equal(e3_video_times_known(v), times);
		for (int k = 0; times && k < FRAMES; k++)
			assert_true(fabs(e3_video_time(v, k) - k / 12.0) < 1e-9);
		const e3_video_info *i = e3_video_describe(v);
		assert_true(
			i->w == W && i->h == H && i->fps[E3_FPS_GUESS] == 12 && i->fps[E3_FPS_AVG] == 12 && i->fps[E3_FPS_R] == 12);
		assert_string_equal(i->codec, "h264");
		assert_true(fabs(i->seconds - 4) < 1e-3);
		uint64_t h[FRAMES];
		hashes(v, h); /* counting took no frame away */
		for (int k = 1; k < FRAMES; k++)
			assert_true(h[k] != h[k - 1]);
		e3_video_close(v);
	}
}

static void seeking_gives_the_frames_that_reading_through_gives(void **state)
{
	uint64_t all[FRAMES];
	e3_video *v = open_clip();
	hashes(v, all);
	e3_video_close(v);
	const double starts[] = {0, 0.5, 1.9, 2.01, 2.5, 3, 3.9167, 9};
	for (size_t k = 0; k < sizeof starts / sizeof *starts; k++) {
		e3_video_frame f;
		e3_image im = {0};
		int rot, met = 0;
		bool sought;
		v = open_clip();
		assert_int_equal(e3_video_index(v, true, NULL), 0);
		assert_int_equal(e3_video_seek(v, starts[k], &sought, NULL), 0);
		while (e3_video_next(v, &f, NULL) > 0) {
			assert_true(met || f.index == 0 || f.pts <= starts[k]); /* no wanted frame was skipped */
			met++;
			assert_true(fabs(f.pts - (double)f.index / 12) < 1e-9);
			assert_int_equal(e3_video_image(v, &im, &rot, NULL), 0);
			assert_true(e3_fnv1a64(im.px, 3 * W * H) == all[f.index]);
		}
		assert_int_equal(f.index, FRAMES - 1);
		printf("# from %.2f s: %d frames decoded\n", starts[k], met);
		e3_image_release(&im);
		e3_video_close(v);
	}
}

static void *feed(void *arg)
{
	e3_map map;
	int fd = *(int *)arg;
	assert_int_equal(e3_map_open(&map, CLIP, NULL), 0);
	e3_write_full(fd, map.data + 8, map.size - 8);
	close(fd);
	e3_map_close(&map);
	return NULL;
}

/* A copied pipe, and a descriptor that can seek, both from their current position: frames can be counted and timed. */
static void a_descriptor_and_a_pipe_give_the_same(void **state)
{
	uint64_t path[FRAMES], other[FRAMES];
	uint8_t head[8];
	e3_video *v = open_clip();
	hashes(v, path);
	e3_video_close(v);
	for (int piped = 0; piped < 2; piped++) {
		pthread_t thread;
		int fds[2] = {open(CLIP, O_RDONLY), -1};
		assert_int_equal(e3_read_full(fds[0], head, sizeof head), 8);
		if (piped) {
			close(fds[0]);
			assert_int_equal(pipe(fds), 0);
			pthread_create(&thread, NULL, feed, &fds[1]);
		}
		e3_video_options o = options("standard input", fds[0]);
		o.head = head, o.n_head = sizeof head, o.spool = true;
		v = e3_video_open(&o, NULL);
		assert_non_null(v);
		assert_int_equal(e3_video_index(v, true, NULL), 0);
		assert_int_equal(e3_video_frames(v), FRAMES);
		hashes(v, other);
		assert_memory_equal(other, path, sizeof path);
		e3_video_close(v);
		if (piped)
			pthread_join(thread, NULL);
		close(fds[0]);
	}
}

static void a_copy_has_a_limit(void **state)
{
	int fds[2];
	pthread_t thread;
	e3_err err;
	uint8_t head[8];
	int clip = open(CLIP, O_RDONLY);
	assert_int_equal(e3_read_full(clip, head, sizeof head), 8);
	close(clip);
	assert_int_equal(pipe(fds), 0);
	pthread_create(&thread, NULL, feed, &fds[1]);
	e3_video_options o = options("standard input", fds[0]);
	o.head = head, o.n_head = sizeof head, o.spool = true, o.spool_max = 100000;
	assert_null(e3_video_open(&o, &err));
	assert_non_null(strstr(err.text, "reading: standard input: more than 100000 bytes to copy"));
	while (read(fds[0], head, sizeof head) > 0) /* let the writer end */
		;
	pthread_join(thread, NULL);
	close(fds[0]);
}

/* An mp4 that is cut anywhere is refused when it is opened, or after the frames that are there. */
static void cut_clips_are_refused(void **state)
{
	e3_map map;
	char path[] = "/tmp/e3-test-XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(e3_map_open(&map, CLIP, NULL), 0);
	for (size_t k = 1; k < 24; k++) {
		size_t n = k == 23 ? map.size - 1 : map.size * k / 23;
		e3_err err = {""};
		e3_video_frame f;
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, map.data, n, 0), n);
		e3_video_options o = options(path, -1);
		o.strict = true;
		e3_video *v = e3_video_open(&o, &err);
		int rc = v ? 1 : -1;
		while (rc > 0)
			rc = e3_video_next(v, &f, &err);
		assert_int_equal(rc, -1);
		assert_non_null(strstr(err.text, path));
		e3_video_close(v);
	}
	e3_map_close(&map);
	close(fd);
	unlink(path);
}

static void inputs_that_are_no_video_are_refused_by_name(void **state)
{
	const struct {
		const char *input, *says;
	} bad[] = {{"/nonexistent.mp4", "reading: /nonexistent.mp4: No such file or directory"},
		{"Makefile", "reading: Makefile: "}, {"tests", "reading: tests: "},
		{"nosuch://x", "reading: nosuch://x: Protocol not found"}};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		e3_err err = {""};
		e3_video_options o = options(bad[k].input, -1);
		assert_null(e3_video_open(&o, &err));
		if (!strstr(err.text, bad[k].says))
			fail_msg("expected '%s', got '%s'", bad[k].says, err.text);
	}
	e3_err err = {""};
	e3_video_options o = options(CLIP, -1);
	o.stream = 3;
	assert_null(e3_video_open(&o, &err));
	assert_non_null(strstr(err.text, "stream 3: there are 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_counted_and_timed_before_decoding),
		cmocka_unit_test(seeking_gives_the_frames_that_reading_through_gives),
		cmocka_unit_test(a_descriptor_and_a_pipe_give_the_same),
		cmocka_unit_test(a_copy_has_a_limit),
		cmocka_unit_test(cut_clips_are_refused),
		cmocka_unit_test(inputs_that_are_no_video_are_refused_by_name),
	};
	e3_video_log(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
