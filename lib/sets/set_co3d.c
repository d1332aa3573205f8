/* sets: CO3Dv2: ten frames of every sequence, drawn with NumPy's legacy generator in the order of the reference:
 * categories as listed, sequences sorted, one generator for all (doc/evaluation.md 2.9, 6). Keeps the frames that were
 * drawn, not the annotations. Refuses annotations that are not gzip or not JSON, or that lack a field, naming category,
 * sequence and frame. */
#include "e3/mem.h"
#include "json_gz.h"
#include "write.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const categories[] = {"apple", "backpack", "banana", "baseballbat", "baseballglove", "bench",
	"bicycle", "bottle", "bowl", "broccoli", "cake", "car", "carrot", "cellphone", "chair", "cup", "donut", "hairdryer",
	"handbag", "hydrant", "keyboard", "laptop", "microwave", "motorcycle", "mouse", "orange", "parkingmeter", "pizza",
	"plant", "stopsign", "teddybear", "toaster", "toilet", "toybus", "toyplane", "toytrain", "toytruck", "tv",
	"umbrella", "vase", "wineglass", NULL};

enum { FAST = 10 };
static const double far_away = 1e5; /* a sequence with such a camera is left out */

typedef struct drawn {
	char *path; /* below the root */
	int64_t index;
	double pose[12];
} drawn;

typedef struct choice {
	char *name; /* CATEGORY/SEQUENCE */
	drawn *frame;
	size_t n;
	int64_t of;
} choice;

typedef struct co3d {
	choice *seq;
	size_t n;
	e3_mt numpy, python;
} co3d;

/* --- one frame --- */

/* PyTorch3D: row vectors, x left, y up. *pose: world from camera, OpenCV axes. */
static int pose_of(json_t *frame, double pose[12], double *sum, e3_err *err)
{
	json_t *r = json_object_get(frame, "R"), *t = json_object_get(frame, "T");
	static const double sign[3] = {-1, -1, 1};
	double w2c[12];
	*sum = 0;
	for (size_t row = 0; row < 3; row++) {
		json_t *x = json_array_get(t, row);
		for (size_t col = 0; col < 3; col++) {
			json_t *v = json_array_get(json_array_get(r, col), row);
			if (!json_is_number(v))
				return e3_fail(err, "R is not 3 × 3 numbers: the pose is missing");
			w2c[4 * row + col] = sign[row] * json_number_value(v);
		}
		if (!json_is_number(x))
			return e3_fail(err, "T is not 3 numbers: the pose is missing");
		w2c[4 * row + 3] = sign[row] * json_number_value(x);
		*sum += json_number_value(x);
	}
	if (sets_check_rotation(w2c, err))
		return -1;
	e3_rigid_invert(w2c, pose);
	return 0;
}

static int drawn_of(json_t *frame, int64_t index, drawn *to, e3_err *err)
{
	const char *path = json_string_value(json_object_get(frame, "filepath"));
	double ignored;
	if (!path || !*path)
		return e3_fail(err, "filepath is missing");
	if (strstr(path, "..") || path[0] == '/')
		return e3_fail(err, "filepath '%.100s' leaves the data set", path);
	to->path = strdup(path), to->index = index;
	return to->path ? pose_of(frame, to->pose, &ignored, err) : e3_fail(err, "out of memory");
}

/* --- one sequence --- */

static void choice_release(choice *c)
{
	for (size_t k = 0; k < c->n; k++)
		free(c->frame[k].path);
	free(c->frame), free(c->name);
	*c = (choice){0};
}

/* Whether the reference uses the sequence: 1 or 0; -1 when it is damaged. */
static int usable(const e3_set *s, json_t *frames, e3_err *err)
{
	size_t n = json_array_size(frames);
	if (!json_is_array(frames))
		return e3_fail(err, "not a list of frames");
	if ((int64_t)n < s->o.min_frames)
		return 0;
	for (size_t k = 0; k < n; k++) {
		double pose[12], sum;
		if (pose_of(json_array_get(frames, k), pose, &sum, err))
			return e3_fail_in(err, "frame %zu", k);
		if (sum > far_away)
			return 0;
	}
	return 1;
}

