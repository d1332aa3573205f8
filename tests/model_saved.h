/* What the tests of saved sessions share: ways to run, saving and resuming, and what has to be equal. */
#ifndef MODEL_SAVED_H
#define MODEL_SAVED_H

#include "check.h"
#include "e3/saved.h"
#include "model/session.h"
#include "model_stream.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { STEPS = 9 };

static e3_dev *dev;
static char folder[64] = "/tmp/e3-saved-XXXXXX";

static inline int set_up(void **state)
{
	dev = e3_dev_cpu(2, NULL);
	return dev && mkdtemp(folder) ? 0 : -1;
}

static inline int tear_down(void **state)
{
	e3_dev_close(dev);
	return rmdir(folder); /* every test removes its files, and saving leaves no others */
}

static inline const char *path_of(const char *name)
{
	static char path[4][128];
	static int k;
	k = (k + 1) % 4;
	snprintf(path[k], sizeof path[k], "%s/%s", folder, name);
	return path[k];
}

static const e3_stream_position position = {.first_i = 3,
	.last_i = 40,
	.last_pts = 1.25,
	.shift_i = -4,
	.shift_pts = 0.1,
	.first_crc = 7,
	.last_crc = 0xfffffff0u,
	.truths = 2,
	.fit = 1,
	.source = "a \"clip\".mp4"};

static inline int write_text(void *ctx, e3_saved_out *to, e3_err *err)
{
	const char *text = ctx;
	for (; *text; text++)
		if (e3_saved_put(to, text, 1, err))
			return -1;
	return 0;
}

static inline void save_with(stream *t, const char *extra, const char *path)
{
	e3_err err = {""};
	e3_saved_extra with = {write_text, (void *)(uintptr_t)extra};
	if (e3_session_save(t->s, &position, extra ? &with : NULL, path, &err))
		fail_msg("%s", err.text);
}

static inline void save(stream *t, const char *path) { save_with(t, NULL, path); }

static inline e3_session *resume_with(const stream *t, const char *path, const e3_infer_options *o, e3_err *err)
{
	e3_saved_file *file = e3_saved_open(path, err);
	e3_infer_options as_saved = {0};
	if (!file)
		return NULL;
	as_saved = e3_saved_head(file)->o;
	as_saved.outputs = E3_OUT_ALL;
	e3_session *s = e3_session_resume(t->net, dev, o ? o : &as_saved, file, err);
	e3_saved_close(file);
	return s;
}

/* Closes the session of a stream and goes on from a file. */
static inline void resume(stream *t, const char *path, const e3_infer_options *o)
{
	e3_err err = {""};
	e3_session_close(t->s);
	t->s = resume_with(t, path, o, &err);
	if (!t->s)
		fail_msg("%s", err.text);
}

static inline uint8_t *contents(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	struct stat st;
	assert_int_equal(fstat(fileno(f), &st), 0);
	uint8_t *bytes = malloc((size_t)st.st_size);
	*n = (size_t)st.st_size;
	assert_int_equal(fread(bytes, 1, *n, f), *n);
	fclose(f);
	return bytes;
}

static inline void same_files(const char *a, const char *b)
{
	size_t n, m;
	uint8_t *x = contents(a, &n), *y = contents(b, &m);
	assert_int_equal(n, m);
	assert_memory_equal(x, y, n);
	free(x), free(y);
}

static inline void same_records(const e3_evict *a, const e3_evict *b)
{
	assert_true(a->i == b->i && a->n_layers == b->n_layers);
	for (int l = 0; l < a->n_layers; l++) {
		const e3_evict_layer *x = &a->layer[l], *y = &b->layer[l];
		assert_true(
			x->k_before == y->k_before && x->k_after == y->k_after && x->budget == y->budget && x->alpha == y->alpha);
		assert_true(x->variance == y->variance && x->saturated == y->saturated && x->prot == y->prot);
		assert_memory_equal(x->score_q, y->score_q, sizeof x->score_q);
		assert_memory_equal(&x->max_evicted, &y->max_evicted, sizeof x->max_evicted);
		assert_memory_equal(&x->min_kept, &y->min_kept, sizeof x->min_kept);
		assert_int_equal(x->n_removed, y->n_removed);
		if (x->n_removed)
			assert_memory_equal(x->removed, y->removed, x->n_removed * sizeof *x->removed);
	}
}

static inline void same_use(e3_session *a, e3_session *b)
{
	e3_cache_use x = e3_session_cache(a), y = e3_session_cache(b);
	assert_true(x.now == y.now && x.peak == y.peak && x.full == y.full);
	assert_int_equal(e3_session_frames(a), e3_session_frames(b));
}

