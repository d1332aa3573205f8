/* e3-infer: reads the stream on a thread of its own, one frame ahead: while a frame is computed, what belongs to it and
 * the next one are read, decoded and resized for the network. Owns a few items that are filled in turn; nothing is read
 * further ahead. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include "e3/tool.h"
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 4 }; /* a frame, its ground truth and mask, the next frame */

struct infer_reader {
	e3_in *in;
	e3_batch *batch;
	const char *about; /* the stream, in messages */
	int image_size, patch;
	e3_source last; /* of the frame that was read last, as it came */
	int w, h;       /* its picture */
	e3_fit_mode mode;
	e3_frame frame; /* as it came */
	e3_fitter *fitter;
	bool cut; /* said that pictures lose rows */
	int64_t frames;
	infer_span covered_span;
	int64_t covered;
	e3_thread thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	infer_item item[ITEMS];
	int mine;     /* the item that is the caller's */
	int n;        /* so many after it are read */
	int more;     /* of the last of them: what e3_in_next said; of the others it is above 0 */
	bool belongs; /* the last of them belongs to the frame before it */
	bool quit, finished;
	e3_err err;
};

static infer_item *nth(infer_reader *r, int k) { return &r->item[(r->mine + k) % ITEMS]; }

static void take_name(infer_reader *r, infer_frame *to)
{
	free(to->name);
	to->name = r->frame.name, r->frame.name = NULL;
}

/* The picture was already brought to the network's size: the item takes it over. */
static int take_prepared(infer_reader *r, infer_frame *to, e3_err *err)
{
	e3_frame *f = &r->frame;
	if (f->w % r->patch || f->h % r->patch)
		return e3_fail(err, "%d × %d, prepared: expected multiples of the patch size %d", f->w, f->h, r->patch);
	e3_image_release(&to->picture);
	to->picture = (e3_image){.w = f->w, .h = f->h, .channels = 3, .px = f->rgb};
	to->source = f->s;
	take_name(r, to);
	*f = (e3_frame){0};
	return 0;
}

static int read_frame(infer_reader *r, const e3_msg *msg, infer_frame *to, e3_err *err)
{
	e3_fit_plan plan;
	if (e3_frame_decode(msg, &r->frame, err))
		return -1;
	r->last = r->frame.s, r->w = r->frame.w, r->h = r->frame.h;
	e3_image in = {.w = r->frame.w, .h = r->frame.h, .channels = 3, .px = r->frame.rgb};
	if (r->frame.prepared)
		return take_prepared(r, to, err);
	e3_strips rows = e3_image_strips(&in);
	if (e3_fit_plan_make(in.w, in.h, &(e3_fit_rule){r->image_size, r->patch, r->mode}, &plan, err) ||
		e3_fitter_apply(r->fitter, &rows, &plan, &to->picture, err))
		return -1;
	if (e3_fit_cut(&plan) > 0 && !r->cut) {
		e3_note("--fit-mode crop: %.0f %% of each tall picture is cut off above and below; --fit-mode long keeps all",
			100 * e3_fit_cut(&plan));
		r->cut = true;
	}
	take_name(r, to);
	to->source = r->frame.s;
	to->source.fit = e3_fit_compose(r->frame.s.fit, &plan, in.w, in.h);
	return 0;
}

/* A mask covers the picture of its frame, unless it says something else. That picture ends here. */
static int read_mask(const infer_reader *r, const e3_msg *msg, e3_mask *to, e3_err *err)
{
	if (e3_mask_decode(msg, to, err))
		return -1;
	if (to->has_fit)
		return 0;
	if (to->i != r->last.i || !r->w)
		return e3_fail(err, "a mask without fit, expected directly after its frame");
	double sx = (double)to->w / r->w, sy = (double)to->h / r->h;
	const e3_fit *f = &r->last.fit;
	to->has_fit = true;
	to->fit = (e3_fit){sx * f->sx, sy * f->sy, sx * f->tx, sy * f->ty};
	return 0;
}

/* Any other message is kept as it is. */
static int keep_message(const e3_msg *msg, infer_item *to, e3_err *err)
{
	if (e3_grow((void **)&to->msg.bytes, msg->len, 1, "a message", err))
		return -1;
	memcpy(to->msg.bytes, msg->bytes, msg->len);
	to->msg.kind = msg->kind, to->msg.len = msg->len;
	return 0;
}

