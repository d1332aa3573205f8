/* e3-infer: what a run stands on: the device, the network, and the memory that both leave. Refuses budgets that do not
 * fit. */
#include "infer.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pipes and devices are opened when they are used. */
static bool is_special(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int infer_setup_try(const infer_request *r, e3_err *err)
{
	const char *input = r->stage.input;
	e3_file file = {0};
	if (strcmp(input, "-") != 0 && strncmp(input, "zmq:", 4) != 0 && access(input, R_OK))
		return e3_fail_sys(err, "opening: %s", input);
	if (e3_stage_peek(&r->stage, err))
		return -1;
	if (!r->save || is_special(r->save))
		return 0;
	int rc = e3_file_open(&file, r->save, err);
	e3_file_discard(&file);
	return rc ? e3_fail_in(err, "saving the cache") : 0;
}

/* --precision bf16 on the CPU. Who left the device to us gets f32 from a processor that has no products of bf16. */
static int ask_for_bf16(infer_setup *s, const infer_request *r, e3_err *err)
{
	e3_err why = {""};
	if (r->plan) {
		e3_dev_hollow_bf16(s->dev);
		return 0;
	}
	if (!e3_dev_cpu_bf16(s->dev, &why)) {
		e3_detail("device: %s", s->dev->ops->name(s->dev));
		return 0;
	}
	if (r->device == DEVICE_CPU)
		return e3_fail(err, "%s: give --precision f32", why.text);
	e3_detail("%s: f32 instead", why.text);
	return 0;
}

static int open_device(infer_setup *s, const infer_request *r, e3_err *err)
{
	e3_err why = {""};
	double t = e3_now();
	if (r->device != DEVICE_CPU)
		s->dev = e3_dev_cuda(r->strict, r->device == DEVICE_CUDA ? err : &why);
	s->gpu = s->dev != NULL;
	if (s->gpu)
		e3_detail("device: %s, opened in %.2f s", s->dev->ops->name(s->dev), e3_now() - t);
	if (s->dev || r->device == DEVICE_CUDA)
		return s->dev ? 0 : -1;
	if (r->device == DEVICE_AUTO)
		e3_detail("device: the CPU (%s)", why.text);
	if (r->vram > 0)
		return e3_fail(err, "opening the device: --vram: the CPU has no device memory: give --budget");
	s->dev = r->plan ? e3_dev_hollow(err) : e3_dev_cpu((int)r->threads, err);
	if (s->dev && r->bf16 && ask_for_bf16(s, r, err))
		return -1;
	if (s->dev && s->dev->halt) /* a frame may take a minute here */
		*s->dev->halt = (e3_halt){e3_stop_signal, true};
	return s->dev ? 0 : -1;
}

/* --dump and --counters: a device that stands in front of the other one. */
static int watch_device(infer_setup *s, const infer_request *r, e3_err *err)
{
	e3_watch_options o = {r->dump, r->n_dump_blocks ? r->dump_blocks : NULL, r->counters};
	if (!r->dump && !r->counters)
		return 0;
	s->dev = e3_dev_watch(s->dev, &o, err);
	return s->dev ? 0 : e3_fail_in(err, "opening: --dump");
}

/* What takes so long that a user wonders whether anything happens is said at once. */
static bool is_large(const e3_config *c) { return c->parameters >= 100000000; }

static void tell_loading(const infer_setup *s, const e3_ckpt *ckpt)
{
	e3_config c;
	e3_err why = {""};
	if (e3_config_read(ckpt, &c, NULL, &why) || !is_large(&c))
		return;
	e3_note("loading the model for the %s: %.0f M parameters", s->gpu ? "GPU" : "CPU", 1e-6 * (double)c.parameters);
	e3_progress("loading the model");
	e3_status("state=loading the model");
	e3_status_flush();
}

static void tell_loaded(const infer_setup *s, double seconds)
{
	const e3_config *c = e3_net_config(s->net);
	e3_detail("model: %s: %.1f M parameters, loaded in %.2f s", c->name, 1e-6 * (double)c->parameters, seconds);
	if (!is_large(c))
		return;
	e3_note("the model is loaded after %.1f s%s", seconds,
		s->gpu ? "" : "; a CPU takes seconds to half a minute for each frame");
	e3_progress("waiting for the first frame");
	e3_status("state=computing the first frame");
	e3_status_flush();
}

/* Of a plan: which model it is for. The released files say nothing of their licence; the shape says what it is. */
static void print_model(const e3_config *c, const char *path)
{
	const e3_arch *arch = e3_config_arch(c);
	char theirs[256] = "";
	if (!c->license[0] && is_large(c) && strncmp(path, "seed:", 5) != 0)
		snprintf(theirs, sizeof theirs, " (the authors' %s: %s)", arch->title, arch->license);
	printf("model      %s, %s%s, %.1f M parameters: %s\n", c->name[0] ? c->name : "unnamed",
		c->license[0] ? c->license : "licence unknown", theirs, 1e-6 * (double)c->parameters, path);
}

/* Not every architecture has a head for points, which depth and pose give too. */
static void drop_missing(infer_request *r, const e3_config *c)
{
	if (!c->point.present && !r->given.points)
		r->outputs &= ~E3_OUT_POINTS, r->o.outputs &= ~E3_OUT_POINTS;
}

/* What the network was made for, where nothing else was said. */
static int adopt(infer_request *r, const e3_config *c, e3_err *err)
{
	const e3_arch *arch = e3_config_arch(c);
	const infer_given *g = &r->given;
	bool said = g->policy || g->fraction || g->budget || r->vram > 0 || g->temperature || g->protect_first || g->seed ||
		r->separate || r->load || r->o.compat;
	const e3_policy *own = e3_policy_find(arch->policy);
	if (!g->window && arch->window && !r->load)
		r->o.window = arch->window;
	if (!said && own)
		e3_infer_use_policy(&r->o, own);
	if (g->window && !r->load && !r->o.policy->slides)
		return e3_fail(err, "opening: --window: only with --policy lingbot, this run has %s", r->o.policy->name);
	return 0;
}

static int open_net(infer_setup *s, infer_request *r, e3_err *err)
{
	char *path;
	if (infer_find_model(r->model, &path, err))
		return -1;
	double t = e3_now();
	s->before = s->dev->ops->memory(s->dev).used;
	e3_ckpt *ckpt = e3_ckpt_open(path, err);
	if (!ckpt && !strpbrk(path, "/.:") && access(path, F_OK))
		e3_fail(err,
			"reading model: %s: there is no such file: expected a file or seed:CONFIG:N. 'e3-model fetch' gets released weights",
			path);
	if (ckpt) {
		e3_ckpt_stop_by(ckpt, e3_stop_signal);
		e3_ckpt_read_with(ckpt, (int)r->threads);
		if (r->plan)
			e3_ckpt_empty(ckpt);
		else
			tell_loading(s, ckpt);
		s->net = e3_net_open_packed(ckpt, s->dev, r->packed, err);
	}
	if (s->net && r->packed && !r->plan)
		s->ckpt = ckpt;
	else
		e3_ckpt_close(ckpt);
	if (s->net && r->plan)
		print_model(e3_net_config(s->net), path);
	free(path);
	if (!s->net)
		return -1;
	const e3_config *c = e3_net_config(s->net);
	drop_missing(r, c);
	if (adopt(r, c, err))
		return -1;
	if (!r->plan)
		tell_loaded(s, e3_now() - t);
	if (r->last_attn >= c->layers)
		return e3_fail(err, "opening: --attn-layers: layer %d: the model has layers 0 to %d", r->last_attn,
			c->layers - 1);
	int blocks = c->layers > c->vit_depth ? c->layers : c->vit_depth;
	for (int k = blocks; k < E3_WATCH_BLOCKS; k++)
		if (r->dump_blocks[k])
			return e3_fail(err, "opening: --dump-layers: block %d: vit has blocks 0 to %d, agg 0 to %d", k,
				c->vit_depth - 1, c->layers - 1);
	return 0;
}

int infer_setup_open(infer_setup *s, infer_request *r, e3_err *err)
{
	return open_device(s, r, err) || watch_device(s, r, err) || open_net(s, r, err) ? -1 : 0;
}

void infer_setup_close(infer_setup *s)
{
	e3_net_close(s->net);
	e3_ckpt_close(s->ckpt);
	e3_dev_close(s->dev);
	*s = (infer_setup){0};
}

/* What was chosen: in a line; with -v every matrix that stays in 16 bits, the worst first, and those that should. */
static void tell_packing(const infer_setup *s, const infer_request *r, const e3_packing *p, double seconds)
{
	const char *type = e3_packing_type(r->packed), *wide = s->gpu ? "16 bits" : "f32";
	char name[32];
	e3_note("%s: %d of %d matrices; %d stay in %s; error of a product at most %.2g %%, compared in %.1f s", type,
		p->n - p->n_wide, p->n, p->n_wide, wide, 100 * p->worst, seconds);
	if (p->n_over)
		e3_warn("%s: %d matrices err by more than %.2g %%, the worst by %.2g %%, and do not fit into the %.0f MiB kept "
				"for that: --precision %s errs less",
			type, p->n_over, 100 * p->bound, 100 * p->over, (double)s->reserve / 1048576,
			r->packed == E3_I8 ? "fp8 or bf16" : "bf16");
	for (int k = 0; k < p->n; k++) {
		e3_packing_name(e3_net_config(s->net), k, name);
		if (p->wide[k])
			e3_detail("%s: %s stays in %s: its product errs by %.2g %%", type, name, wide, 100 * p->error[k]);
	}
}

int infer_setup_calibrate(infer_setup *s, const infer_request *r, const e3_saved *from, const e3_image *picture,
	e3_err *err)
{
	double t = e3_now();
	e3_packing p = {0};
	if (!s->ckpt)
		return 0;
	if (r->dump)
		e3_watch_frame(s->dev, -1);
	s->reserve = e3_net_reserve(s->net);
	int rc = from
		? e3_net_widen(s->net, s->ckpt, s->dev, from->wide, &p, err)
		: e3_net_calibrate(s->net, s->ckpt, s->dev, picture->px, (const int[]){picture->h, picture->w}, &p, err);
	if (!rc && !from)
		tell_packing(s, r, &p, e3_now() - t);
	else if (!rc)
		e3_note("%s: %d of %d matrices; %d stay in %s, as in the saved cache", e3_packing_type(r->packed),
			p.n - p.n_wide, p.n, p.n_wide, s->gpu ? "16 bits" : "f32");
	e3_packing_release(&p);
	e3_ckpt_close(s->ckpt);
	s->ckpt = NULL;
	return rc;
}

/* The budget that --vram leaves, and how long a segment may be with it. */
static int fit(const infer_setup *s, infer_request *r, const int size[2], e3_err *err)
{
	e3_plan p;
	if (e3_track_prepare(&r->track, &r->o, err))
		return -1;
	if (r->vram > 0 && e3_session_fit(s->net, s->dev, &r->o, size, r->vram, err))
		return e3_fail_in(err, "planning: --vram");
	if (r->automatic && e3_plan_make(e3_net_config(s->net), &r->o, size[0], size[1], &p, err))
		return -1;
	int64_t longest = e3_plan_longest(e3_net_config(s->net), &r->o), best = r->automatic ? e3_track_length(&p) : 0;
	if (r->automatic)
		r->track.segment = best < longest ? best : longest;
	return 0;
}

/* A stream that may have more key frames than one past can becomes a chain, unless --segment says something else. */
static void limit(const infer_setup *s, infer_request *r)
{
	int64_t longest = e3_plan_longest(e3_net_config(s->net), &r->o), frames = r->o.frames;
	if (longest > E3_TRACK_LONGEST || r->given.segment || r->separate || (frames >= 0 && frames <= longest))
		return;
	if (r->track.segment && r->track.segment <= longest)
		return;
	r->track.segment = longest;
	if (frames >= 0 && !r->plan)
		e3_note("%lld frames are more than one piece can have with this network and --policy %s: segments of %lld "
				"(--keyframe N keeps fewer)",
			(long long)frames, r->o.policy->name, (long long)longest);
}

/* --vram and segments as long as the memory allows: the longer they are, the more the camera head remembers, and the
 * less is left for the cache that must hold them. So the longest is searched for whose cache has room for it. */
typedef struct search {
	const infer_setup *s;
	infer_request *r;
	const int *size;
	int64_t good, bad;      /* the longest known to have room; the shortest known to have none */
	int64_t fitted;         /* what the budget is for */
	int64_t at[2], room[2]; /* the last two tried: frames that the cache had room for */
	int fits, tries;
	bool failed; /* the last one left not even the smallest cache */
} search;

static int try_length(search *x, int64_t length, e3_err *err)
{
	infer_request *r = x->r;
	r->track.segment = length;
	x->tries++;
	x->failed = fit(x->s, r, x->size, err) != 0;
	if (x->failed) {
		x->bad = length < x->bad ? length : x->bad;
		return -1;
	}
	int64_t room = r->track.segment;
	r->track.segment = x->fitted = length;
	x->at[0] = x->at[1], x->room[0] = x->room[1], x->at[1] = length, x->room[1] = room;
	x->fits++;
	/* A longer one leaves room for no more frames, a shorter one for no fewer. */
	int64_t good = room < length ? room : length, bad = room < length ? length : room + 1;
	x->good = good > x->good ? good : x->good;
	x->bad = bad < x->bad ? bad : x->bad;
	return 0;
}

/* First the longest that there can be, since with a large network the camera head's part is small. Then memory grows
 * evenly with the length. */
static int64_t guess(const search *x)
{
	double to = (double)x->bad - 1;
	if (x->failed)
		to = floor(0.5 * ((double)x->good + (double)x->bad));
	else if (x->fits > 2)
		to = floor((double)x->at[1] +
			(double)(x->room[1] - x->at[1]) / (1 - (double)(x->room[1] - x->room[0]) / (double)(x->at[1] - x->at[0])));
	return to >= (double)x->bad ? x->bad - 1 : to <= (double)x->good ? x->good + 1 : (int64_t)to;
}

static int search_length(const infer_setup *s, infer_request *r, const int size[2], e3_err *err)
{
	enum { TRIES = 10 };
	int64_t longest = r->track.segment, shortest = e3_track_shortest(&r->track);
	search x = {.s = s, .r = r, .size = size, .good = shortest, .bad = longest + 1};
	e3_err why = {""};
	int rc = try_length(&x, longest, &why);
	if (rc)
		rc = try_length(&x, shortest, err);
	else if (x.good < longest)
		rc = try_length(&x, x.good, err);
	while (!rc && x.bad - x.good > 1 && x.tries < TRIES)
		try_length(&x, guess(&x), &why);
	return rc || (x.fitted != x.good && try_length(&x, x.good, err)) ? -1 : 0;
}

/* What is left open until network and size are known. */
int infer_setup_settle(const infer_setup *s, infer_request *r, const int size[2], e3_err *err)
{
	e3_infer_use_device(&r->o, s->dev);
	r->track.frames = r->automatic ? -1 : r->o.frames; /* the budget pays for the next segment's frames too */
	int64_t longest = e3_plan_longest(e3_net_config(s->net), &r->o);
	if (r->automatic)
		r->track.segment = longest < E3_TRACK_LONGEST ? longest : E3_TRACK_LONGEST;
	if (!r->automatic)
		limit(s, r);
	if (r->automatic && r->vram > 0 ? search_length(s, r, size, err) : fit(s, r, size, err))
		return -1;
	r->track.frames = r->o.frames;
	return e3_track_prepare(&r->track, &r->o, err);
}

/* Memory is not released during a run: what is in use at the end is the maximum. */
uint64_t infer_setup_used(const infer_setup *s)
{
	uint64_t used = s->gpu && s->net ? s->dev->ops->memory(s->dev).used : 0;
	return used > s->before ? used - s->before : 0;
}

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

/* --plan: reads no stream and no weights; prints the memory that a run with these options takes. A GPU computes two
 * frames for it; the CPU is not asked. */
int infer_setup_plan(infer_setup *s, infer_request *r, e3_err *err)
{
	const double mib = 1.0 / 1048576;
	enum { EXAMPLE = 100 };
	e3_fit_plan to;
	e3_session_memory m = {0};
	if (open_device(s, r, err) || open_net(s, r, err))
		return -1;
	bool example = r->o.frames < 0 && r->o.budget_kind == E3_BUDGET_FRACTION && r->vram <= 0 && !r->track.segment &&
		!r->o.policy->keeps_all;
	r->o.frames = example ? EXAMPLE : r->o.frames;
	const e3_config *c = e3_net_config(s->net);
	const e3_fit_rule rule = {c->image_size, c->patch, (e3_fit_mode)r->fit_mode};
	if (e3_fit_plan_make(r->plan_size[0], r->plan_size[1], &rule, &to, err))
		return -1;
	const int size[2] = {to.h, to.w};
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
	printf("frames     %d × %d, %d tokens each\n", to.w, to.h, p->tokens_per_frame);
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
	else
		printf("cache                      grows by %.1f MiB with every frame%s\n",
			mib * (double)p->token_bytes * p->layers * p->tokens_per_frame, each);
	printf("total      %10.1f MiB\n", mib * (double)m.in_use);
	return fflush(stdout) || ferror(stdout) ? e3_fail_sys(err, "writing: standard output") : 0;
}
