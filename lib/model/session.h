/* model: what the parts of a session share: buffers on the device, and the four stages of a frame.
 *
 *   embed      rgb -> patch tokens                                    embed.c
 *   aggregate  tokens -> kept layer outputs; the cache grows           aggregate.c
 *   camera     last layer's camera token -> pose                       camera.c
 *   dpt        kept layer outputs -> depth, points, confidences        dpt.c
 */
#ifndef E3_MODEL_SESSION_H
#define E3_MODEL_SESSION_H

#include "block.h"
#include "evict.h"

typedef struct e3_camera_state {
	int pages_each, caches, frames, page_keys; /* of each past */
	float *normed, *x, *pose, *mod, *embed;    /* device; the first three [together] */
	e3_tensor q, attended, hidden;             /* f32; q [together] */
} e3_camera_state;

/* Feature maps that a dense head works in. Heads that run one after the other share them. */
typedef struct e3_dpt_work {
	e3_tensor projected, small;
	e3_tensor level[E3_DPT_LEVELS]; /* after rn */
	e3_tensor t, s, u, y;           /* of the largest level; y: what was fused so far */
	e3_tensor z;                    /* 2× the first level: after output_conv1 */
} e3_dpt_work;

typedef struct e3_dpt_state {
	const char *name;                 /* depth, point */
	int size[E3_DPT_LEVELS][2];       /* rows, columns of each level */
	e3_uv uv[E3_DPT_LEVELS], uv_full; /* position tables */
	e3_dpt_work work;
} e3_dpt_state;

/* The masses of a frame's keys, layer after layer in one piece; on the host only when reports are wanted. And the
 * attention maps. */
typedef struct e3_masses {
	float *device, *host;
	size_t cap, used;
	float **layer;      /* [together][layers] where each layer's begin on the device */
	float **host_layer; /* the same on the host; there after wait */
	struct e3_attn_map {
		float *device, *host;
		size_t cap;
	} * attn_map; /* [together][layers] */
} e3_masses;

/* What a frame has of its own while it is between the ViT and the heads. */
typedef struct e3_tokens {
	float *x;                  /* [tokens][embed] */
	e3_tensor q;               /* queries of a block */
	float *cat[E3_DPT_LEVELS]; /* [patches][2 embed] of the kept layers; NULL without dense heads */
	float *last;               /* [2 embed]: camera token of the last layer */
	uint32_t *slot;            /* [layers][tokens] */
	e3_result result;          /* of a frame that began together with others; else none */
	float *descriptor;         /* the same */
} e3_tokens;

/* Tables of rotation [lanes][tokens][head_dim] on the device. */
typedef struct e3_rope {
	float *grid;   /* of frame blocks */
	float *global; /* of global blocks: the same, or one that e3_rope_at brings up to date */
	float *times;  /* what that takes from; NULL: the same */
} e3_rope;

/* What a step works in, from the pixels to the heads. Sessions of one batch and frame size share it: a lane of it is
 * for one frame. Its first session opens it. */
typedef struct e3_work {
	e3_arena arena;
	int h, w, lanes, users;
	int vit_tokens;
	const e3_session **owner; /* [lanes] whose tokens of a picture are still there */
	float *patches, *vit_template;
	float *xv, *x;                 /* rows of all lanes: [lanes][vit_tokens][embed], [lanes][tokens][embed] */
	e3_tensor q, attended, hidden; /* the same, for the longer of the two */
	float *lse;                    /* [lanes][heads][tokens] */
	float *before;                 /* [lanes][tokens][embed]; NULL unless the policy needs it */
	float **cat, **last;           /* [lanes][E3_DPT_LEVELS], [lanes]: of e3_tokens */
	e3_self vit_self, self;        /* a page for each lane */
	e3_rope rope;                  /* for each lane */
	e3_dpt_state depth, point;
} e3_work;

/* What two frames that are computed at a time cannot share. */
typedef struct e3_spare {
	e3_tokens tokens;           /* x, cat and last of every second frame; q of the ViT */
	e3_tensor attended, hidden; /* of the ViT */
} e3_spare;