static int draw(const e3_set *s, co3d *all, json_t *frames, choice *to, e3_err *err)
{
	uint32_t n = (uint32_t)json_array_size(frames), k = (uint32_t)s->o.draw,
			 *pick = e3_alloc(k, sizeof *pick, "a draw", err);
	to->frame = pick ? e3_alloc(k, sizeof *to->frame, "a draw", err) : NULL;
	int rc = to->frame ? e3_mt_choice(&all->numpy, n, k, pick, err) : -1;
	to->of = n;
	for (; !rc && to->n < k; to->n++)
		if (drawn_of(json_array_get(frames, pick[to->n]), pick[to->n], &to->frame[to->n], err)) {
			rc = e3_fail_in(err, "frame %u", pick[to->n]);
			free(to->frame[to->n].path);
			break;
		}
	free(pick);
	return rc;
}

static int add_sequence(e3_set *s, co3d *all, const char *category, const char *name, json_t *frames, e3_err *err)
{
	int use = usable(s, frames, err);
	if (use <= 0)
		return use;
	if ((all->n & (all->n - 1)) == 0 &&
		e3_grow((void **)&all->seq, all->n ? 2 * all->n : 1, sizeof *all->seq, "sequences", err))
		return -1;
	choice *c = &all->seq[all->n];
	*c = (choice){.name = sets_path(err, "%s/%s", category, name)};
	if (!c->name || draw(s, all, frames, c, err)) {
		choice_release(c);
		return -1;
	}
	all->n++;
	return sets_entry_add(s, c->name, true, true, err);
}

/* --- one category --- */

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The names in order; with fast_eval ten of them. */
static const char **names_of(const e3_set *s, co3d *all, json_t *json, size_t *n, e3_err *err)
{
	const char **names = e3_alloc(json_object_size(json), sizeof *names, "names", err), *key, *ten[FAST];
	json_t *value;
	*n = 0;
	if (!names)
		return NULL;
	json_object_foreach(json, key, value) names[(*n)++] = key;
	qsort(names, *n, sizeof *names, by_bytes);
	if (!s->o.ten || *n < FAST)
		return names;
	uint32_t pick[FAST];
	if (e3_mt_sample(&all->python, (uint32_t)*n, FAST, pick, err)) {
		free(names);
		return NULL;
	}
	for (int k = 0; k < FAST; k++)
		ten[k] = names[pick[k]];
	memcpy(names, ten, sizeof ten);
	*n = FAST;
	qsort(names, *n, sizeof *names, by_bytes);
	return names;
}

static int list_category(e3_set *s, co3d *all, const char *category, const char *path, e3_err *err)
{
	json_t *json = sets_json_load(path, err);
	size_t n = 0;
	const char **names = json ? names_of(s, all, json, &n, err) : NULL;
	int rc = names ? 0 : -1;
	for (size_t k = 0; !rc && k < n; k++)
		if (add_sequence(s, all, category, names[k], json_object_get(json, names[k]), err))
			rc = e3_fail_in(err, "reading: %s: %s", path, names[k]);
	free(names);
	json_decref(json);
	return rc;
}

/* Looks for annotations, or for the categories' folders when the annotations are elsewhere. */
static bool is_home(const e3_set *s)
{
	bool yes = false;
	for (size_t k = 0; !yes && categories[k]; k++) {
		char *path = sets_path(NULL, "%s%s%s", s->base, categories[k], s->o.annotations ? "" : "_test.jgz");
		yes = path && (s->o.annotations ? sets_is_folder(path) : sets_is_file(path));
		free(path);
	}
	return yes;
}

static int list(e3_set *s, e3_err *err)
{
	const char *folder = s->o.annotations ? s->o.annotations : s->base;
	co3d *all = s->own = e3_alloc(1, sizeof *all, "CO3D's sequences", err);
	size_t found = 0;
	int rc = all ? 0 : -1;
	if (!rc && s->o.draw > s->o.min_frames)
		rc = e3_fail(err, "opening: co3d: %" PRId64 " frames cannot be drawn of sequences of %" PRId64, s->o.draw,
			s->o.min_frames);
	if (!rc)
		e3_mt_seed_numpy(&all->numpy, (uint32_t)s->o.seed), e3_mt_seed_python(&all->python, (uint32_t)s->o.seed);
	for (size_t k = 0; !rc && categories[k]; k++) {
		char *path = sets_path(err, "%s/%s_test.jgz", folder, categories[k]);
		if (path && sets_is_file(path))
			found++, rc = list_category(s, all, categories[k], path, err);
		else
			rc = path ? sets_entry_add(s, categories[k], true, false, err) : -1;
		free(path);
	}
	if (!rc && !found)
		rc = e3_fail(err, "opening: co3d: %s: expected annotations: %s_test.jgz and so on", folder, categories[0]);
	return rc;
}

