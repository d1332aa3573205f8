/* model: how much device memory a session takes, and the budget that an amount of memory leaves for the cache. Found by
 * trying: a session is opened for frames of the size at hand and computes grey frames, so that everything a frame needs
 * has been allocated. */
#include "e3/mem.h"
#include "together.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a device needs for each token besides keys, values and scores: its mass, and working memory for eviction. */
enum { WORK_PER_TOKEN = 28 };

/* A frame, and then the same once more. */
typedef struct pair {
	const uint8_t *grey;
	bool again;
} pair;

static const uint8_t *same_again(void *ctx)
{
	pair *p = ctx;
	const uint8_t *next = p->again ? p->grey : NULL;
	p->again = false;
	return next;
}

/* Grey frames: those that begin the stream together, whose memory is given back after that, and two more. */
static int try_frames(e3_session *s, e3_dev *dev, uint8_t *grey, e3_session_memory *out, e3_err *err)
{
	const e3_plan *p = e3_session_plan(s);
	int n = p->together < p->keys ? p->together : (int)p->keys;
	const uint8_t **rgb = e3_alloc((size_t)n, sizeof *rgb, "pictures", err);
	e3_result *results = e3_alloc((size_t)n, sizeof *results, "results", err);
	e3_evict *evicts = e3_alloc((size_t)n, sizeof *evicts, "records", err);
	int rc = rgb && results && evicts ? 0 : -1;
	pair once = {grey, true};
	e3_session_look_ahead(s, same_again, &once);
	for (int k = 0; !rc && k < n; k++)
		rgb[k] = grey;
	if (!rc && n > 1)
		rc = e3_session_start(s, rgb, n, results, evicts, err);
	uint64_t most = rc ? 0 : dev->ops->memory(dev).used;
	for (int k = 0; !rc && k < 2 && (n > 1 ? n : 0) + k < p->keys; k++)
		e3_work_lane(s, s->home), rc = e3_session_alone(s, grey, results, evicts, err);
	if (!rc) {
		uint64_t then = dev->ops->memory(dev).used;
		*out = (e3_session_memory){*e3_session_plan(s), then > most ? then : most};
	}
	e3_session_look_ahead(s, NULL, NULL);
	for (int k = 0; evicts && k < n; k++)
		e3_evict_release(&evicts[k]);
	free(rgb), free(results), free(evicts);
	return rc;
}

/* All streams of a batch: each a frame alone, since their caches grow, then two together. */
static int try_batch(e3_session **s, int n, uint8_t *grey, e3_session_memory *out, e3_err *err)
{
	e3_result result;
	e3_evict *evict = e3_alloc((size_t)n, sizeof *evict, "records", err);
	uint64_t most = 0;
	int rc = evict ? 0 : -1;
	for (int k = 0; !rc && k < n; k++) {
		e3_session_memory one;
		rc = try_frames(s[k], s[k]->dev, grey, &one, err);
		most = one.in_use > most ? one.in_use : most, out->plan = one.plan;
	}
	for (int k = 0; !rc && k < 2 * n && s[0]->past->t + 1 < s[0]->plan.keys; k += E3_LANES) {
		e3_turn turn[E3_LANES], *list[E3_LANES];
		int lanes = 0;
		for (; lanes < E3_LANES && lanes < n; lanes++) {
			int of = (k + lanes) % n;
			turn[lanes] = (e3_turn){.s = s[of], .rgb = grey, .result = &result, .evict = &evict[of], .err = err};
			list[lanes] = &turn[lanes];
		}
		e3_turns_take(list, lanes);
		for (int l = 0; l < lanes; l++)
			rc = rc || turn[l].rc ? -1 : 0;
	}
	if (!rc) {
		uint64_t then = s[0]->dev->ops->memory(s[0]->dev).used;
		out->in_use = then > most ? then : most;
	}
	for (int k = 0; evict && k < n; k++)
		e3_evict_release(&evict[k]);
	free(evict);
	return rc;
}