/* Skips frames that the resumed session has seen, except the first and the last of them, which are compared. */
static int next_wanted(infer_reader *r, infer_item *to, e3_msg *msg, e3_err *err)
{
	int more;
	for (to->covered = r->covered; (more = e3_in_next(r->in, msg, err)) > 0;) {
		bool of_frame = msg->kind == E3_FRAME || msg->kind == E3_TRUTH || msg->kind == E3_MASK;
		int64_t i = of_frame ? e3_msg_index(msg) : INT64_MAX;
		to->frame.covered = msg->kind == E3_FRAME && i <= r->covered_span.last;
		to->covered = r->covered += to->frame.covered;
		if (i >= r->covered_span.last || (to->frame.covered && i == r->covered_span.first))
			break;
	}
	return more;
}

static int read_item(infer_reader *r, infer_item *to, e3_err *err)
{
	e3_msg msg;
	int more = next_wanted(r, to, &msg, err);
	if (more <= 0)
		return more;
	to->kind = msg.kind;
	if (msg.kind == E3_MASK && read_mask(r, &msg, &to->mask, err)) {
		e3_fail_in(err, "reading the mask of frame %lld", (long long)e3_msg_index(&msg));
		return -1;
	}
	if (msg.kind == E3_MASK)
		return 1;
	if (msg.kind != E3_FRAME)
		return keep_message(&msg, to, err) ? -1 : 1;
	if (read_frame(r, &msg, &to->frame, err)) {
		e3_fail_in(err, "reading frame %lld", (long long)r->frames);
		return -1;
	}
	r->frames++;
	return 1;
}

/* Is there nothing to read for now? With the lock. */
static bool is_ahead(const infer_reader *r) { return r->n && (!r->belongs || r->n == ITEMS - 1); }

static void *run(void *arg)
{
	infer_reader *r = arg;
	e3_tool_about(r->about);
	for (int more = 1; more > 0;) {
		e3_err err = {""};
		pthread_mutex_lock(&r->lock);
		while (is_ahead(r) && !r->quit)
			pthread_cond_wait(&r->changed, &r->lock);
		bool quit = r->quit;
		infer_item *to = nth(r, r->n + 1); /* the caller takes only what is read */
		pthread_mutex_unlock(&r->lock);
		more = quit ? 0 : read_item(r, to, &err);
		pthread_mutex_lock(&r->lock);
		r->more = more, r->err = err, r->n++;
		r->belongs = more > 0 && (to->kind == E3_TRUTH || to->kind == E3_MASK);
		r->finished = more <= 0;
		pthread_cond_broadcast(&r->changed);
		pthread_mutex_unlock(&r->lock);
	}
	return NULL;
}

infer_reader *infer_reader_open(e3_in *in, const e3_config *c, e3_fit_mode mode, infer_span covered, e3_batch *batch,
	e3_err *err)
{
	infer_reader *r = e3_alloc(1, sizeof *r, "reader", err);
	if (!r)
		return NULL;
	r->in = in, r->image_size = c->image_size, r->patch = c->patch, r->mode = mode, r->covered_span = covered;
	r->batch = batch, r->about = e3_tool_about_what();
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->fitter = e3_fitter_open(1, err); /* the processors are the network's */
	if (r->fitter && e3_thread_start(&r->thread, run, r, err) == 0)
		return r;
	e3_fail_in(err, "starting the reader");
	infer_reader_close(r);
	return NULL;
}

int infer_reader_next(infer_reader *r, infer_item **item, e3_err *err)
{
	pthread_mutex_lock(&r->lock);
	bool waits = !r->n;
	if (waits)
		e3_batch_rest(r->batch);
	while (!r->n)
		pthread_cond_wait(&r->changed, &r->lock);
	if (waits)
		e3_batch_wake(r->batch);
	int more = r->n > 1 ? 1 : r->more;
	*item = nth(r, 1);
	if (more < 0)
		*err = r->err;
	if (more > 0)
		r->mine = (r->mine + 1) % ITEMS, r->n--;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return more;
}

const e3_image *infer_reader_peek(infer_reader *r)
{
	const e3_image *next = NULL;
	pthread_mutex_lock(&r->lock);
	infer_item *last = nth(r, r->n);
	if (r->n && r->more > 0 && last->kind == E3_FRAME && !last->frame.covered)
		next = &last->frame.picture;
	pthread_mutex_unlock(&r->lock);
	return next;
}

bool infer_reader_close(infer_reader *r)
{
	if (!r)
		return true;
	pthread_mutex_lock(&r->lock);
	r->quit = true;
	bool finished = r->finished || !r->thread.started;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (!finished)
		return false;
	e3_thread_join(&r->thread);
	for (int k = 0; k < ITEMS; k++) {
		e3_image_release(&r->item[k].frame.picture);
		free(r->item[k].frame.name);
		free(r->item[k].msg.bytes);
		e3_mask_release(&r->item[k].mask);
	}
	e3_frame_release(&r->frame);
	e3_fitter_close(r->fitter);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return true;
}