static void release(e3_set *s)
{
	co3d *all = s->own;
	for (size_t k = 0; all && k < all->n; k++)
		choice_release(&all->seq[k]);
	if (all)
		free(all->seq);
	free(all);
	s->own = NULL;
}

static int open_sequence(const e3_set *s, const char *name, e3_seq *q, e3_err *err)
{
	const co3d *all = s->own;
	for (size_t k = 0; k < all->n; k++) {
		const choice *c = &all->seq[k];
		if (strcmp(c->name, name))
			continue;
		q->counts = (e3_seq_counts){.images = c->of, .poses = c->of};
		for (size_t j = 0; j < c->n; j++) {
			sets_frame *f = sets_add(q, sets_path(err, "%s%s", s->base, c->frame[j].path), c->frame[j].index, err);
			if (!f || sets_need(f->image, "named in the annotations", err))
				return -1;
			memcpy(f->pose, c->frame[j].pose, sizeof f->pose);
			f->has_pose = true;
		}
		return 0;
	}
	return e3_fail(err, "reading: no annotations of %s", name);
}

/* --- writing --- */

static json_t *row_of(const double *v, int n)
{
	json_t *row = json_array();
	for (int k = 0; k < n; k++)
		json_array_append_new(row, json_real(v[k]));
	return row;
}

/* PyTorch3D: row vectors, x left, y up; lengths in half the shorter side of the picture. */
static json_t *annotation(const char *path, const e3_set_shot *s)
{
	static const double sign[3] = {-1, -1, 1};
	double w2c[12], half = (s->rgb->w < s->rgb->h ? s->rgb->w : s->rgb->h) / 2.0, t[3];
	e3_rigid_invert(s->pose, w2c);
	json_t *r = json_array(), *one = json_object();
	for (int col = 0; col < 3; col++) {
		double turned[3];
		for (int row = 0; row < 3; row++)
			turned[row] = sign[row] * w2c[4 * row + col];
		json_array_append_new(r, row_of(turned, 3));
		t[col] = sign[col] * w2c[4 * col + 3];
	}
	const double focal[2] = {s->k.fx / half, s->k.fy / half};
	const double centre[2] = {(s->rgb->w / 2.0 - s->k.cx) / half, (s->rgb->h / 2.0 - s->k.cy) / half};
	json_object_set_new(one, "filepath", json_string(path));
	json_object_set_new(one, "R", r);
	json_object_set_new(one, "T", row_of(t, 3));
	json_object_set_new(one, "focal_length", row_of(focal, 2));
	json_object_set_new(one, "principal_point", row_of(centre, 2));
	return one;
}

static void writer_release(e3_set_writer *w)
{
	json_decref(w->own);
	w->own = NULL;
}

static int put(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	if (!w->own)
		w->own = json_array();
	char *path = sets_to_write(w, err, "%s/images/frame%06lld.jpg", w->name, (long long)w->n + 1);
	int rc = path ? e3_jpeg_save(path, s->rgb, 95, err) : -1;
	if (!rc && json_array_append_new(w->own, annotation(path + strlen(w->root) + 1, s)))
		rc = e3_fail(err, "writing: %s: out of memory", path);
	free(path);
	return rc;
}

static int finish(e3_set_writer *w, e3_err *err)
{
	const char *slash = strchr(w->name, '/');
	char *path = sets_to_write(w, err, "%.*s_test.jgz", (int)(slash - w->name), w->name);
	json_t *all = !path ? NULL : sets_is_file(path) ? sets_json_load(path, err) : json_object();
	int rc = all ? 0 : -1;
	if (!rc && json_object_set(all, slash + 1, w->own))
		rc = e3_fail(err, "writing: %s: out of memory", path);
	if (!rc)
		rc = sets_json_save(path, all, err);
	json_decref(all);
	free(path);
	return rc;
}

const sets_row sets_co3d = {
	.info =
		{
			.tasks = SETS_MAY(PAIRS),
			.usual = E3_TASK_PAIRS,
			.stride = 1,
			.draws = true,
			.format = {640, 480, 0, false, "apple/110_13051_23361"},
		},
	.homes = {"", "co3d/", "co3dv2/"},
	.expected = "CATEGORY_test.jgz (or, with annotations elsewhere, CATEGORY/)",
	.map = SETS_NO_DEPTH,
	.unit = "CO3D unit",
	.list = list,
	.open = open_sequence,
	.is_home = is_home,
	.release = release,
	.writer_release = writer_release,
	.form = "CATEGORY/NAME",
	.mark = "%s",
	.put = put,
	.finish = finish,
};
