/* e3-infer: how much memory a run takes: the table of --plan, and the budget that --vram leaves. Found by trying: a
 * session is opened for frames of the size at hand and two grey frames go through it, so that everything a frame needs
 * has been allocated. */
#include "infer.h"
#include "e3/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a device needs for each token beside keys, values and scores: its mass, and room for choosing. */
enum { BESIDE_TOKEN = 28 };

static uint64_t used(e3_dev *dev) { return dev->ops->memory(dev).used; }

/* Memory in use with a session of these options at work, and its plan. */
static int try_session(const infer_memory *m, const e3_infer_options *o, uint64_t *in_use, e3_plan *plan, e3_err *err)
{
	e3_session *s = e3_session_open(m->net, m->dev, o, m->size, err);
	uint8_t *grey = e3_alloc(3 * (size_t)m->size[0], (size_t)m->size[1], "a picture", err);
	e3_evict evict = {0};
	int rc = s && grey ? 0 : -1;
	if (!rc)
		memset(grey, 128, 3 * (size_t)m->size[0] * (size_t)m->size[1]);
	for (int k = 0; !rc && k < 2; k++) {
		e3_result r;
		rc = e3_session_step(s, grey, &r, &evict, err);
	}
	if (!rc) {
		*in_use = used(m->dev);
		*plan = *e3_session_plan(s);
	}
	e3_evict_release(&evict);
	free(grey);
	e3_session_close(s);
	return rc;
}

int infer_plan(const infer_memory *m, const e3_infer_options *o, e3_err *err)
{
	e3_plan p;
	uint64_t with_net = used(m->dev), all;
	const double mib = 1.0 / 1048576;
	if (try_session(m, o, &all, &p, err))
		return e3_fail_in(err, "planning");
	printf("frames     %d × %d, %d tokens each\n", m->size[1], m->size[0], p.tokens_per_frame);
	printf("device     %10.1f MiB  %s, before anything is loaded\n", mib * (double)m->before,
		m->dev->ops->name(m->dev));
	printf("weights    %10.1f MiB\n", mib * (double)(with_net - m->before));
	printf("scratch    %10.1f MiB\n", mib * (double)(all - with_net) - mib * (double)p.cache_bytes);
	if (isfinite(p.budget))
		printf("cache      %10.1f MiB  keeps %.0f tokens: %.2f frames in each of %d layers\n",
			mib * (double)p.cache_bytes, floor(p.budget), p.budget / p.layers / p.tokens_per_frame, p.layers);
	else
		printf("cache                      grows by %.1f MiB with every frame\n",
			mib * (double)p.token_bytes * p.layers * p.tokens_per_frame);
	printf("total      %10.1f MiB\n", mib * (double)all);
	return fflush(stdout) || ferror(stdout) ? e3_fail_sys(err, "writing: standard output") : 0;
}

int infer_solve(const infer_memory *m, double total, e3_infer_options *o, e3_err *err)
{
	e3_infer_options least = *o;
	e3_plan p;
	uint64_t all;
	least.attn = NULL, least.attn_map = false;
	least.budget_kind = E3_BUDGET_FRAMES, least.budget = 2;
	if (try_session(m, &least, &all, &p, err))
		return e3_fail_in(err, "planning --vram");
	double per_token = (double)p.page_bytes / p.page_keys, fixed = (double)(all - p.cache_bytes),
		   beside = BESIDE_TOKEN / per_token;
	double cache = (total - fixed) / (1 + beside), smallest = fixed + (double)p.cache_bytes * (1 + beside);
	if (cache < (double)p.cache_bytes)
		return e3_fail(err,
			"planning: --vram: %.0f MiB is too small: all but the cache takes %.0f; the smallest that works is %.0fM",
			total / 1048576, fixed / 1048576, ceil(smallest / 1048576));
	o->budget_kind = E3_BUDGET_BYTES;
	o->budget = cache;
	return 0;
}
