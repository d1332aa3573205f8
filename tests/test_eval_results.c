/* eval: the result files of the reference, byte for byte, from reports with the figures of the vectors. */
#include "eval/tasks.h"
#include "vectors.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/e3-results-XXXXXX";

static int open_folder(void **state) { return !mkdtemp(folder) || vectors_load(state) ? -1 : 0; }

static int close_folder(void **state)
{
	vectors_unload(state);
	return rmdir(folder); /* every test removes its files, and there are no others */
}

/* The content of the file, which is removed. */
static const char *taken(const char *name)
{
	static char text[4096];
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	fclose(f);
	remove(path);
	return text;
}

static const char *text_of(const char *name, const char *part)
{
	return json_string_value(json_object_get(vector(name), part));
}

static void depth_files_equal_the_vectors(void **state)
{
	const char *want = text_of("depth/json_line", "expected");
	e3_eval_options o = {.tasks = 1u << E3_EVAL_DEPTH};
	e3_eval_seq s = {.depth = {.score = {0.25, 1.5, 2, 0.3, {0, 0.6, 0.8, 0.9}, 0, 1}}};
	e3_eval_report r = {.o = &o, .seq = &s, .n = 1};
	assert_int_equal(e3_eval_results(&r, folder, NULL), 0);
	assert_string_equal(taken("metric.json"), want);
}

static void pose_logs_equal_the_vectors(void **state)
{
	const char *want = text_of("pose/error_log_lines", "expected");
	json_t *in = json_object_get(vector("pose/error_log_lines"), "inputs");
	e3_eval_options o = {.tasks = 1u << E3_EVAL_POSE, .dataset = json_string_value(json_object_get(in, "dataset"))};
	char name[32];
	snprintf(name, sizeof name, "%s", json_string_value(json_object_get(in, "seq")));
	e3_eval_seq s = {.name = name,
		.path = {.scored = true,
			.score = {.ate.rmse = number(in, "ate"),
				.rpe_t.rmse = number(in, "rpe_t"),
				.rpe_r.rmse = number(in, "rpe_r")}}};
	e3_eval_report r = {.o = &o, .seq = &s, .n = 1};
	assert_int_equal(e3_eval_results(&r, folder, NULL), 0);
	const char *got = taken("_error_log.txt");
	assert_memory_equal(got, want, strlen(want));
	assert_string_equal(got + strlen(want),
		"Average ATE: 0.01235, Average RPE trans: 0.00456, Average RPE rot: 0.10000\n");
	taken("alley_2_eval_metric.txt"); /* compared in e3-eval.bats */
}

/* The lines of two scenes, as the vector has them, and their summary. */
static void recon_logs_equal_the_vectors(void **state)
{
	json_t *lines = json_object_get(vector("mv/log_summary_line"), "inputs");
	const char *want = text_of("mv/log_summary_line", "expected");
	e3_eval_options o = {.tasks = 1u << E3_EVAL_RECON, .dataset = "7scenes"};
	e3_eval_seq s[2] = {{.name = NULL}}, mean = {.name = NULL};
	char name[2][32], source[96], all[1024] = "";
	for (size_t k = 0; k < 2; k++) {
		e3_recon_score *v = &s[k].recon.score;
		const char *line = json_string_value(json_array_get(lines, k));
		assert_int_equal(
			sscanf(line,
				"Idx: %31[^,], Acc: %lf, Comp: %lf, NC1: %lf, NC2: %lf - Acc_med: %lf, Compc_med: %lf, NC1c_med: %lf, "
				"NC2c_med: %lf",
				name[k], &v->acc, &v->comp, &v->nc1, &v->nc2, &v->acc_med, &v->comp_med, &v->nc1_med, &v->nc2_med),
			9);
		v->nc = (v->nc1 + v->nc2) / 2, v->nc_med = (v->nc1_med + v->nc2_med) / 2, v->fit.size[1] = 1;
		s[k].name = name[k], s[k].recon.scored = true;
		if (k == 0) { /* from a file of another name */
			snprintf(source, sizeof source, "7scenes/%s", name[k]);
			s[k].head.source = source;
			strcpy(name[k], "a");
		}
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s\n", line);
	}
	eval_task_recon.average(&o, s, 2, &mean);
	e3_eval_report r = {.o = &o, .seq = s, .n = 2, .average = &mean};
	assert_int_equal(e3_eval_results(&r, folder, NULL), 0);
	assert_string_equal(taken("logs_0.txt"), all);
	snprintf(all + strlen(all), sizeof all - strlen(all), "%s", want);
	assert_string_equal(taken("logs_all.txt"), all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(depth_files_equal_the_vectors),
		cmocka_unit_test(pose_logs_equal_the_vectors), cmocka_unit_test(recon_logs_equal_the_vectors)};
	return cmocka_run_group_tests_name("eval: result files", tests, open_folder, close_folder);
}
