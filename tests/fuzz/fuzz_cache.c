/* Any bytes as a cache that e3-infer saved, for a small network: its header read, a session and its chain of segments
 * resumed and run for a frame, or a message. Checksums are set right first, or nothing behind them would ever be
 * reached. */
#include "../model_custom.h"
#include "e3/track.h"
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static e3_dev *dev;
static e3_net *net;

static void open_network(void)
{
	static sample file;
	e3_err err = {""};
	dev = e3_dev_cpu(1, &err);
	e3_ckpt *ckpt = custom_open(&custom_bare.c, custom_bare.seed, &file, &err);
	net = ckpt ? e3_net_open(ckpt, dev, &err) : NULL;
	if (!net)
		abort();
	e3_ckpt_close(ckpt);
}

static size_t set_sum(uint8_t *bytes, size_t at, size_t size)
{
	if (at + 4 <= size)
		e3_put_le32(bytes + at, (uint32_t)crc32_z(0, bytes, at));
	return at + 4;
}

static size_t set_past(uint8_t *bytes, size_t at, size_t size, const e3_saved *x, const e3_saved_past *p)
{
	size_t camera = 8 * (size_t)x->camera_heads * (size_t)x->camera_head_dim * (size_t)p->camera_keys;
	for (int l = 0; l < x->layers && at < size; l++)
		at = set_sum(bytes, at + p->slots[l] * (16 + 8 * (size_t)x->heads * (size_t)x->head_dim), size);
	for (int k = 0; k < x->camera_caches && at < size; k++)
		at = set_sum(bytes, at + camera, size);
	return at;
}

/* The checksum of every section that lies inside the file. */
static void set_sums(uint8_t *bytes, size_t size, const e3_saved *x)
{
	size_t at = 16 + (size_t)e3_le32(bytes + 12) + 4;
	for (int k = 0; k < 2; k++)
		if (x->past[k].t)
			at = set_past(bytes, at, size, x, &x->past[k]);
	if (x->extra && at < size)
		set_sum(bytes, at + x->extra, size);
}

/* What a run of that size would take is its user's wish, not the reader's; here it would only be slow. */
static bool small(const e3_saved *x)
{
	return x->size[0] <= 64 && x->size[1] <= 64 && x->o.camera_frames <= 64 && x->position.overlap <= 64 &&
		x->position.places <= 64 && !x->o.policy->keeps_all && x->o.budget_kind == E3_BUDGET_FRAMES &&
		x->o.budget <= 16;
}

/* Every fourth is run for a frame, which takes the longest. */
static void run(e3_saved_file *file, const e3_infer_options *o, const e3_track_options *t, bool step)
{
	static const uint8_t picture[3 * 64 * 64];
	e3_err err = {""};
	e3_result r;
	e3_evict evict = {0};
	e3_session *s = e3_session_resume(net, dev, o, file, &err);
	e3_track *track = s ? e3_track_open(s, t, &err) : NULL;
	if (track && !e3_track_restore(track, file, &err) && step &&
		!e3_track_step(track, picture, e3_saved_head(file)->position.last_i + 1, &r, &evict, &err))
		(void)e3_track_beside(track, &err);
	e3_evict_release(&evict);
	e3_track_close(track);
	e3_session_close(s);
}

static void resume(e3_saved_file *file, bool step)
{
	e3_err err = {""};
	const e3_saved *x = e3_saved_head(file);
	e3_infer_options o = x->o;
	e3_track_options t = {.segment = o.segment,
		.overlap = x->position.overlap,
		.frames = o.frames,
		.loops = x->position.places > 0,
		.places = x->position.places};
	if (!e3_track_prepare(&t, &o, &err))
		run(file, &o, &t, step);
	else if (!err.text[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *from, size_t size)
{
	e3_err err = {""};
	if (!net)
		open_network();
	uint8_t *bytes = malloc(size + !size);
	memcpy(bytes, from, size);
	size_t head = size >= 20 ? e3_le32(bytes + 12) : size;
	if (head < size - 20 + !size)
		set_sum(bytes, 16 + head, size);
	e3_saved_file *file = e3_saved_memory(bytes, size, &err);
	if (file && small(e3_saved_head(file))) {
		set_sums(bytes, size, e3_saved_head(file));
		resume(file, e3_fnv1a64(bytes, size) % 4 == 0);
	}
	if (!file && !err.text[0])
		abort(); /* refused without a word */
	e3_saved_close(file);
	free(bytes);
	return 0;
}
