/* model: what the parts of a session share: buffers on the device, and the four stages of a frame.
 *
 *   embed      rgb -> patch tokens                                    embed.c
 *   aggregate  tokens -> kept layer outputs; the cache grows           aggregate.c
 *   camera     last layer's camera token -> pose                       camera.c
 *   dpt        kept layer outputs -> depth, points, confidences        dpt.c
 */
#ifndef E3_MODEL_SESSION_H
#define E3_MODEL_SESSION_H

#include "evict.h"
#include "net.h"

/* Self attention inside one set of tokens: one page that is overwritten by every block. */
typedef struct e3_self {
	e3_kv kv;
	float *page;
	uint32_t *slot; /* 0, 1, 2, ... */
} e3_self;

typedef struct e3_camera_state {
	float **page; /* [caches][pages_each] */
	float *pages; /* one allocation behind them */
	int pages_each, caches, frames, page_keys;
	float *token, *normed, *x, *mod, *embed, *pose, *q, *attended, *hidden; /* device */
} e3_camera_state;

typedef struct e3_uv {
	float *x, *y;
} e3_uv;

/* Maps a dense head works in, of the device's map type. The heads run one after the other and share them. */
typedef struct e3_dpt_work {
	float *projected, *resized;
	float *level[E3_DPT_LEVELS]; /* after rn */
	float *t, *s, *u;            /* of the largest level */
	float *y, *z;                /* 2× the largest level: fused, and after output_conv1 */
} e3_dpt_work;

typedef struct e3_dpt_state {
	int size[E3_DPT_LEVELS][2];       /* rows, columns of each level */
	e3_uv uv[E3_DPT_LEVELS], uv_full; /* position tables */
} e3_dpt_state;

/* The masses of a frame's keys, layer after layer in one piece; on the host only when somebody wants reports. And their
 * maps. */
typedef struct e3_masses {
	float *device, *host;
	size_t cap, used;
	float **layer;      /* [layers] where each layer's begin on the device */
	float **host_layer; /* [layers] the same on the host; there after wait */
	struct e3_mass_map {
		float *device, *host;
		size_t cap;
	} * map; /* [layers] */
} e3_masses;

struct e3_session {
	const e3_net *net;
	e3_dev *dev;
	e3_infer_options o;
	e3_plan plan;
	int h, w;
	int64_t t; /* frames done; those of a frozen session do not count */
	int turn;  /* which result is lent next */

	float **owned; /* device memory, to be freed */
	size_t n_owned, cap_owned;

	int vit_tokens;
	float *patches, *vit_template, *xv, *x, *q, *attended, *hidden, *rope, *lse;
	e3_self vit_self, self;
	float *cat[E3_DPT_LEVELS]; /* [patches][2 embed] of the kept layers */
	float *last;               /* [2 embed]: camera token of the last layer */

	e3_cache cache;
	e3_evictor evictor;
	uint32_t *slot; /* [layers][tokens] of this frame */
	e3_masses mass;
	uint64_t peak_tokens;

	e3_result result[2]; /* lent in turn; maps from alloc_host */
	float *pose;         /* from alloc_host */

	e3_attn *attn; /* reported layers of this frame */
	int n_attn, cap_attn;

	e3_camera_state camera;
	e3_dpt_state depth, point;
	e3_dpt_work dpt;
};

/* Opens with at least so many pages of cache, if there is a budget: what was saved may take more than the budget does.
 */
e3_session *e3_session_open_with(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2],
	int64_t pages, e3_err *err);
/* Device memory that lives as long as the session. */
int e3_session_alloc(e3_session *s, size_t floats, float **out, e3_err *err);
int e3_session_alloc_as(e3_session *s, e3_dtype type, size_t n, float **out, e3_err *err);
int e3_session_upload(e3_session *s, const float *from, size_t n, float **out, e3_err *err);
int e3_self_open(e3_session *s, e3_self *self, int tokens, int heads, int head_dim, e3_err *err);

/* One transformer block on x [rows][dim] (doc/network.md 4, 5.2): keys and values go to `slot` of kv, queries see all
 * of kv. */
typedef struct e3_block_run {
	const e3_block *block;
	float *x;
	int rows;
	const float *rope;
	const e3_kv *kv;
	const uint32_t *slot;
	float *q, *attended, *hidden, *lse; /* lse NULL: not wanted */
} e3_block_run;
int e3_block_step(e3_dev *dev, const e3_block_run *r, e3_err *err);

int e3_embed_open(e3_session *s, e3_err *err);
int e3_embed_step(e3_session *s, const uint8_t *rgb, e3_err *err);
int e3_aggregate_open(e3_session *s, e3_err *err);
int e3_aggregate_step(e3_session *s, e3_err *err);
void e3_aggregate_close(e3_session *s);
int e3_camera_open(e3_session *s, e3_err *err);
int e3_camera_step(e3_session *s, e3_err *err); /* into s->pose, there after finish */
/* What one of the caches remembers between frames. */
e3_kv e3_camera_view(const e3_session *s, int cache);
int e3_dpt_open(e3_session *s, e3_err *err); /* both heads, as far as they are wanted */
int e3_dpt_step(e3_session *s, const e3_dpt *net, const e3_dpt_state *d, float *value, float *conf, e3_err *err);

/* attn.c: turns the masses (and maps) of the layers asked for into reports, key ids ascending. After wait. */
int e3_attn_collect(e3_session *s, e3_err *err);

#endif
