/* e3-infer: the frames that a network sees together at the beginning of a stream. Owns what waits for the last of them:
 * they, and the ground truth and masks that follow them. */
#include "infer.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

int infer_start_keep(infer_start *s, infer_item *item, e3_err *err)
{
	if (e3_grow((void **)&s->item, (size_t)s->n + 1, sizeof *s->item, "the first frames", err))
		return -1;
	/* The reader fills the item anew. */
	s->item[s->n++] = (infer_item){.kind = item->kind, .frame = item->frame, .mask = item->mask, .msg = item->msg};
	s->frames += item->kind == E3_FRAME;
	item->frame = (infer_frame){.covered = false};
	item->mask = (e3_mask){0};
	item->msg = (e3_msg){0};
	return 0;
}

static int room(infer_start *s, e3_err *err)
{
	size_t n = (size_t)s->frames;
	free(s->rgb), free(s->i), free(s->results), free(s->evicts); /* of an attempt that found too little memory */
	s->rgb = e3_alloc(n, sizeof *s->rgb, "the first frames", err);
	s->i = e3_alloc(n, sizeof *s->i, "the first frames", err);
	s->results = e3_alloc(n, sizeof *s->results, "the first frames", err);
	s->evicts = e3_alloc(n, sizeof *s->evicts, "the first frames", err);
	return s->rgb && s->i && s->results && s->evicts ? 0 : -1;
}

int infer_start_compute(infer_start *s, e3_track *track, e3_err *err)
{
	if (room(s, err))
		return -1;
	for (int k = 0, n = 0; k < s->n; k++)
		if (s->item[k].kind == E3_FRAME)
			s->rgb[n] = s->item[k].frame.picture.px, s->i[n++] = s->item[k].frame.source.i;
	return e3_track_start(track, &(e3_track_first){s->rgb, s->i, s->frames}, s->results, s->evicts, err);
}

void infer_start_release(infer_start *s)
{
	for (int k = 0; k < s->n; k++) {
		e3_image_release(&s->item[k].frame.picture);
		free(s->item[k].frame.name), free((void *)(uintptr_t)s->item[k].msg.bytes);
		e3_mask_release(&s->item[k].mask);
	}
	for (int k = 0; s->evicts && k < s->frames; k++)
		e3_evict_release(&s->evicts[k]);
	free(s->item), free(s->rgb), free(s->i), free(s->results), free(s->evicts);
	*s = (infer_start){0};
}
