/* A run through the library: outputs appear at the end, each on its own; frames are read again from disk. */
#include "export_fixture.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static void the_table_of_formats_is_complete(void **state)
{
	int n = 0;
	for (const e3_format *f = e3_formats; f->name; f++, n++) {
		assert_ptr_equal(e3_format_find(f->name), f); /* no other has its name */
		assert_true(f->help && *f->help);
		assert_true(f->ops && f->ops->size >= sizeof(e3_format_writer));
		assert_true(f->ops->add || f->ops->write);
	}
	assert_true(n > 0 && n <= E3_MAX_FORMATS);
	assert_string_equal(e3_formats[n - 1].name, "run-json"); /* it reports what the others wrote */
	assert_null(e3_format_find("obj"));
}

static void outputs_appear_at_the_end_and_not_before(void **state)
{
	e3_export_options o = options();
	add_output(&o, "glb", in_folder("x.glb"));
	add_output(&o, "tum", in_folder("x.tum"));
	add_output(&o, "depth", in_folder("d"));
	e3_export *x = begin(&o, 3);
	assert_int_not_equal(access(in_folder("x.glb"), F_OK), 0);
	assert_int_not_equal(access(in_folder("x.tum"), F_OK), 0);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	assert_int_equal(access(in_folder("x.glb"), F_OK) | access(in_folder("x.tum"), F_OK) |
			access(in_folder("d/000002.png"), F_OK),
		0);
	assert_int_equal(entries(), 3);
}

static void a_run_that_is_not_finished_leaves_nothing(void **state)
{
	e3_export_options o = options();
	add_output(&o, "glb", in_folder("x.glb"));
	add_output(&o, "ply", in_folder("p"))->per_frame = true;
	add_output(&o, "npz", in_folder("x.npz"));
	add_output(&o, "depth", in_folder("d"));
	add_output(&o, "depth-color", in_folder("c"));
	add_output(&o, "kitti", in_folder("k"));
	e3_export_close(begin(&o, 2));
	assert_int_equal(entries(), 0);
}

static void one_output_that_fails_holds_back_no_other(void **state)
{
	e3_export_options o = options();
	e3_err err;
	add_output(&o, "glb", in_folder("x.glb"));
	add_output(&o, "depth", in_folder("d"));
	add_output(&o, "ply", "/dev/full");
	e3_export *x = begin(&o, 2);
	assert_int_equal(e3_export_finish(x, NULL, &err), -1);
	assert_string_equal(err.text, "exporting: 1 of 3 outputs failed: writing: /dev/full: No space left on device");
	e3_export_close(x);
	assert_int_equal(access(in_folder("x.glb"), F_OK) | access(in_folder("d/000001.png"), F_OK), 0);
	assert_int_equal(entries(), 2);
}

static int patience;

static int stop(void) { return patience-- <= 0; }

static void a_run_that_is_stopped_while_it_writes_leaves_nothing(void **state)
{
	int whole = 0;
	for (int k = 0; k < 64; k++) {
		e3_export_options o = options();
		e3_err err;
		o.stop = stop, patience = k;
		add_output(&o, "glb", in_folder("x.glb"));
		add_output(&o, "ply", in_folder("x.ply"));
		add_output(&o, "npz", in_folder("x.npz"));
		e3_export *x = begin(&o, 2);
		int rc = e3_export_finish(x, NULL, &err);
		whole += rc == 0;
		if (rc)
			assert_string_equal(err.text, "exporting: interrupted");
		e3_export_close(x);
		assert_int_equal(entries(), whole ? 3 : 0);
	}
	assert_in_range(whole, 1, 60); /* asked at least four times */
}

