/* Networks of other dimensions than the built-in ones, with seeded weights (doc/design.md 6), as checkpoints in memory:
 * those of tests/oracle/streamvggt.py, and the pictures they are shown there. */
#ifndef MODEL_CUSTOM_H
#define MODEL_CUSTOM_H

#include "model_samples.h"
#include <math.h>

typedef struct custom {
	const char *name;
	e3_config c;
	uint64_t seed;
	int size[2]; /* rows, columns */
	double p, temperature;
} custom;

static const custom custom_wide = {
	"wide",
	{.embed = 96,
		.patch = 14,
		.registers = 2,
		.vit_registers = 3,
		.vit_depth = 1,
		.vit_heads = 4,
		.vit_hidden = 200,
		.pos_grid = 4,
		.layers = 5,
		.heads = 3,
		.head_dim = 32,
		.hidden = 300,
		.qk_norm = true,
		.camera_dim = 192,
		.camera_depth = 3,
		.camera_heads = 6,
		.camera_hidden = 440,
		.camera_mlp = 50,
		.dpt_layers = {0, 1, 3, 4},
		.depth = {true, 24, {16, 24, 36, 20}, 12, 2, {4, 2}},
		.point = {true, 16, {12, 32, 20, 28}, 7, 4, {4, 2}},
		.image_size = 84,
		.rope_bf16 = true},
	11,
	{42, 84},
	0.4,
	0.015,
};
static const custom custom_tall = {
	"tall",
	{.embed = 144,
		.patch = 8,
		.registers = 3,
		.vit_registers = 1,
		.vit_depth = 2,
		.vit_heads = 2,
		.vit_hidden = 576,
		.pos_grid = 6,
		.layers = 6,
		.heads = 3,
		.head_dim = 48,
		.hidden = 432,
		.qk_norm = true,
		.camera_dim = 288,
		.camera_depth = 1,
		.camera_heads = 3,
		.camera_hidden = 300,
		.camera_mlp = 144,
		.dpt_layers = {1, 2, 4, 5},
		.depth = {true, 32, {24, 20, 16, 40}, 32, 2, {3, 2}},
		.point = {true, 40, {8, 16, 24, 32}, 20, 4, {2, 5}},
		.image_size = 56},
	12,
	{56, 24},
	0.4,
	0.02,
};
static const custom custom_bare = {
	"bare",
	{.embed = 36,
		.patch = 4,
		.vit_depth = 1,
		.vit_heads = 3,
		.vit_hidden = 36,
		.pos_grid = 2,
		.layers = 4,
		.heads = 3,
		.head_dim = 12,
		.hidden = 72,
		.camera_dim = 72,
		.camera_depth = 1,
		.camera_heads = 2,
		.camera_hidden = 36,
		.camera_mlp = 9,
		.dpt_layers = {0, 1, 2, 3},
		.depth = {true, 8, {4, 8, 4, 8}, 3, 2, {1, 3}},
		.image_size = 44},
	13,
	{4, 44},
	0.4,
	0.05,
};

static inline bool custom_ends(const char *name, const char *tail)
{
	size_t n = strlen(name), m = strlen(tail);
	return n >= m && strcmp(name + n - m, tail) == 0;
}

/* The generator of doc/design.md 6, once more: the product's only makes the built-in configurations. */
static inline void custom_fill(const e3_tensor_info *t, uint64_t seed, float *to)
{
	const uint64_t golden = 0x9e3779b97f4a7c15u;
	uint64_t h = e3_fnv1a64(t->name, strlen(t->name)) + seed * golden;
	volatile double base = 0, scale = 0.5; /* volatile: product and sum round separately */
	if (custom_ends(t->name, ".gamma")) {
		base = 0.2, scale = 0.1;
	} else if (custom_ends(t->name, "q_norm.weight") || custom_ends(t->name, "k_norm.weight")) {
		base = 1.5, scale = 0.5;
	} else if (custom_ends(t->name, ".weight") && t->rank == 1) {
		base = 1, scale = 0.2;
	} else if (custom_ends(t->name, ".bias")) {
		scale = 0.05;
	} else if (custom_ends(t->name, ".weight")) {
		bool transposed =
			custom_ends(t->name, "resize_layers.0.weight") || custom_ends(t->name, "resize_layers.1.weight");
		scale = sqrt(3 / (transposed ? (double)t->shape[0] : (double)(t->count / (size_t)t->shape[0])));
	}
	for (size_t k = 0; k < t->count; k++) {
		uint64_t z = h + (k + 1) * golden;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		z ^= z >> 31;
		volatile double part = scale * (2 * ((double)(z >> 40) * 0x1p-24) - 1);
		to[k] = (float)(base + part);
	}
}

static inline int custom_tensor(void *ctx, const char *name, int rank, const int64_t *shape)
{
	sample_entry(ctx, name, E3_F32, rank, shape);
	return 0;
}

static inline int custom_meta(void *ctx, const char *key, const char *value)
{
	e3_buf *text = ctx;
	return e3_buf_printf(text, NULL, "%s\"%s\":\"%s\"", text->len ? "," : "", key, value);
}

/* A checkpoint of this configuration; *s holds its bytes and outlives it. NULL with an error when it cannot be read. */
static inline e3_ckpt *custom_open(const e3_config *c, uint64_t seed, sample *s, e3_err *err)
{
	e3_buf meta = {0};
	if (e3_config_each_meta(c, custom_meta, &meta) ||
		(!c->qk_norm && e3_buf_printf(&meta, NULL, ",\"e3.head_dim\":\"%d\"", c->head_dim)))
		return NULL;
	sample_meta(s, meta.data);
	e3_buf_release(&meta);
	e3_config_each(c, custom_tensor, s);
	while ((8 + s->header.len + 1) % 8) /* so that the values are aligned */
		e3_buf_add(&s->header, " ", 1, NULL);
	e3_ckpt *ckpt = sample_open(s, err);
	/* The last one is kept: most tests open the same again and again. */
	static e3_buf kept;
	static uint64_t kept_seed;
	size_t bytes = 8 + s->header.len + s->size;
	if (ckpt && kept.len == bytes && kept_seed == seed && memcmp(kept.data, s->file, 8 + s->header.len) == 0) {
		memcpy(s->file, kept.data, bytes);
		return ckpt;
	}
	for (size_t k = 0; ckpt && k < e3_ckpt_count(ckpt); k++) {
		const e3_tensor_info *t = e3_ckpt_at(ckpt, k);
		/* The bytes are ours; a checkpoint only promises not to change them. */
		custom_fill(t, seed, (float *)(uintptr_t)e3_ckpt_direct(ckpt, t));
	}
	e3_buf_release(&kept);
	if (ckpt && e3_buf_add(&kept, s->file, bytes, NULL) == 0)
		kept_seed = seed;
	return ckpt;
}

/* Picture i: slanted waves that move with the frame. Free with free(). */
static inline uint8_t *custom_picture(int i, int h, int w)
{
	uint8_t *rgb = malloc(3 * (size_t)h * (size_t)w);
	for (int y = 0; rgb && y < h; y++)
		for (int x = 0; x < w; x++)
			for (int c = 0; c < 3; c++)
				rgb[3 * ((size_t)y * (size_t)w + (size_t)x) + (size_t)c] =
					(uint8_t)((x * (7 + c) + y * (5 + i) + x * y * (1 + c) / 8 + 40 * i) % 256);
	return rgb;
}

#endif
