/* model: the shape of a network, read from a checkpoint, and the list of tensors it must have.
 *
 * doc/network.md 1 and 2: what the shapes say and what the metadata says. Nothing here is specific to a released model:
 * which architecture it is (e3/arch.h), embedding width, depths, heads, grids and patch size are read and checked
 * against each other.
 */
#ifndef E3_CONFIG_H
#define E3_CONFIG_H

#include "e3/arch.h"
#include "e3/checkpoint.h"
#include "e3/mem.h"
#include <stdbool.h>

enum { E3_DPT_LEVELS = 4, E3_MAX_LAYERS = 256 };

enum { E3_UNSCALED_VIT = 1, E3_UNSCALED_AGGREGATOR = 2, E3_UNSCALED_CAMERA = 4 };

typedef struct e3_dpt_config {
	bool present;
	int features;          /* F */
	int oc[E3_DPT_LEVELS]; /* channels of the projections */
	int hidden;            /* 32 in the released heads */
	int out;               /* 2 = depth + confidence, 4 = points + confidence */
	int up[2];             /* strides of resize_layers.0 and .1: 4 and 2 */
} e3_dpt_config;

typedef struct e3_config {
	char name[128], license[128];
	int arch;      /* its row of e3_archs */
	int embed;     /* C */
	int patch;     /* 14 */
	int registers; /* R */
	int vit_registers;
	int vit_depth, vit_heads, vit_hidden; /* hidden = width of the MLP */
	int pos_grid;                         /* M */
	int layers;                           /* L: frame blocks = global blocks */
	int heads, head_dim, hidden;
	bool qk_norm;
	int unscaled;   /* families of blocks without LayerScale: E3_UNSCALED_* */
	int camera_dim; /* E = 2C */
	int camera_depth, camera_heads, camera_hidden, camera_mlp; /* camera_mlp: width of pose_branch */
	int dpt_layers[E3_DPT_LEVELS];
	e3_dpt_config depth, point;
	int image_size;                       /* target of the resize: 518 */
	bool rope_bf16;                       /* angles rounded to bf16, as the released weights were trained */
	bool has_track;                       /* the file has a track head, which is not used */
	int64_t parameters, parameters_track; /* of the tensors used (without mask_token); of the track head */
} e3_config;

/* Reads the configuration and checks that the file is exactly that network: every tensor is there with the right type
 * (F32, F16, BF16) and dimensions, and there are no unknown ones (track_head.* and mask_token are known and skipped).
 * All problems are collected: `report`, if not NULL, receives one line for each, and err has their number and the first
 * few. */
int e3_config_read(const e3_ckpt *ckpt, e3_config *out, e3_buf *report, e3_err *err);

static inline const e3_arch *e3_config_arch(const e3_config *c) { return &e3_archs[c->arch]; }
/* s: special tokens of a frame. */
int e3_config_special(const e3_config *c);

/* The built-in configurations of doc/design.md 6: "tiny" and "full" of StreamVGGT (full with the bf16 angles of the
 * released weights, as in full.golden), "lingbot-tiny" and "lingbot-full" of LingBot-Map; exact angles in the others.
 */
int e3_config_builtin(const char *name, e3_config *out, e3_err *err);
/* "a, b or c": their names, for messages. */
const char *e3_config_builtins(char *to, size_t size);

/* Calls fn for every tensor a configuration needs (without the track head), in file order; stops at the first non-zero.
 */
int e3_config_each(const e3_config *c, int (*fn)(void *ctx, const char *name, int rank, const int64_t *shape),
	void *ctx);

/* Calls fn for every metadata entry that describes a configuration ("e3.arch" and so on); stops at the first non-zero.
 */
int e3_config_each_meta(const e3_config *c, int (*fn)(void *ctx, const char *key, const char *value), void *ctx);

#endif
