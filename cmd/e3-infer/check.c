/* e3-infer: which options may be combined. What a budget means is in lib/model/plan.c. */
#include "infer.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <stdlib.h>
#include <string.h>

/* A policy whose budget follows from a number of frames. */
static void check_slide(const infer_request *r)
{
	const infer_given *g = &r->given;
	const e3_policy *p = r->o.policy;
	if (!p->slides && g->window && g->policy)
		e3_usage_error("--window: only with --policy lingbot");
	if (!p->slides)
		return;
	if (g->fraction || g->budget || r->vram > 0)
		e3_usage_error(
			"--policy %s keeps --window frames and the first ones: it takes no --P, no --budget and no --vram",
			p->name);
	if (r->o.free_first)
		e3_usage_error("--policy %s never evicts the first frames: it takes no --protect-first no", p->name);
}

/* A policy with a budget of its own, and what else whole frames do not go with. */
static void check_whole(const infer_request *r)
{
	const infer_given *g = &r->given;
	const e3_policy *p = r->o.policy;
	int frames = p->whole.frames;
	if (frames &&
		(g->fraction || r->vram > 0 || (g->budget && (r->o.budget_kind != E3_BUDGET_FRAMES || r->o.budget != frames))))
		e3_usage_error("--policy %s keeps %d frames: it takes no --P, no --vram, and no --budget but %df", p->name,
			frames, frames);
	if (p->whole.rule && !p->whole.by_layer && g->camera_frames)
		e3_usage_error(
			"--policy %s: the camera head remembers the frames that the cache keeps: it takes no --camera-frames",
			p->name);
}

/* What the shares of the layers and the draw do not depend on. The file of a saved session says its policy. */
static void check_scoring(const infer_request *r)
{
	const infer_given *g = &r->given;
	const e3_policy *p = r->o.policy;
	bool shares = p->scoring.measure == E3_MEASURE_SHARE || p->scoring.measure == E3_MEASURE_NOVELTY;
	if (r->load)
		return;
	if (g->seed && p->scoring.dither != E3_DITHER_RANDOM)
		e3_usage_error("--seed: only with --policy random");
	if (g->temperature && p->keeps_all)
		e3_usage_error("--temp: only where tokens are evicted: not with --no-evict, --policy none or --each");
	if (g->temperature && !shares)
		e3_usage_error("--policy %s keeps as much in every layer: it takes no --temp", p->name);
}

static void check_budget(const infer_request *r)
{
	const infer_given *g = &r->given;
	check_whole(r);
	check_slide(r);
	check_scoring(r);
	if (r->separate && (r->load || r->save || r->vram > 0 || g->fraction || g->budget))
		e3_usage_error("--each remembers nothing: it takes no budget, no --load-cache and no --save-cache");
	if (r->separate && (g->keyframe || g->window || g->start || g->camera_frames || g->protect_first))
		e3_usage_error("--each remembers nothing: it takes no --keyframe, --window, --start, --camera-frames or "
					   "--protect-first");
	if (g->fraction && g->budget)
		e3_usage_error("--P and --budget: give only one of them");
	if (r->o.policy->keeps_all && (g->fraction || g->budget))
		e3_usage_error("--no-evict and --policy none keep everything: they take no --P and no --budget");
	if (r->o.policy->no_compat && r->o.compat & (E3_COMPAT_F16_SUMS | E3_COMPAT_STARVE))
		e3_usage_error("--policy %s cannot be combined with --compat f16-sums or starve", r->o.policy->name);
	if (r->o.free_first && r->o.compat & (E3_COMPAT_F16_SUMS | E3_COMPAT_STARVE))
		e3_usage_error("--protect-first no cannot be combined with --compat f16-sums or starve");
	if (r->o.compat & E3_COMPAT_OVGGT && r->o.policy->scoring.measure != E3_MEASURE_NOVELTY)
		e3_usage_error("--compat ovggt: only with --policy ovggt");
	if (r->vram > 0 && (r->o.policy->keeps_all || g->fraction || g->budget))
		e3_usage_error("--vram states a budget: it takes no --P, --budget or --no-evict");
}

