/* sets: 7-Scenes: the sequences of the test split, every stride-th frame; one camera for all; depth is registered to
 * colour here where that was not done before (doc/evaluation.md 2.5). */
#include "e3/mem.h"
#include "write.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const published[] = {"chess/seq-03", "chess/seq-05", "fire/seq-03", "fire/seq-04", "heads/seq-01",
	"office/seq-02", "office/seq-06", "office/seq-07", "office/seq-09", "pumpkin/seq-01", "pumpkin/seq-07",
	"redkitchen/seq-03", "redkitchen/seq-04", "redkitchen/seq-06", "redkitchen/seq-12", "redkitchen/seq-14",
	"stairs/seq-01", "stairs/seq-04", NULL};

static const e3_intrinsics camera = {525, 525, 320, 240, 640, 480};

/* "sequence3" to "seq-03": the digits of the line, at least two. false: no digits. */
static bool parse_split(const char *line, size_t n, char to[32])
{
	char digits[24];
	size_t k = 0;
	for (size_t j = 0; j < n; j++)
		if (isdigit((unsigned char)line[j]) && k + 1 < sizeof digits)
			digits[k++] = line[j];
	digits[k] = 0;
	snprintf(to, 32, "seq-%s%s", k == 1 ? "0" : "", digits);
	return k > 0;
}

/* Adds the sequences that a TestSplit.txt names. */
static int list_split(e3_set *s, const char *scene, e3_err *err)
{
	e3_map map;
	char *path = sets_path(err, "%s%s/TestSplit.txt", s->base, scene);
	int rc = path ? e3_map_open(&map, path, err) : -1;
	if (rc) {
		free(path);
		return -1;
	}
	const char *p = (const char *)map.data, *end = p + map.size;
	while (!rc && p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p);
		char name[32], *whole = NULL, *folder = NULL;
		if (parse_split(p, n, name)) {
			whole = sets_path(err, "%s/%s", scene, name);
			folder = whole ? sets_path(err, "%s%s", s->base, whole) : NULL;
			rc = folder ? sets_entry_add(s, whole, true, sets_is_folder(folder), err) : -1;
		}
		free(whole), free(folder);
		p += n + 1;
	}
	e3_map_close(&map);
	free(path);
	return rc;
}

static int list(e3_set *s, e3_err *err)
{
	sets_names scenes;
	int rc = 0;
	for (size_t k = 0; !rc && published[k]; k++)
		rc = sets_entry_add(s, published[k], true, false, err);
	if (rc || sets_folder(s->base, (sets_pattern){NULL, NULL, true}, &scenes, err))
		return -1;
	for (size_t k = 0; !rc && k < scenes.n; k++) {
		char *split = sets_path(err, "%s%s/TestSplit.txt", s->base, scenes.v[k]);
		rc = !split ? -1 : sets_is_file(split) ? list_split(s, scenes.v[k], err) : 0;
		free(split);
	}
	sets_names_release(&scenes);
	return rc;
}

