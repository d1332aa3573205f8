/* e3-export: predictions and the masks that follow them: one prediction waits until the next one comes. Owns masks that
 * come before their prediction, of one frame. */
#include "export.h"
#include "e3/mem.h"
#include <stdlib.h>

struct waiting {
	e3_export *x;
	bool masks; /* without them nothing waits */
	take_pred_fn *take;
	void *to;
	e3_pred pred;
	bool full; /* it waits */
	e3_mask mask[E3_EXPORT_MASKS + 1];
	int n; /* masks of the prediction that comes next */
};

waiting *waiting_open(e3_export *x, bool masks, take_pred_fn *take, void *to, e3_err *err)
{
	waiting *w = e3_alloc(1, sizeof *w, "a prediction", err);
	if (w)
		*w = (waiting){.x = x, .masks = masks, .take = take, .to = to};
	return w;
}

int waiting_end(waiting *w, e3_err *err)
{
	bool full = w->full;
	w->full = false;
	return full ? w->take(w->to, &w->pred, err) : 0;
}

int waiting_pred(waiting *w, const e3_msg *msg, e3_err *err)
{
	if (waiting_end(w, err) || e3_pred_decode(msg, &w->pred, err))
		return -1;
	w->full = true;
	int n = w->n;
	for (w->n = 0; n > 0; n--)
		if (e3_export_mask(w->x, &w->pred, &w->mask[n - 1], err))
			return -1;
	return w->masks ? 0 : waiting_end(w, err);
}

int waiting_mask(waiting *w, const e3_msg *msg, e3_err *err)
{
	int64_t i = e3_msg_index(msg);
	bool early = !w->full || i > w->pred.s.i;
	if (early && waiting_end(w, err))
		return -1;
	if (w->n && w->mask[0].i != i) /* of a frame that has not come */
		w->n = 0;
	int at = w->n < E3_EXPORT_MASKS ? w->n : E3_EXPORT_MASKS;
	if (e3_mask_decode(msg, &w->mask[at], err))
		return -1;
	if (!early)
		return e3_export_mask(w->x, &w->pred, &w->mask[at], err);
	w->n = at < E3_EXPORT_MASKS ? at + 1 : at; /* more than can be asked for are of other classes */
	return 0;
}

void waiting_close(waiting *w)
{
	if (!w)
		return;
	e3_pred_release(&w->pred);
	for (int k = 0; k <= E3_EXPORT_MASKS; k++)
		e3_mask_release(&w->mask[k]);
	free(w);
}