int e3_session_measure(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2],
	e3_session_memory *out, e3_err *err)
{
	size_t bytes = 3 * (size_t)size[0] * (size_t)size[1];
	int n = o->batch ? e3_batch_streams(o->batch) : 1, rc = 0;
	e3_session **s = e3_alloc((size_t)n, sizeof *s, "sessions", err);
	uint8_t *grey = e3_alloc(bytes, 1, "a picture", err);
	for (int k = 0; s && grey && !rc && k < n; k++)
		rc = (s[k] = e3_session_open(net, dev, o, size, err)) ? 0 : -1;
	rc = s && grey && !rc ? 0 : -1;
	if (!rc) {
		memset(grey, 128, bytes);
		rc = n > 1 ? try_batch(s, n, grey, out, err) : try_frames(s[0], dev, grey, out, err);
	}
	free(grey);
	for (int k = 0; s && k < n; k++)
		e3_session_close(s[k]);
	free(s);
	return rc;
}

/* Columns of the attention maps that are reported, for each token: any layer may come to hold all of them. */
static double map_columns(const e3_infer_options *o, const e3_plan *p)
{
	int maps = 0;
	for (int l = 0; o->attn && o->attn_map && l < p->layers; l++)
		maps += o->attn[l];
	return (double)maps * p->tokens_per_frame * sizeof(float);
}

enum { BLOCK = 2 << 20 }; /* a device hands out whole ones */

/* Once more, with what the estimate left but for a block. A stream that needs no more takes no more; then the budget
 * says what there would be room for. */
static void use_rest(const e3_net *net, e3_dev *dev, e3_infer_options *o, const int size[2], double total,
	const e3_session_memory *found, double work)
{
	e3_infer_options trial = *o;
	e3_session_memory m = *found;
	double streams = o->batch ? e3_batch_streams(o->batch) : 1, columns = streams * map_columns(o, &found->plan),
		   rest = total - (double)found->in_use - columns * found->plan.budget - 1.5 * BLOCK;
	bool needed = o->budget - (double)found->plan.cache_bytes < (double)found->plan.page_bytes;
	trial.budget = (double)found->plan.cache_bytes + rest / (1 + work) / streams;
	if (trial.budget <= o->budget || (needed && e3_session_measure(net, dev, &trial, size, &m, NULL)))
		return;
	if ((double)m.in_use + columns * m.plan.budget + BLOCK <= total)
		o->budget = trial.budget;
}

/* Several pieces of memory grow with the cache: the ends of their blocks are left free, and a trial shows that it is
 * enough. */
int e3_session_fit(const e3_net *net, e3_dev *dev, e3_infer_options *o, const int size[2], double total, e3_err *err)
{
	const double mib = 1048576;
	e3_infer_options trial = *o;
	e3_session_memory m, found;
	int start = o->start ? o->start : e3_config_arch(e3_net_config(net))->start;
	trial.budget_kind = E3_BUDGET_FRAMES, trial.budget = start > 2 ? start : 2;
	if (e3_session_measure(net, dev, &trial, size, &found, err))
		return -1;
	double streams = o->batch ? e3_batch_streams(o->batch) : 1;
	double per_token = (double)found.plan.page_bytes / found.plan.page_keys,
		   work = (WORK_PER_TOKEN + map_columns(o, &found.plan)) / per_token, least = (double)found.plan.cache_bytes,
		   smallest = (double)found.in_use, room = total - smallest;
	if (room < 0)
		return e3_fail(err, "%.0f MiB is too small: all but the cache takes %.0f; the smallest that works is %.0fM",
			total / mib, (smallest - streams * least) / mib, ceil(smallest / mib));
	o->budget_kind = trial.budget_kind = E3_BUDGET_BYTES;
	o->budget = least;
	for (double spare = (2 + streams) * BLOCK; spare < room; spare += (double)m.in_use - total + BLOCK) {
		trial.budget = least + (room - spare) / (1 + work) / streams;
		if (e3_session_measure(net, dev, &trial, size, &m, err))
			return -1;
		if ((double)m.in_use <= total) {
			o->budget = trial.budget, found = m;
			break;
		}
	}
	use_rest(net, dev, o, size, total, &found, work);
	return 0;
}
