/* video: finds out what an input is, and opens it. Standard input is recognized by its first bytes, operands by what is
 * on disk. */
#include "video/input.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/picture.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool e3_input_is_live(const e3_input_options *o)
{
	if (o->n != 1 || o->live == E3_LIVE_OFF)
		return false;
	e3_input_kind kind = e3_input_kind_of(o->operand[0]);
	return o->live != E3_LIVE_AUTO || kind == E3_INPUT_CAMERA || kind == E3_INPUT_NETWORK || kind == E3_INPUT_DRAWN;
}

const char *e3_input_name(const e3_input_options *o)
{
	return strcmp(o->operand[0], "-") ? o->operand[0] : "standard input";
}

/* Until n bytes are there or the input ends. A signal that comes just before a read does not end that: what waits is
 * poll, for a while at a time. */
static int read_head(const e3_input *in, input_head *head, size_t n, e3_err *err)
{
	const e3_input_options *o = &in->o;
	while (head->n < n) {
		struct pollfd p = {.fd = input_pipe(in), .events = POLLIN};
		int ready = poll(&p, 1, 200);
		if (o->stop && o->stop())
			return e3_fail(err, "reading: %s: interrupted", in->name);
		if (ready == 0)
			continue;
		ssize_t r = read(input_pipe(in), head->bytes + head->n, n - head->n);
		if (r < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (r < 0)
			return e3_fail_sys(err, "reading: %s", in->name);
		if (r == 0)
			break;
		head->n += (size_t)r;
	}
	return head->n ? 0 : e3_fail(err, "reading: %s: empty", in->name);
}

/* A few bytes show most pictures, and a picture may have no more. */
static int open_pipe(e3_input *in, e3_err *err)
{
	enum { FEW = 8 };
	input_head *head = &in->head;
	if (read_head(in, head, FEW, err))
		return -1;
	if (e3_image_sniff(head->bytes, head->n) == E3_IMAGE_NONE && read_head(in, head, sizeof head->bytes, err))
		return -1;
	bool moves = e3_picture_may_move(head->bytes, head->n);
	in->o.spool = in->o.spool || moves; /* so that its frames can be counted */
	if (e3_image_sniff(head->bytes, head->n) != E3_IMAGE_NONE && !moves)
		return input_open_picture_stream(in, err);
	return input_open_video(in, input_pipe(in), err);
}

static int open_fifo(e3_input *in, const char *path, e3_err *err)
{
	in->fd = e3_open_input(path);
	return in->fd < 0 ? e3_fail_sys(err, "opening: %s", path) : open_pipe(in, err);
}

static int open_operands(e3_input *in, e3_err *err)
{
	if (in->o.n == 1 && e3_input_kind_of(in->o.operand[0]) == E3_INPUT_PIPE)
		return open_fifo(in, in->o.operand[0], err);
	/* FFmpeg's own patterns end at a gap; its options ask for them. */
	if (in->o.n == 1 && in->o.n_set == 0 && input_list_pattern(&in->list, in->o.operand[0], in->o.lexical, err))
		return -1;
	if (in->list.n == 0 && e3_pictures_expand(in->o.operand, in->o.n, in->o.lexical, &in->list, err))
		return -1;
	return in->list.n ? input_open_pictures(in, err) : input_open_video(in, -1, err);
}

static void release(e3_input *in)
{
	e3_image_release(&in->best.picture);
	e3_image_release(&in->best.spare);
	e3_pictures_release(&in->list);
	free(in->bad);
	e3_image_stream_close(in->stream);
	e3_video_close(in->video);
	e3_live_close(in->live);
	if (in->fd >= 0)
		close(in->fd);
	free(in);
}

e3_input *e3_input_open(const e3_input_options *o, e3_err *err)
{
	e3_input *in = e3_alloc(1, sizeof *in, "an input", err);
	if (!in)
		return NULL;
	in->o = *o;
	in->name = e3_input_name(o);
	in->total = -1, in->fd = -1;
	int rc = e3_input_is_live(o)                       ? input_open_live(in, err)
		: o->n == 1 && strcmp(o->operand[0], "-") == 0 ? open_pipe(in, err)
													   : open_operands(in, err);
	if (rc) {
		release(in);
		return NULL;
	}
	return in;
}

int64_t e3_input_frames(const e3_input *in) { return in->total; }
double e3_input_fps(const e3_input *in) { return in->fps; }
int64_t e3_input_skipped(e3_input *in) { return in->live ? e3_live_counted(in->live).skipped : 0; }

int64_t e3_input_left_out(const e3_input *in) { return in->left_out - in->known; }

const char *e3_input_picture(const e3_input *in) { return in->picture; }

/* Once, of videos. */
static void follow_size(e3_input *in, const e3_image *im, const e3_source *at)
{
	if (in->w && (in->w != im->w || in->h != im->h) && !in->told_size && in->video) {
		e3_tell(E3_TELL_WARN, "reading: %s: the size of its frames changes from %d × %d to %d × %d at %.2f s", in->name,
			in->w, in->h, im->w, im->h, at->pts);
		in->told_size = true;
	}
	in->w = im->w, in->h = im->h;
}

int e3_input_next(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	*at = (e3_source){.pts = 0};
	if (in->o.stop && in->o.stop())
		return 0;
	int rc = in->kind->next(in, im, at, key, err);
	in->given += rc > 0;
	if (rc > 0)
		follow_size(in, im, at);
	return rc;
}

void e3_input_close(e3_input *in)
{
	if (!in)
		return;
	if (in->kind->report)
		in->kind->report(in);
	release(in);
}
