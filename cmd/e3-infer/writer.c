/* e3-infer: writes results on a thread of its own, so that a frame is computed while the one before is written. Owns
 * two parcels that are filled in turn, and the masks that follow one: at most one frame waits, so memory is bounded,
 * and a slow reader slows the network down. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <stdlib.h>
#include <string.h>

enum { MASKS = 16 };

struct infer_writer {
	e3_out *out;
	e3_batch *batch;
	e3_thread thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	infer_parcel parcel[2];
	int filling;              /* the parcel main may touch */
	const infer_parcel *sent; /* the other one: the thread's while `busy` */
	bool busy, quit, failed;
	bool fresh;          /* the parcel that was sent is to be written */
	e3_mask mask[MASKS]; /* to be written after it, the thread's while `busy` but for those it has not reached */
	int masks;
	e3_err err;
};

static int write_beside(e3_out *out, const infer_parcel *p, e3_err *err)
{
	int rc = p->beside.n_layers && e3_out_evict(out, &p->beside, err);
	for (int k = 0; !rc && k < p->n_edges; k++)
		rc = e3_out_edge(out, &p->edge[k], err);
	return rc ? -1 : 0;
}

static int write_parcel(e3_out *out, const infer_parcel *p, e3_err *err)
{
	int rc = write_beside(out, p, err) || e3_out_pred(out, &p->pred, err) ||
		(p->evict.n_layers && e3_out_evict(out, &p->evict, err));
	for (int k = 0; !rc && k < p->n_attn; k++)
		rc = e3_out_attn(out, &p->attn[k], err);
	return rc ? -1 : 0;
}

/* The lock is given back while something is written. */
static void took(infer_writer *w, int rc, const e3_err *err)
{
	pthread_mutex_lock(&w->lock);
	if (rc && !w->failed)
		w->failed = true, w->err = *err;
}

/* More may come while one is written. */
static void write_masks(infer_writer *w)
{
	for (int k = 0; k < w->masks; k++) {
		e3_err err = {""};
		pthread_mutex_unlock(&w->lock);
		int rc = e3_out_mask(w->out, &w->mask[k], &err);
		e3_mask_release(&w->mask[k]);
		took(w, rc, &err);
	}
	w->masks = 0;
}

static void *run(void *arg)
{
	infer_writer *w = arg;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->busy && !w->quit)
			pthread_cond_wait(&w->changed, &w->lock);
		if (!w->busy)
			break;
		if (w->fresh) {
			const infer_parcel *p = w->sent;
			e3_err err = {""};
			w->fresh = false;
			pthread_mutex_unlock(&w->lock);
			int rc = write_parcel(w->out, p, &err);
			took(w, rc, &err);
		}
		write_masks(w);
		w->busy = false;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

infer_writer *infer_writer_open(e3_out *out, e3_batch *batch, e3_err *err)
{
	infer_writer *w = e3_alloc(1, sizeof *w, "writer", err);
	if (!w)
		return NULL;
	w->out = out, w->batch = batch;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	if (e3_thread_start(&w->thread, run, w, err) == 0)
		return w;
	e3_fail_in(err, "starting the writer");
	infer_writer_close(w);
	return NULL;
}

infer_parcel *infer_writer_fill(infer_writer *w, infer_placed placed)
{
	infer_parcel *to = &w->parcel[w->filling];
	e3_image spare = to->fitted;
	char *name = to->name;
	to->fitted = *placed.picture, *placed.picture = spare;
	to->name = *placed.name, *placed.name = name;
	to->pred =
		(e3_pred){.s = placed.source, .w = to->fitted.w, .h = to->fitted.h, .rgb = to->fitted.px, .name = to->name};
	return to;
}

int infer_parcel_pack(infer_parcel *to, const infer_request *r, e3_session *session, const e3_result *result, int frame,
	e3_err *err)
{
	int wanted = r->outputs;
	to->pred.has_pose = result->has_pose && wanted & E3_OUT_POSE;
	memcpy(to->pred.pose, result->pose, sizeof result->pose);
	if (wanted & E3_OUT_DEPTH)
		to->pred.depth = result->depth, to->pred.depth_conf = result->depth_conf;
	to->pred.points = result->points, to->pred.points_conf = result->points_conf;
	to->evict.i = to->pred.s.i;
	for (to->n_attn = 0; to->n_attn < r->n_attn; to->n_attn++) {
		if (to->n_attn == to->cap_attn) {
			if (e3_grow((void **)&to->attn, (size_t)to->cap_attn + 8, sizeof *to->attn, "attention records", err))
				return -1;
			memset(to->attn + to->cap_attn, 0, 8 * sizeof *to->attn);
			to->cap_attn += 8;
		}
		int more = e3_session_attn(session, frame * r->n_attn + to->n_attn, &to->attn[to->n_attn], err);
		if (more <= 0)
			return more;
		e3_attn *a = &to->attn[to->n_attn];
		a->i = to->pred.s.i, a->segment = to->evict.segment, a->first = to->evict.first;
	}
	return 0;
}

