/* Streams through small networks, for tests: a network of other dimensions than the built-in ones, its session, its
 * pictures. */
#ifndef MODEL_STREAM_H
#define MODEL_STREAM_H

#include "check.h"
#include "model_custom.h"
#include "e3/infer.h"

/* One stream: a network, its session, and the last frame's results. */
typedef struct stream {
	sample file;
	e3_ckpt *ckpt;
	e3_net *net;
	e3_session *s;
	int size[2];
	e3_result pred;
	e3_evict evict;
} stream;

static inline void stream_open(e3_dev *dev, stream *t, const custom *c, const e3_infer_options *o)
{
	e3_err err = {""};
	*t = (stream){.size = {c->size[0], c->size[1]}};
	t->ckpt = custom_open(&c->c, c->seed, &t->file, &err);
	t->net = t->ckpt ? e3_net_open(t->ckpt, dev, &err) : NULL;
	t->s = t->net ? e3_session_open(t->net, dev, o, t->size, &err) : NULL;
	if (!t->s)
		fail_msg("%s", err.text);
}

static inline void stream_step(stream *t, int picture)
{
	e3_err err = {""};
	uint8_t *rgb = custom_picture(picture, t->size[0], t->size[1]);
	if (e3_session_step(t->s, rgb, &t->pred, &t->evict, &err))
		fail_msg("%s", err.text);
	free(rgb);
}

static inline void stream_close(stream *t)
{
	e3_session_close(t->s);
	e3_net_close(t->net);
	e3_ckpt_close(t->ckpt);
	sample_release(&t->file);
	e3_evict_release(&t->evict);
}

static inline void stream_same_maps(const e3_result *a, const e3_result *b)
{
	size_t area = (size_t)a->h * (size_t)a->w * sizeof(float);
	assert_true(a->h == b->h && a->w == b->w);
	assert_memory_equal(a->depth, b->depth, area);
	assert_memory_equal(a->depth_conf, b->depth_conf, area);
	assert_memory_equal(a->points, b->points, 3 * area);
	assert_memory_equal(a->points_conf, b->points_conf, area);
	assert_memory_equal(a->pose, b->pose, sizeof a->pose);
}

#endif