static const struct how {
	const char *name;
	const char *policy;
	e3_budget_kind kind;
	double budget, temperature;
	int compat, camera_frames;
	bool free_first;
	uint32_t seed;
	int window, keyframe; /* 0: as by default */
} hows[] = {
	{"evict3r, frames", "evict3r", E3_BUDGET_FRAMES, 2.5, 0.5, 0, 1024, false, 0, 0, 0},
	{"evict3r, uneven shares", "evict3r", E3_BUDGET_FRAMES, 3, 0.005, 0, 1024, false, 0, 0, 0},
	{"evict3r, fraction", "evict3r", E3_BUDGET_FRACTION, 0.4, 0.02, 0, 1024, false, 0, 0, 0},
	{"evict3r, bytes", "evict3r", E3_BUDGET_BYTES, 1.5e6, 0.5, 0, 1024, false, 0, 0, 0},
	{"as released", "evict3r", E3_BUDGET_FRACTION, 0.3, 0.02, E3_COMPAT_ALL, 1024, false, 0, 0, 0},
	{"as released, camera memory wrapped", "evict3r", E3_BUDGET_FRACTION, 0.3, 0.02, E3_COMPAT_ALL, 3, false, 0, 0, 0},
	{"window", "window", E3_BUDGET_TOKENS, 500, 0.5, 0, 1024, false, 0, 0, 0},
	{"random", "random", E3_BUDGET_TOKENS, 433, 0.5, 0, 1024, false, 0, 0, 0},
	{"spread, frames", "spread", E3_BUDGET_FRAMES, 2.5, 0.5, 0, 1024, false, 0, 0, 0},
	{"spread, fraction", "spread", E3_BUDGET_FRACTION, 0.4, 0.02, 0, 1024, false, 0, 0, 0},
	{"everything", "none", E3_BUDGET_FRACTION, 0.5, 0.5, 0, 1024, false, 0, 0, 0},
	{"everything, camera memory wrapped", "none", E3_BUDGET_FRACTION, 0.5, 0.5, 0, 4, false, 0, 0, 0},
	{"random, frame 0 not protected, another draw", "random", E3_BUDGET_TOKENS, 433, 0.5, 0, 1024, true, 77, 0, 0},
	{"evict3r, frame 0 not protected", "evict3r", E3_BUDGET_FRAMES, 2.5, 0.5, 0, 1024, true, 0, 0, 0},
	{"k4", "k4", E3_BUDGET_FRAMES, 4, 0.5, 0, 1024, false, 0, 0, 0},
	{"k4, one camera memory, frame 0 not protected", "k4", E3_BUDGET_FRAMES, 4, 0.5, E3_COMPAT_CAMERA, 1024, true, 0, 0,
		0},
	{"k6", "k6", E3_BUDGET_FRAMES, 6, 0.5, 0, 1024, false, 0, 0, 0},
	{"ovggt", "ovggt", E3_BUDGET_TOKENS, 433, 0.5, 0, 1024, false, 0, 0, 0},
	{"ovggt, as released", "ovggt", E3_BUDGET_TOKENS, 433, 0.5, E3_COMPAT_OVGGT, 1024, true, 0, 0, 0},
	{"xstream", "xstream", E3_BUDGET_TOKENS, 433, 0.5, 0, 1024, false, 0, 0, 0},
	{"frames", "frames", E3_BUDGET_FRAMES, 3, 0.5, 0, 1024, false, 0, 0, 0},
	{"frames, of the stream", "frames", E3_BUDGET_FRACTION, 0.5, 0.5, 0, 1024, true, 0, 0, 0},
	{"k8", "k8", E3_BUDGET_FRAMES, 8, 0.5, 0, 1024, false, 0, 0, 0},
	{"lingbot", "lingbot", E3_BUDGET_FRAMES, 2, 0.5, 0, 1024, false, 0, 2, 0},
	{"lingbot, every second frame kept", "lingbot", E3_BUDGET_FRAMES, 3, 0.5, 0, 7, false, 0, 3, 2},
	{"evict3r, every third frame kept", "evict3r", E3_BUDGET_FRAMES, 1.5, 0.5, 0, 1024, false, 0, 0, 3},
	{"everything, every second frame kept, camera memory wrapped", "none", E3_BUDGET_FRACTION, 0.5, 0.5, 0, 3, false, 0,
		0, 2},
};

static inline e3_infer_options options_of(const struct how *h)
{
	e3_infer_options o = e3_infer_defaults();
	o.policy = e3_policy_find(h->policy), o.budget_kind = h->kind, o.budget = h->budget, o.temperature = h->temperature,
	o.compat = h->compat, o.free_first = h->free_first, o.seed = h->seed;
	o.window = h->window ? h->window : o.window, o.keyframe = h->keyframe ? h->keyframe : 1;
	o.camera_frames = h->camera_frames, o.frames = h->kind == E3_BUDGET_FRACTION && !o.policy->keeps_all ? STEPS : -1;
	return o;
}

/* What a side of the stream, if there is one, makes of the newest frame. */
static inline void step_beside(stream *t, e3_result *side, e3_evict *evict)
{
	e3_err err = {""};
	if (e3_session_side(t->s, NULL, side, evict, &err))
		fail_msg("%s", err.text);
	if (e3_session_side_frames(t->s) == 2)
		e3_session_take_over(t->s);
}

/* Opens and resumes from memory. */
static inline bool loads(const stream *t, const uint8_t *bytes, size_t n, e3_err *err)
{
	e3_infer_options o;
	e3_saved_file *file = e3_saved_memory(bytes, n, err);
	if (!file)
		return false;
	o = e3_saved_head(file)->o;
	e3_session *s = e3_session_resume(t->net, dev, &o, file, err);
	e3_saved_close(file);
	e3_session_close(s);
	return s;
}

/* Bytes that were changed on purpose, checksums and all. */
static inline void change(uint8_t *bytes, const char *from, const char *to)
{
	uint32_t head = e3_le32(bytes + 12);
	assert_int_equal(strlen(from), strlen(to));
	char *at = memmem(bytes + 16, head, from, strlen(from));
	assert_non_null(at);
	memcpy(at, to, strlen(to));
	e3_put_le32(bytes + 16 + head, (uint32_t)crc32(0, bytes, 16 + head));
}

#endif