/* What earlier frames leave for the next one. */
typedef struct e3_past {
	int64_t t;    /* frames done; those of a frozen session do not count */
	int64_t keys; /* of them those that are kept, key frames: the time of the next one (e3/arch.h) */
	int start;    /* how many began it together; 1: one came after the other */
	e3_cache cache;
	e3_evictor evictor;
	uint8_t **camera; /* what the camera head remembers: pages [caches][pages_each], in one allocation */
} e3_past;

/* Pieces of a frame that the device may start as one. The ViT is not among them: it keeps the device busy while the
 * next is gathered. */
enum { E3_PIECE_AGGREGATOR, E3_PIECE_CAMERA, E3_PIECE_DENSE, E3_PIECE_DENSE_SIDE, E3_PIECE_KINDS };

struct e3_session {
	const e3_net *net;
	e3_dev *dev;
	e3_infer_options o;
	e3_plan plan;
	int h, w;
	int turn;                                     /* which result is lent next */
	bool kept;                                    /* the current frame is a key frame */
	bool (*keeps)(void *ctx, const e3_result *r); /* or NULL */
	void *keeps_ctx;
	const uint8_t *(*next)(void *ctx); /* or NULL */
	void *next_ctx;
	const uint8_t *ahead; /* the picture of the next step, whose ViT is under way; or NULL */
	bool under_way;       /* so is its aggregator */

	e3_past pasts[2];       /* the second one only if the options ask for a side */
	e3_past *past;          /* that the current step sees: of the main stream, but during a side step */
	int main;               /* which one is the main stream's */
	bool broken;            /* a step failed where it changes a past: nobody knows what is in it */
	uint64_t peak_tokens;   /* of both */
	const uint8_t *picture; /* of the last main step, as long as no other one was seen since; or NULL */

	e3_arena arena; /* device memory that lives as long as the session */

	e3_spare spare; /* empty until it is first needed */
	bool odd;       /* the tokens of the current frame are in it, those of the next one in the work's lane */

	e3_work *work;
	bool joined;    /* counts among its users */
	int q_step;     /* rows of all lanes, while some are stepped together; else 0 */
	int home, lane; /* lanes of it: when it steps alone; of the last step */
	float *xv;      /* of the lane, as the three below */
	e3_tensor attended, hidden;
	float *lse;
	float *mean, *descriptor; /* of the patch tokens: device, alloc_host; NULL unless o.describe */
	float *shift;             /* device [layers][tokens]; NULL unless the policy needs it */

	e3_tokens *frame; /* [together] */
	int together;     /* frames that may begin together: their memory is there until the first step */
	e3_tokens now;    /* of the frame that is worked on: frame[at] */
	int at;
	e3_arena start; /* of frame[1] and later ones */

	e3_masses mass;

	e3_result result[2]; /* lent in turn; depth and points from alloc_host */
	e3_result side;      /* of the last side step */
	float *pose;         /* [together][9], from alloc_host */

	e3_attn *attn; /* reported layers of this frame */
	int n_attn, cap_attn;

	e3_camera_state camera;
};

/* Opens with at least so many pages of cache, if there is a budget: what was saved may take more than the budget does.
 */
e3_session *e3_session_open_with(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2],
	int64_t pages, e3_err *err);

/* Each opens the shared work too, if the session is the first. */
int e3_embed_open(e3_session *s, e3_err *err);
/* What comes before its first block: the patches of the picture in the session's lane. */
int e3_embed_patches(e3_session *s, const uint8_t *rgb, e3_err *err);
int e3_embed_step(e3_session *s, const uint8_t *rgb, e3_err *err);
int e3_embed_again(e3_session *s, e3_err *err); /* the tokens of the picture before once more */
/* After wait: the descriptor of the frame, if it is wanted. */
void e3_embed_describe(e3_session *s);
/* rope.c: the tables; the global one for a frame of this time (nothing where time does not count); whether there is
 * such a time. */
