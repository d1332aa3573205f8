/* model: the weights of a network as the device holds them. Shapes: e3_config; names: doc/network.md 1. */
#ifndef E3_MODEL_NET_H
#define E3_MODEL_NET_H

#include "arena.h"
#include "e3/infer.h"
#include "e3/thread.h"

enum { E3_CAMERA_ITERATIONS = 4, E3_POSE = 9 };

/* Is shown each product of a block before it is computed (calibrate.c); its `out` and what comes after the product are
 * not set. */
typedef struct e3_block e3_block;
typedef struct e3_probe {
	int (*look)(struct e3_probe *, e3_dev *, const e3_block *, const e3_linear *, e3_err *);
} e3_probe;

struct e3_block {
	e3_norm norm1, norm2, q_norm, k_norm;
	e3_mat qkv, proj, fc1, fc2; /* LayerScale is in the rows of proj and fc2 */
	bool qk_norm;
	int heads;
	e3_probe *probe; /* or NULL */
};

typedef struct e3_rcu {
	e3_mat conv[2];
} e3_rcu;

typedef struct e3_dpt {
	e3_norm norm;
	e3_mat project[E3_DPT_LEVELS];
	e3_mat down;                    /* stride-2 convolution of level 3 */
	e3_mat rn[E3_DPT_LEVELS];       /* of levels 0 and 1 with the transposed convolution before it */
	e3_rcu skip[E3_DPT_LEVELS - 1]; /* refinenet1..3.resConfUnit1 */
	e3_rcu fuse[E3_DPT_LEVELS];     /* refinenet1..4.resConfUnit2 */
	e3_mat out[E3_DPT_LEVELS];      /* refinenet1..4.out_conv */
	e3_mat conv1, conv2, last;
} e3_dpt;

struct e3_net {
	e3_config c;
	uint64_t fingerprint;
	e3_arena arena;  /* everything on the device */
	e3_dtype packed; /* of the matrices of ViT and aggregator: E3_I8, E3_F8, or 0: 16 bits or more; the trunk: E3_I8 */
	void *reserve;   /* device memory for those that stay in 16 bits; NULL after calibration, and without 8 bits */

	e3_mat patch;
	float *cls, *pos, *vit_registers; /* host memory: they go into a template once per frame size */
	e3_block *vit;
	e3_norm vit_norm;

	float *special; /* device [3][special][embed]: frame 0, the other frames of the start, later ones */
	e3_block *frame, *global;

	e3_norm token_norm, trunk_norm;
	e3_mat embed_pose, modulation, pose1, pose2;
	float *empty_pose; /* device [9] */
	e3_block *trunk;

	e3_dpt depth, point;
};

/* fingerprint.c */
int e3_fingerprint(const e3_ckpt *ckpt, const e3_config *c, uint64_t *out, e3_err *err);

/* net_load.c: reading tensors into the net. */
typedef struct e3_loader {
	e3_net *net;
	const e3_ckpt *ckpt;
	char prefix[160];   /* put before every name */
	e3_role role;       /* of the matrices that come next */
	e3_dtype packed;    /* of those that may be in 8 bits */
	const float *scale; /* of their rows and biases, or NULL */
	const int *order;   /* of the head_dim channels of a head, in queries and keys: the k-th is order[k] of the file;
						   or NULL */
	int head_dim;
	float *host[2]; /* a tensor as read, and reordered: alloc_host memory, kept from tensor to tensor */
	size_t cap[2];
	e3_pool *pool;
} e3_loader;

/* Set net, whose arena has its device, and ckpt. */
int e3_loader_open(e3_loader *l, e3_err *err);
void e3_loader_release(e3_loader *l);
int e3_load_host(e3_loader *l, const char *name, float **out, e3_err *err);   /* caller frees */
int e3_load_vector(e3_loader *l, const char *name, float **out, e3_err *err); /* on the device, owned by the net */
int e3_load_norm(e3_loader *l, const char *name, float eps, e3_norm *out, e3_err *err);
int e3_load_linear(e3_loader *l, const char *name, e3_mat *out, e3_err *err);
int e3_load_conv(e3_loader *l, const char *name, e3_mat *out, e3_err *err); /* [out][kh][kw][in] */
/* A transposed convolution and the 3×3 convolution after it, as one for the operation deconv. */
int e3_load_deconv(e3_loader *l, const char *first, const char *second, e3_mat *out, e3_err *err);
bool e3_load_has(const e3_loader *l, const char *name);
int e3_load_block(e3_loader *l, float eps, int heads, e3_block *out, e3_err *err);
/* net.c: one block, into a net that has only its configuration. Blocks are numbered: of the ViT, frame blocks, global
 * blocks, of the camera head's trunk. */
int e3_load_numbered(e3_loader *l, int number, e3_block *out, e3_err *err);
int e3_load_dpt(e3_loader *l, e3_dpt *out, e3_err *err);

#endif