/* Also what another run left that was killed, but not what one writes that still runs. */
static void a_hidden_folder_is_removed_unless_it_is_in_use(void **state)
{
	e3_export_options o = options();
	add_output(&o, "depth", folder);
	mkdir(in_folder(".tmp.4194305"), 0777), mkdir(in_folder(".tmp.x"), 0777);
	FILE *f = fopen(in_folder(".tmp.4194305/000000.png"), "w");
	assert_non_null(f);
	fclose(f);
	mkdir(in_folder(".tmp.7"), 0777);
	int fd = open(in_folder(".tmp.7"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	e3_export *x = begin(&o, 2);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	assert_int_equal(access(in_folder(".tmp.7"), F_OK) | access(in_folder(".tmp.x"), F_OK), 0);
	assert_int_not_equal(access(in_folder(".tmp.4194305"), F_OK), 0);
	close(fd);
	rmdir(in_folder(".tmp.7")), rmdir(in_folder(".tmp.x"));
	assert_int_equal(entries(), 2);
}

/* Of a stream that failed: files under another name, files of a folder in it, and nothing without a frame. */
static void what_came_before_a_failure_is_kept(void **state)
{
	for (int frames = 0; frames < 3; frames++) {
		e3_export_options o = options();
		add_output(&o, "glb", in_folder("x.glb"));
		add_output(&o, "depth", in_folder("d"));
		e3_export *x = begin(&o, frames);
		assert_int_equal(e3_export_keep(x, NULL), 0);
		e3_export_close(x);
		assert_int_equal(entries(), frames ? 2 : 0);
		assert_int_equal(access(in_folder("x.glb.partial"), F_OK) == 0, frames > 0);
		assert_int_equal(access(in_folder("d/000000.png"), F_OK) == 0, frames > 0);
	}
}

static void a_folder_that_was_there_keeps_what_was_in_it(void **state)
{
	e3_export_options o = options();
	add_output(&o, "depth", folder);
	FILE *f = fopen(in_folder("mine"), "w");
	assert_non_null(f);
	fclose(f);
	e3_export_close(begin(&o, 2));
	assert_int_equal(entries(), 1);
	e3_export *x = begin(&o, 2);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	assert_int_equal(entries(), 3);
}

static void frames_of_another_size_do_not_fit_an_npz(void **state)
{
	e3_export_options o = options();
	e3_err err;
	add_output(&o, "npz", in_folder("x.npz"));
	e3_export *x = begin(&o, 1);
	e3_pred p = frame(1);
	p.h--;
	assert_int_equal(e3_export_add(x, &p, &err), -1);
	assert_non_null(strstr(err.text, "frame 1 is 6 × 3"));
	e3_export_close(x);
}

static void run_json_says_whether_the_stream_ended(void **state)
{
	for (int ended = 0; ended < 2; ended++) {
		e3_export_options o = options();
		const e3_end end = {.frames = 1};
		char text[4096] = "";
		add_output(&o, "run-json", in_folder("run.json"));
		e3_export *x = begin(&o, 1);
		assert_int_equal(e3_export_finish(x, ended ? &end : NULL, NULL), 0);
		e3_export_close(x);
		FILE *f = fopen(in_folder("run.json"), "r");
		assert_non_null(f);
		assert_true(fread(text, 1, sizeof text - 1, f) > 0);
		fclose(f);
		assert_non_null(strstr(text, ended ? "\"complete\":true" : "\"complete\":false"));
		assert_int_equal(strstr(text, "\"inference\"") != NULL, ended);
	}
}

static void no_frames_are_an_error(void **state)
{
	e3_export_options o = options();
	e3_err err;
	add_output(&o, "glb", in_folder("x.glb"));
	e3_export *x = begin(&o, 0);
	assert_int_equal(e3_export_finish(x, NULL, &err), -1);
	assert_non_null(strstr(err.text, "no predictions"));
	e3_export_close(x);
	assert_int_equal(entries(), 0);
}

static void frames_come_back_as_often_as_wanted(void **state)
{
	e3_frame_spool *f = e3_frame_spool_open(NULL);
	const e3_pred *p;
	assert_non_null(f);
	for (int64_t i = 0; i < 3; i++) {
		e3_pred x = frame(i);
		if (i == 1)
			x.points = NULL;
		assert_int_equal(e3_frame_spool_add(f, &x, NULL, E3_PART_POINTS | E3_PART_RGB | E3_PART_CONF, NULL), 0);
	}
	for (int pass = 0; pass < 3; pass++) {
		e3_frame_spool_rewind(f);
		for (int64_t i = 0; i < 3; i++) {
			e3_pred want = frame(i);
			assert_int_equal(e3_frame_spool_next(f, pass == 1 ? E3_PART_CONF : E3_PART_POINTS | E3_PART_CONF, &p, NULL),
				1);
			assert_int_equal(p->s.i, i);
			assert_null(p->rgb);
			assert_null(p->depth);
			assert_memory_equal(p->points_conf, want.points_conf, sizeof(float) * N);
			assert_int_equal(p->points != NULL, i != 1 && pass != 1);
			if (p->points)
				assert_memory_equal(p->points, want.points, 3 * sizeof(float) * N);
		}
		assert_int_equal(e3_frame_spool_next(f, 0, &p, NULL), 0);
	}
	for (uint64_t i = 0; i < 4; i++) { /* in any order; after the last there is none */
		uint64_t at = (uint64_t[]){2, 0, 1, 3}[i];
		assert_int_equal(e3_frame_spool_seek(f, at, NULL), 0);
		assert_int_equal(e3_frame_spool_next(f, E3_PART_POINTS, &p, NULL), at < 3);
		assert_int_equal(p->s.i, at < 3 ? at : 1);
	}
	e3_frame_spool_close(f);
}

/* It is refused by its size, before anything of it is read. */
static void a_frame_too_large_for_a_message_does_not_fit_an_mcap(void **state)
{
	e3_export_options o = options();
	e3_err err;
	add_output(&o, "mcap", in_folder("x.mcap"));
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	p.w = 65535, p.h = 1700;
	assert_int_equal(e3_export_add(x, &p, &err), -1);
	assert_non_null(strstr(err.text, "x.mcap: frame 0 is 65535 × 1700: its points would not fit into a message"));
	e3_export_close(x);
	assert_int_equal(entries(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_formats_is_complete),
		IN_FOLDER(outputs_appear_at_the_end_and_not_before),
		IN_FOLDER(a_run_that_is_not_finished_leaves_nothing),
		IN_FOLDER(one_output_that_fails_holds_back_no_other),
		IN_FOLDER(a_run_that_is_stopped_while_it_writes_leaves_nothing),
		IN_FOLDER(a_hidden_folder_is_removed_unless_it_is_in_use),
		IN_FOLDER(what_came_before_a_failure_is_kept),
		IN_FOLDER(a_folder_that_was_there_keeps_what_was_in_it),
		IN_FOLDER(frames_of_another_size_do_not_fit_an_npz),
		IN_FOLDER(a_frame_too_large_for_a_message_does_not_fit_an_mcap),
		IN_FOLDER(run_json_says_whether_the_stream_ended),
		IN_FOLDER(no_frames_are_an_error),
		IN_FOLDER(frames_come_back_as_often_as_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
