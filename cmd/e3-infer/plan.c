/* e3-infer: --plan. Owns what a run would take: measured on a GPU, counted for a CPU. Reads no weights. */
#include "infer.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>

/* What so many streams in sets take: of each set what it takes besides the one before. 1, and why: there is no device
 * for another set. */
static int measure(const infer_setup *s, infer_request *r, const int size[2], int sets, e3_session_memory *m,
	e3_err *err)
{
	e3_session_memory next;
	for (int k = 0; k < sets; k++) {
		int n = infer_streams_in_set((int)r->streams, sets, k);
		uint64_t before = s->dev->ops->memory(s->dev).used;
		e3_dev *dev = k ? e3_dev_cuda(r->strict, err) : s->dev;
		if (!dev)
			return 1;
		bool batch = r->streams && (sets == 1 || n > 1);
		int rc = !batch || (r->o.batch = e3_batch_open(n, err)) ? 0 : -1;
		rc = rc || infer_setup_settle(s, r, size, err) || e3_session_measure(s->net, dev, &r->o, size, &next, err) ? -1
																												   : 0;
		e3_batch_close(r->o.batch);
		r->o.batch = NULL;
		if (k)
			e3_dev_close(dev);
		if (rc)
			return -1;
		*m = (e3_session_memory){next.plan, k ? m->in_use + next.in_use - before : next.in_use};
	}
	return 0;
}

/* Pictures as they come: prepared ones have the network's size already. */
static int fit_size(const infer_setup *s, const infer_request *r, int w, int h, bool prepared, int size[2], e3_err *err)
{
	const e3_config *c = e3_net_config(s->net);
	const e3_fit_rule rule = {c->image_size, c->patch, (e3_fit_mode)r->fit_mode};
	e3_fit_plan to = {.w = w, .h = h};
	if (!prepared && e3_fit_plan_make(w, h, &rule, &to, err))
		return -1;
	size[0] = to.h, size[1] = to.w;
	return 0;
}

/* Up to the first frame: the length, if the head says it (-1), and the size. */
static int read_start(const infer_setup *s, infer_request *r, e3_stage *in, int64_t *frames, int size[2], e3_err *err)
{
	e3_msg msg;
	e3_frame f = {0};
	e3_head head = {0};
	int more = 0, rc = e3_stage_open_input(in, err);
	while (!rc && (more = e3_in_next(in->in, &msg, err)) > 0 && msg.kind != E3_FRAME) {
		rc = msg.kind == E3_HEAD && e3_stage_head_take(in, &msg, &head, err) ? -1 : 0;
		*frames = msg.kind == E3_HEAD ? head.frames : *frames;
	}
	if (!rc && more == 0)
		rc = e3_fail(err, "reading: %s: no frame, whose size the plan needs", in->input);
	rc = rc || more < 0 || e3_frame_decode(&msg, &f, err) || fit_size(s, r, f.w, f.h, f.prepared, size, err) ? -1 : 0;
	if (!rc)
		printf("stream     %s: ", in->input);
	if (!rc && *frames >= 0)
		printf("%lld frame%s of ", (long long)*frames, *frames == 1 ? "" : "s");
	if (!rc)
		printf("%d × %d%s\n", f.w, f.h, f.prepared ? ", prepared" : "");
	e3_frame_release(&f);
	e3_head_release(&head);
	return rc;
}

/* INPUT, where it is given: of several the longest. All have one size, since what is shared is there once for each. */
static int read_streams(const infer_setup *s, infer_request *r, int size[2], e3_err *err)
{
	int64_t most = 0;
	for (int k = 0; k < r->n_inputs; k++) {
		e3_stage in = {.input = r->inputs[k],
			.stream = r->stage.stream,
			.needs = r->stage.needs,
			.lock = PTHREAD_MUTEX_INITIALIZER};
		int64_t frames = -1;
		int own[2];
		int rc = read_start(s, r, &in, &frames, own, err);
		e3_stage_close(&in);
		if (rc)
			return -1;
		if (k && (own[0] != size[0] || own[1] != size[1]))
			return e3_fail(err,
				"planning: %s: %d × %d for the network, %d × %d of the stream before: a plan is for one size", in.input,
				own[1], own[0], size[1], size[0]);
		size[0] = own[0], size[1] = own[1];
		most = frames < 0 || most < 0 ? -1 : frames > most ? frames : most;
	}
	infer_take_length(r, most);
	return 0;
}