void infer_check_segments(infer_request *r)
{
	e3_err err = {""};
	bool alone = (r->vram > 0 || r->given.budget) && !r->given.policy && !r->o.compat && !r->given.temperature &&
		!r->given.seed && !r->given.protect_first; /* those are about eviction */
	r->automatic = alone && !r->given.segment && !r->load && !r->separate;
	if (r->automatic)
		r->track.segment = E3_TRACK_LONGEST; /* until the budget is known */
	if (r->given.overlap && !r->track.segment)
		e3_usage_error("--overlap: needs --segment, or --budget or --vram alone");
	if ((r->track.loops || r->given.places) && !r->track.segment && !r->load)
		e3_usage_error("--%s: needs --segment, or --budget or --vram alone", r->given.places ? "loop-places" : "loops");
	if (r->given.places && !r->track.loops && !r->load)
		e3_usage_error("--loop-places: needs --loops");
	if (r->track.segment && r->separate)
		e3_usage_error("--each remembers nothing: it takes no --segment");
	if (!r->given.overlap)
		r->track.overlap = 1;
	r->track.frames = r->o.frames;
	if (e3_track_prepare(&r->track, &r->o, &err)) {
		infer_explain(&err);
		e3_usage_error("%s", err.text);
	}
}

static void check_session(const infer_request *r)
{
	if (r->save && strcmp(r->save, "-") == 0)
		e3_usage_error("--save-cache: needs a file: standard output carries the predictions");
	if ((r->continues || r->freeze) && !r->load)
		e3_usage_error("--%s: needs --load-cache", r->continues ? "continue" : "freeze");
	if (r->freeze && (r->continues || r->save))
		e3_usage_error("--freeze does not change the cache: it takes no --continue and no --save-cache");
	if (r->load && (r->plan || r->vram > 0))
		e3_usage_error("--load-cache: the file states the budget: it takes no --plan and no --vram");
	if (r->continues && r->given.fraction)
		e3_usage_error("--continue: the number of frames in all is not known: give --budget, not --P");
}

/* A model that is found by default is an input too. */
static void claim_model(const infer_request *r)
{
	const char *from_env = getenv("E3_MODEL");
	char *found = NULL;
	bool is_demo;
	if (r->model)
		return;
	if (from_env && *from_env)
		e3_opts_claim(&(e3_claim){.use = E3_READS, .path = from_env, .what = "the model that $E3_MODEL names"});
	else if (e3_ckpt_locate(&found, &is_demo, NULL) == 0)
		e3_opts_claim(&(e3_claim){.use = E3_READS, .path = found, .what = "the model that is read"});
	free(found);
}

/* As many outputs as inputs. Of the messages, what is said of one stream is told apart by the input's name. */
void infer_check_streams(const infer_request *r)
{
	if (!r->streams && r->n_inputs > 1)
		e3_usage_error("expected at most one input, got '%s' too: --streams N takes several", r->inputs[1]);
	if (!r->streams && r->n_outputs > 1)
		e3_usage_error("expected at most one output, got '%s' too: --streams N takes several", r->outputs_to[1]);
	if (r->list && r->plan)
		e3_usage_error("--streams-from: not with --plan, which takes INPUTs");
	if (!r->streams || r->plan)
		return;
	if (!r->n_inputs && !r->list)
		e3_usage_error("--streams: expected inputs, or --streams-from FILE");
	if (r->n_outputs != r->n_inputs && (r->n_outputs || r->n_inputs > 1))
		e3_usage_error("--streams: %d inputs and %d outputs: expected an -o for each, in the same order", r->n_inputs,
			r->n_outputs);
	if (r->save || r->load)
		e3_usage_error("--%s-cache: not with --streams: a saved session is of one stream", r->save ? "save" : "load");
	if (r->dump)
		e3_usage_error("--dump: not with --streams: give one stream");
}

void infer_check(const infer_request *r)
{
	claim_model(r);
	check_budget(r);
	check_session(r);
	if (r->plan_size[0] && r->n_inputs)
		e3_usage_error("--size: %s has a size of its own: give only one of them", r->inputs[0]);
}
