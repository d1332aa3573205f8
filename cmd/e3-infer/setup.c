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
	if (r->plan || (!r->dump && !r->counters))
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

/* From the shortest on, which takes least: so what is tried is not more than what there is. The second shows how memory
 * grows with the length, which it does evenly. */
static int64_t guess(const search *x)
{
	double to = 2.0 * (double)x->at[1];
	if (x->failed)
		to = floor(0.5 * ((double)x->good + (double)x->bad));
	else if (x->fits > 1)
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
	int rc = try_length(&x, shortest, err);
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