static int add_frame(const e3_set *s, const char *home, int64_t number, e3_seq *q, e3_err *err)
{
	sets_frame *f = sets_add(q, sets_path(err, "%s/frame-%06lld.color.png", home, (long long)number), number, err);
	if (!f || sets_need(f->image, "expected a picture", err))
		return -1;
	char *pose = sets_path(err, "%s/frame-%06lld.pose.txt", home, (long long)number);
	char *ready = sets_path(err, "%s/frame-%06lld.depth.proj.png", home, (long long)number);
	char *raw = sets_path(err, "%s/frame-%06lld.depth.png", home, (long long)number);
	e3_traj t = {0};
	int rc = pose && ready && raw ? e3_traj_load(pose, E3_TRAJ_4X4, &t, err) : -1;
	if (!rc && t.n != 1)
		rc = e3_fail(err, "reading: %s: %zu poses: expected one", pose, t.n);
	if (!rc) {
		memcpy(f->pose, t.pose[0], sizeof f->pose);
		f->has_pose = true, f->k = camera;
		bool use_raw = s->o.reject_invalid || !sets_is_file(ready);
		const char *what = s->o.reject_invalid ? "expected the raw depth map"
											   : "expected the depth map, raw, or registered as .depth.proj.png";
		rc = use_raw ? sets_need(raw, what, err) : 0;
		f->depth = use_raw ? raw : ready;
		*(use_raw ? &raw : &ready) = NULL;
	}
	e3_traj_release(&t);
	free(pose), free(ready), free(raw);
	return rc;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	sets_names all = {0};
	char *home = sets_path(err, "%s%s", s->base, name);
	int rc = home ? sets_folder(home, (sets_pattern){NULL, NULL, false}, &all, err) : -1;
	int64_t registered = 0;
	for (size_t k = 0; k < all.n; k++) {
		q->counts.images += strstr(all.v[k], "color") != NULL;
		q->counts.depths += strstr(all.v[k], ".depth.png") != NULL;
		registered += strstr(all.v[k], ".depth.proj.png") != NULL;
		q->counts.poses += strstr(all.v[k], ".pose.txt") != NULL;
	}
	q->counts.depths = registered > q->counts.depths ? registered : q->counts.depths;
	if (!rc && q->counts.images == 0)
		rc = e3_fail(err, "reading: %s: no pictures: expected frame-000000.color.png here", home);
	int64_t most = s->o.max_frames ? s->o.max_frames : INT64_MAX;
	for (int64_t k = 0; !rc && k < q->counts.images && (int64_t)q->n < most; k += s->o.stride)
		rc = add_frame(s, home, k, q, err);
	q->strided = true;
	sets_names_release(&all);
	free(home);
	return rc;
}

/* --- writing --- */

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	e3_traj one = {.n = 1, .stamp = w->poses.stamp + w->n, .pose = w->poses.pose + w->n};
	if (sets_save_rgb(sets_to_write(w, err, "%s/frame-%06lld.color.png", w->name, k), s, err) ||
		sets_save_depth16(sets_to_write(w, err, "%s/frame-%06lld.depth.proj.png", w->name, k), E3_DEPTH16_SCENES7, s,
			err))
		return -1;
	return sets_save_poses(sets_to_write(w, err, "%s/frame-%06lld.pose.txt", w->name, k), E3_TRAJ_4X4, &one, err);
}

/* Adds this sequence to the scene's list of test sequences. */
static int finish(e3_set_writer *w, e3_err *err)
{
	const char *slash = strchr(w->name, '/');
	char *path = sets_to_write(w, err, "%.*s/TestSplit.txt", (int)(slash - w->name), w->name);
	e3_map map = {0};
	e3_buf text = {0};
	int rc = path ? 0 : -1;
	if (!rc && sets_is_file(path)) {
		rc = e3_map_open(&map, path, err);
		if (!rc)
			rc = e3_buf_add(&text, map.data, map.size, err);
		if (!rc && text.len && text.data[text.len - 1] != '\n')
			rc = e3_buf_add(&text, "\n", 1, err);
		e3_map_close(&map);
	}
	if (!rc)
		rc = e3_buf_printf(&text, err, "sequence%lld\n", (long long)sets_number(slash));
	if (rc) {
		free(path);
		e3_buf_release(&text);
		return -1;
	}
	return sets_save_text(path, &text, err);
}

const sets_row sets_scenes7 = {
	.info =
		{
			.tasks = SETS_MAY(RECON),
			.usual = E3_TASK_RECON,
			.stride = 200,
			.registers = true,
			.format = {640, 480, 525, true, "chess/seq-03"},
		},
	.homes = {"", "7scenes/", "7-scenes/"},
	.folder = {"", "", true},
	.inside = "TestSplit.txt",
	.expected = "SCENE/TestSplit.txt",
	.map = SETS_SCENES7,
	.kind = E3_DEPTH16_SCENES7,
	.unit = "m",
	.list = list,
	.open = open_sequence,
	.form = "SCENE/seq-NN",
	.mark = "%s",
	.put = put,
	.finish = finish,
};