int e3_rope_open(e3_session *s, e3_err *err);
int e3_rope_at(e3_session *s, int64_t time, e3_err *err);
int e3_rope_check(const e3_session *s, int64_t time, e3_err *err);
int e3_aggregate_open(e3_session *s, e3_err *err);
/* Allocates what the heads read of a frame. */
int e3_aggregate_open_kept(e3_session *s, e3_arena *a, float **cat, float **last, e3_err *err);
/* Is the attention of this layer to be reported? Not of side steps. */
bool e3_session_reports(const e3_session *s, int layer);
/* Room for what grows with the cache; before the device gathers, since memory is no part of what it records. */
int e3_aggregate_room(e3_session *s, e3_err *err);
/* Of n frames together (frame[0] and so on, embedded), which see each other. */
int e3_aggregate_step(e3_session *s, int n, e3_err *err);
void e3_aggregate_close(e3_session *s);
int e3_camera_open(e3_session *s, e3_err *err);
/* Of n frames together: into s->pose [n][9], there after finish. */
int e3_camera_step(e3_session *s, int n, e3_err *err);
/* From what the head gives to what a result says: camera from world. -1 when it is not finite. */
int e3_camera_pose(const e3_session *s, const float raw[E3_POSE], float pose[E3_POSE], e3_err *err);
/* After a step: the frame stays in the memory of the head. */
int e3_camera_keep(e3_session *s, e3_err *err);
/* The keys and values that one of the caches keeps between frames. */
e3_kv e3_camera_view(const e3_session *s, int cache);
/* Forgets the frame that stands at this place among those that the evictor keeps (a policy that evicts whole frames).
 */
void e3_camera_forget(e3_session *s, int place);
int e3_dpt_open(e3_session *s, e3_err *err); /* the heads that are wanted */
int e3_dpt_step(e3_session *s, const e3_dpt *net, const e3_dpt_state *d, float *value, float *conf, e3_err *err);

/* attn.c: turns the masses (and attention maps) of the layers asked for into reports, key ids ascending; of n frames
 * together. After wait. */
int e3_attn_collect(e3_session *s, int n, e3_err *err);

/* work.c: before the parts are opened: the work of the batch, or a new one, which is the session's own without a
 * batch. Is this session the one that opens it? The next step is done in that lane. */
int e3_work_join(e3_session *s, e3_err *err);
bool e3_work_is_new(const e3_session *s);
int e3_work_opened(e3_session *s, e3_err *err);
void e3_work_lane(e3_session *s, int lane);
/* The tokens of every second frame, of the others (what they share with other sessions is left as it is); the current
 * frame is one of the others now. */
void e3_work_tokens(const e3_session *s, bool odd, e3_tokens *to);
void e3_work_turn(e3_session *s);
void e3_work_leave(e3_session *s);

/* session.c, for start.c: frame[k] is worked on; tells who watches the device; the parts of a step. */
void e3_session_turn_to(e3_session *s, int k);
int e3_session_note(const e3_session *s, const e3_activation *a, e3_err *err);
int e3_session_begin(e3_session *s, const char *stage, e3_err *err);
int e3_session_embed(e3_session *s, const uint8_t *rgb, e3_err *err);
int e3_session_aggregate(e3_session *s, e3_err *err);
int e3_session_dense(e3_session *s, e3_result *r, e3_err *err);
int e3_session_open_result(e3_session *s, e3_result *r, int outputs, e3_err *err);
void e3_session_close_result(e3_session *s, e3_result *r);
void e3_session_count_tokens(e3_session *s);

/* ahead.c: begins with the ViT of the next picture, if that is there, and was not begun with already. */
int e3_ahead_look(e3_session *s, e3_err *err);
/* A step begins: is this the picture that was begun with? */
bool e3_ahead_take(e3_session *s, const uint8_t *rgb);
/* Once the tokens of the frame before are evicted and it is counted: the aggregator, where nothing speaks against it.
 */
int e3_ahead_begin(e3_session *s, e3_err *err);
/* The past has no tokens of the next frame, and the next step begins from the beginning. */
int e3_ahead_drop(e3_session *s, e3_err *err);

/* start.c: gives back what only a start needs: on the device; and all of it. */
void e3_start_release(e3_session *s);
void e3_start_close(e3_session *s);

#endif