void infer_parcel_beside(infer_parcel *to, e3_track *track)
{
	e3_evict_release(&to->beside);
	to->n_edges = 0;
	if (!track)
		return;
	e3_track_report r = e3_track_reported(track);
	to->beside = *r.evict;
	*r.evict = (e3_evict){0};
	for (; to->n_edges < r.n_edges; to->n_edges++)
		to->edge[to->n_edges] = r.edge[to->n_edges];
}

int infer_writer_wait(infer_writer *w, infer_written *written, e3_err *err)
{
	pthread_mutex_lock(&w->lock);
	if (w->busy) {
		e3_batch_rest(w->batch);
		while (w->busy)
			pthread_cond_wait(&w->changed, &w->lock);
		e3_batch_wake(w->batch);
	}
	bool failed = w->failed;
	pthread_mutex_unlock(&w->lock);
	if (failed && err)
		*err = w->err;
	*written = (infer_written){w->sent};
	return failed ? -1 : 0;
}

int infer_write_beside(infer_writer *w, e3_track *track, e3_err *err)
{
	infer_parcel *p = &w->parcel[w->filling];
	infer_written before;
	if (!track || infer_writer_wait(w, &before, err))
		return track ? -1 : 0;
	infer_parcel_beside(p, track);
	e3_batch_rest(w->batch);
	int rc = write_beside(w->out, p, err);
	e3_batch_wake(w->batch);
	return rc;
}

int infer_write_unsent(infer_writer *w, const infer_parcel *unsent, e3_err *err)
{
	infer_written before;
	if (infer_writer_wait(w, &before, err))
		return -1;
	e3_batch_rest(w->batch);
	int rc = write_beside(w->out, unsent, err);
	e3_batch_wake(w->batch);
	return rc;
}

static int write_truth_as(e3_out *out, const e3_msg *msg, int64_t i, e3_err *err)
{
	e3_truth truth = {0};
	int rc = e3_truth_decode(msg, &truth, err);
	truth.i = i;
	rc = rc || e3_out_truth(out, &truth, err) ? -1 : 0;
	e3_truth_release(&truth);
	return rc;
}

int infer_write_truth(infer_writer *w, const e3_msg *msg, int64_t i, e3_err *err)
{
	infer_written before;
	if (infer_writer_wait(w, &before, err))
		return -1;
	e3_batch_rest(w->batch);
	int rc = i == e3_msg_index(msg) ? e3_out_msg(w->out, msg, err) : write_truth_as(w->out, msg, i, err);
	e3_batch_wake(w->batch);
	return rc;
}

int infer_writer_send(infer_writer *w, infer_computed computed, e3_err *err)
{
	infer_written before;
	if (infer_writer_wait(w, &before, err))
		return -1;
	pthread_mutex_lock(&w->lock);
	w->sent = computed.parcel;
	w->filling = 1 - w->filling;
	w->busy = w->fresh = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

int infer_writer_mask(infer_writer *w, e3_mask *mask, e3_err *err)
{
	pthread_mutex_lock(&w->lock);
	if (w->busy && w->masks == MASKS) {
		e3_batch_rest(w->batch);
		while (w->busy && w->masks == MASKS)
			pthread_cond_wait(&w->changed, &w->lock);
		e3_batch_wake(w->batch);
	}
	bool failed = w->failed;
	if (failed && err)
		*err = w->err;
	if (!failed) {
		w->mask[w->masks++] = *mask;
		*mask = (e3_mask){0};
		w->busy = true;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return failed ? -1 : 0;
}

void infer_writer_close(infer_writer *w)
{
	if (!w)
		return;
	if (w->thread.started) {
		pthread_mutex_lock(&w->lock);
		w->quit = true;
		pthread_cond_broadcast(&w->changed);
		pthread_mutex_unlock(&w->lock);
		e3_thread_join(&w->thread);
	}
	for (int k = 0; k < MASKS; k++)
		e3_mask_release(&w->mask[k]);
	for (int k = 0; k < 2; k++) {
		infer_parcel *p = &w->parcel[k];
		e3_image_release(&p->fitted);
		free(p->name);
		e3_evict_release(&p->evict), e3_evict_release(&p->beside);
		for (int a = 0; a < p->cap_attn; a++)
			e3_attn_release(&p->attn[a]);
		free(p->attn);
	}
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