/* --plan: reads no weights, and of a stream its start; prints the memory that a run with these options takes. A GPU
 * computes two frames for it; the CPU is not asked. */
int infer_setup_plan(infer_setup *s, infer_request *r, e3_err *err)
{
	const double mib = 1.0 / 1048576;
	enum { EXAMPLE = 100 };
	int size[2];
	e3_session_memory m = {0};
	if (infer_setup_open(s, r, err) ||
		(r->n_inputs ? read_streams(s, r, size, err)
					 : fit_size(s, r, r->plan_size[0], r->plan_size[1], false, size, err)))
		return -1;
	bool example = r->o.frames < 0 && r->o.budget_kind == E3_BUDGET_FRACTION && r->vram <= 0 && !r->track.segment &&
		!r->o.policy->keeps_all;
	r->o.frames = example ? EXAMPLE : r->o.frames;
	uint64_t with_net = s->dev->ops->memory(s->dev).used;
	int sets = infer_streams_sets(r, s->gpu, (int)r->streams), rc = measure(s, r, size, sets, &m, err);
	if (rc > 0) {
		infer_streams_tell_one_set(err);
		sets = 1, rc = measure(s, r, size, sets, &m, err);
	}
	if (rc) {
		infer_explain(err);
		return -1;
	}
	int lanes = infer_streams_in_set((int)r->streams, sets, 0);
	const e3_plan *p = &m.plan;
	uint64_t cache = (uint64_t)(r->streams ? r->streams : 1) * p->cache_bytes;
	if (with_net < s->before || m.in_use < with_net + cache) /* the device counts for all programs together */
		return e3_fail(err, "planning: another program gave device memory back while this one measured: run it again");
	const char *each = r->streams > 1 ? " of each stream" : "";
	if (r->streams)
		printf("streams    %d, the frames of %d go together at most%s\n", (int)r->streams,
			lanes < E3_LANES ? lanes : E3_LANES, sets > 1 ? ", in two sets side by side" : "");
	if (example)
		printf("stream     %d frames, as an example: --frames says how many, --budget needs no number\n", EXAMPLE);
	printf("frames     %d × %d, %d tokens each\n", size[1], size[0], p->tokens_per_frame);
	printf("device     %10.1f MiB  %s, before anything is loaded\n", mib * (double)s->before,
		s->dev->ops->name(s->dev));
	printf("weights    %10.1f MiB", mib * (double)(with_net - s->before));
	if (r->packed)
		printf("  with %.1f kept for matrices that stay in more than 8 bits", mib * (double)e3_net_reserve(s->net));
	printf("\n");
	printf("scratch    %10.1f MiB\n", mib * (double)(m.in_use - with_net - cache));
	if (isfinite(p->budget))
		printf("cache      %10.1f MiB  keeps %.0f tokens%s%s%s: %.2f frames in each of %d layers\n",
			mib * (double)cache, floor(p->budget), r->o.pack ? ", packed as " : "",
			r->o.pack ? e3_infer_kept_as(&r->o) : "", each, p->budget / p->layers / p->tokens_per_frame, p->layers);
	else if (r->separate)
		printf("cache                      %.1f MiB of one frame%s\n",
			mib * (double)p->token_bytes * p->layers * p->tokens_per_frame, each);
	else
		printf("cache                      grows by %.1f MiB with every frame%s\n",
			mib * (double)p->token_bytes * p->layers * p->tokens_per_frame, each);
	printf("total      %10.1f MiB\n", mib * (double)m.in_use);
	return fflush(stdout) || ferror(stdout) ? e3_fail_sys(err, "writing: standard output") : 0;
}
