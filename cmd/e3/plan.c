/* e3: the pipeline for a source. Owns the defaults: which frames, which budget, which outputs; and how the pipeline is
 * printed. */
#include "e3/io.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include "e3/word.h"
#include "one.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A clip is seen at least at so many frames, if it has them; e3-decode takes one in half a second otherwise. Up to so
 * many frames the cache keeps half of all; a longer stream goes in segments. */
enum { FEW_FRAMES = 50, SHORT_FRAMES = 100 };

static int tool(one_plan *p, int stage, e3_err *err)
{
	char *path = one_tool_path(one_tool_name(stage), err);
	int rc = path ? one_words_add(&p->stage[stage], path, err) : -1;
	free(path);
	return rc;
}

static int add(one_plan *p, int stage, const char *word, e3_err *err)
{
	return one_words_add(&p->stage[stage], word, err);
}

static int more(const one_request *r, one_plan *p, int stage, e3_err *err)
{
	int rc = 0;
	for (int k = 0; !rc && k < r->more[stage].n; k++)
		rc = add(p, stage, r->more[stage].at[k], err);
	return rc;
}

/* An output that is not given: OPTION DIR/NAME. */
static int output(const one_request *r, one_plan *p, int stage, const char *option, const char *name, e3_err *err)
{
	if (one_given(r, stage, option + 2))
		return 0;
	return add(p, stage, option, err) || one_words_printf(&p->stage[stage], err, "%s/%s", p->dir, name) ? -1 : 0;
}

/* Operands behind what cannot be taken for an option. */
static int operands(const one_request *r, one_plan *p, int stage, e3_err *err)
{
	bool dash = false;
	for (int k = 0; k < r->operands; k++)
		dash = dash || (r->operand[k][0] == '-' && r->operand[k][1]);
	int rc = dash ? add(p, stage, "--", err) : 0;
	for (int k = 0; !rc && k < r->operands; k++)
		rc = add(p, stage, r->operand[k], err);
	return rc;
}

/* --colmap: the pictures of the source in full size, where there is a source. */
static int plan_pictures(const one_request *r, one_plan *p, e3_err *err)
{
	if (!r->colmap || one_given(r, ONE_DECODE, "images"))
		return 0;
	if (asprintf(&p->pictures, "%s/pictures", p->dir) < 0)
		p->pictures = NULL;
	return output(r, p, ONE_DECODE, "--images", "pictures", err);
}

static int plan_decode(const one_request *r, const one_source *s, one_plan *p, e3_err *err)
{
	bool chosen = one_given(r, ONE_DECODE, "every,step,all,dataset,fps,max-frames,start,end,sharpest,sampling");
	if (tool(p, ONE_DECODE, err))
		return -1;
	/* s->frames are all that there are. A clip of 25 seconds has 50 at one in half a second. */
	int64_t step = s->frames / FEW_FRAMES;
	int rc = 0;
	if (s->video && !chosen && s->frames > 0 && s->frames < 15 * FEW_FRAMES)
		rc = step > 1 ? one_words_printf(&p->stage[ONE_DECODE], err, "--step") ||
				one_words_printf(&p->stage[ONE_DECODE], err, "%" PRId64, step)
					  : add(p, ONE_DECODE, "--all", err);
	return rc || plan_pictures(r, p, err) || more(r, p, ONE_DECODE, err) || operands(r, p, ONE_DECODE, err) ? -1 : 0;
}

/* How many frames e3-infer will see; -1: unknown. */
static int64_t frames_for(const one_request *r, const one_source *s)
{
	bool chosen = one_given(r, ONE_DECODE, "every,step,all,dataset,fps,max-frames,start,end,sharpest,sampling");
	if (!s->video || chosen || s->frames < 0)
		return s->frames;
	int64_t step = s->frames / FEW_FRAMES;
	return s->frames < 15 * FEW_FRAMES ? step > 1 ? s->frames / step : s->frames : s->frames / 15;
}

/* Masks of the sky, or those that are asked for by name: --mask.onnx. They are left out by e3-export --mask. */
static int plan_mask(const one_request *r, const one_source *s, one_plan *p, e3_err *err)
{
	const one_words *out = &r->more[ONE_EXPORT];
	bool sky = false;
	for (int k = 0; k + 1 < out->n; k++)
		if (strcmp(out->at[k], "--mask") == 0)
			for (const char *c = out->at[k + 1]; *c; c += strcspn(c, ",") + (c[strcspn(c, ",")] == ',')) {
				bool is = strcspn(c, ",") == 3 && strncmp(c, "sky", 3) == 0;
				sky = sky || is;
				/* Pictures have no masks yet. */
				if (!is && s->kind == ONE_PICTURES && !r->more[ONE_MASK].n)
					return e3_fail(err,
						"--mask %s: nothing makes masks but of the sky by itself: give a model, as in --mask.onnx FILE --mask.classes %.*s=15, or pictures with --mask.from",
						out->at[k + 1], (int)strcspn(c, ","), c);
			}
	if (!sky && !r->more[ONE_MASK].n)
		return 0;
	if (tool(p, ONE_MASK, err) || (!r->more[ONE_MASK].n && add(p, ONE_MASK, "--sky", err)) || more(r, p, ONE_MASK, err))
		return -1;
	return s->kind == ONE_PICTURES ? 0 : operands(r, p, ONE_MASK, err);
}

/* Who reads the input: the first stage that runs. */
static bool is_first(const one_plan *p, int stage)
{
	for (int k = 0; k < stage; k++)
		if (p->stage[k].n)
			return false;
	return true;
}

static int plan_infer(const one_request *r, const one_source *s, one_plan *p, e3_err *err)
{
	int64_t n = frames_for(r, s);
	bool budget = one_given(r, ONE_INFER, "P,budget,vram,no-evict,policy,segment,each,load-cache"),
		 brief = !s->live && n >= 0 && n <= SHORT_FRAMES, loops = !budget && !brief;
	if (tool(p, ONE_INFER, err))
		return -1;
	if (!one_given(r, ONE_INFER, "outputs") &&
		add(p, ONE_INFER, "--outputs", err) + add(p, ONE_INFER, "pose,depth", err))
		return -1;
	if (!budget && brief && add(p, ONE_INFER, "--P", err) + add(p, ONE_INFER, "0.5", err))
		return -1;
	if (loops && add(p, ONE_INFER, "--budget", err) + add(p, ONE_INFER, "10f", err))
		return -1;
	if (loops && !one_given(r, ONE_INFER, "loops") && add(p, ONE_INFER, "--loops", err))
		return -1;
	if (more(r, p, ONE_INFER, err) || (is_first(p, ONE_INFER) && operands(r, p, ONE_INFER, err)))
		return -1;
	/* What finds loops, or is told where cameras were, corrects what was sent. */
	if (loops || one_given(r, ONE_INFER, "loops") || r->more[ONE_ALIGN].n)
		return tool(p, ONE_ALIGN, err) || more(r, p, ONE_ALIGN, err) ? -1 : 0;
	return 0;
}

static int plan_results(const one_request *r, const one_source *s, one_plan *p, e3_err *err)
{
	bool recorded = s->kind == ONE_PREDICTIONS;
	if (!recorded && (tool(p, ONE_TEE, err) || output(r, p, ONE_TEE, "--tee", "run.e3", err)))
		return -1;
	if (!recorded || s->whole) {
		if (tool(p, ONE_STATS, err) || add(p, ONE_STATS, "--pass", err) ||
			output(r, p, ONE_STATS, "--sheet", "sheet.png", err) ||
			output(r, p, ONE_STATS, "--output", "sheet.txt", err) || more(r, p, ONE_STATS, err) ||
			(is_first(p, ONE_STATS) && operands(r, p, ONE_STATS, err)))
			return -1;
	}
	if ((r->view || r->more[ONE_VIEW].n) &&
		(tool(p, ONE_VIEW, err) || add(p, ONE_VIEW, "--pass", err) || more(r, p, ONE_VIEW, err) ||
			(is_first(p, ONE_VIEW) && operands(r, p, ONE_VIEW, err))))
		return -1;
	if (tool(p, ONE_EXPORT, err) || output(r, p, ONE_EXPORT, "--glb", "scene.glb", err) ||
		output(r, p, ONE_EXPORT, "--mesh", "mesh.glb", err) || output(r, p, ONE_EXPORT, "--ply", "points.ply", err) ||
		output(r, p, ONE_EXPORT, "--tum", "cameras.tum", err))
		return -1;
	if (!one_given(r, ONE_EXPORT, "max-points,voxel") &&
		add(p, ONE_EXPORT, "--max-points", err) + add(p, ONE_EXPORT, "2000000", err))
		return -1;
	if (r->colmap &&
		(output(r, p, ONE_EXPORT, "--colmap", "colmap", err) ||
			(s->kind == ONE_PICTURES && output(r, p, ONE_EXPORT, "--images", "pictures", err))))
		return -1;
	return more(r, p, ONE_EXPORT, err) || (is_first(p, ONE_EXPORT) && operands(r, p, ONE_EXPORT, err)) ? -1 : 0;
}

/* "a/clip.mp4": clip.e3d, here. A recording that lies in a folder of results belongs to that folder. */
static char *folder_for(const one_request *r)
{
	static const char ending[] = ".e3d";
	const char *input = r->operands ? r->operand[0] : "dataset";
	char *copy = strdup(input), *to = NULL;
	size_t n = copy ? strlen(copy) : 0;
	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = 0;
	char *slash = copy ? strrchr(copy, '/') : NULL;
	if (slash && (size_t)(slash - copy) > strlen(ending) &&
		strncmp(slash - strlen(ending), ending, strlen(ending)) == 0) {
		*slash = 0;
		return copy;
	}
	const char *base = slash ? slash + 1 : copy;
	const char *dot = base ? strrchr(base, '.') : NULL;
	if (!base || !*base || strcmp(base, "-") == 0 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		base = "out", dot = NULL;
	int len = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
	if (asprintf(&to, "%s%.*s%s", *base == '-' ? "./" : "", len, base, ending) < 0)
		to = NULL;
	free(copy);
	return to;
}

/* Options for stages that do not run are a mistake. */
static int check_stages(const one_request *r, const one_source *s, e3_err *err)
{
	static const int early[] = {ONE_DECODE, ONE_INFER, ONE_ALIGN};
	int from = s->kind == ONE_PREDICTIONS ? 3 : s->kind == ONE_FRAMES ? 1 : 0;
	for (int k = 0; k < from; k++)
		if (r->more[early[k]].n)
			return e3_fail(err, "option %s is for %s, which has nothing to do: %s holds %s already",
				r->more[early[k]].at[0], one_tool_name(early[k]), r->operand[0],
				s->kind == ONE_PREDICTIONS ? "predictions" : "frames");
	return 0;
}

/* What the table of options could not know: the folder where none was given, and the recording. */
static void claim_outputs(const one_request *r, const one_source *s, const one_plan *p)
{
	char run[4096];
	snprintf(run, sizeof run, "%s/run.e3", p->dir);
	if (!r->output)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = p->dir, .holds = one_outputs});
	if (s->kind != ONE_PREDICTIONS)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES | E3_STREAM | E3_ASKED, .path = run});
}

int one_plan_make(const one_request *r, const one_source *s, one_plan *p, e3_err *err)
{
	*p = (one_plan){.dir = r->output ? strdup(r->output) : folder_for(r)};
	if (!p->dir)
		return e3_fail(err, "a command line: out of memory");
	if (check_stages(r, s, err))
		return -1;
	claim_outputs(r, s, p);
	if ((s->kind == ONE_PICTURES && plan_decode(r, s, p, err)) || plan_mask(r, s, p, err))
		return -1;
	if (s->kind != ONE_PREDICTIONS && plan_infer(r, s, p, err))
		return -1;
	return plan_results(r, s, p, err);
}

int one_plan_fetch(const one_plan *p)
{
	char *path = NULL, fetch[] = "fetch", what[] = "skyseg", yes[] = "--yes";
	e3_err err = {""};
	int state = 0;
	if (p->stage[ONE_MASK].n != 2 || strcmp(p->stage[ONE_MASK].at[1], "--sky") != 0)
		return 0;
	if (e3_cache_path("skyseg.onnx", &path, &err))
		return e3_tool_exit(-1, &err);
	bool there = access(path, F_OK) == 0;
	free(path);
	if (there)
		return 0;
	char *model = one_tool_path("e3-model", &err);
	pid_t pid = model ? fork() : -1;
	if (pid == 0) {
		execvp(model, (char *[]){model, fetch, what, e3_yes ? yes : NULL, NULL});
		_exit(127);
	}
	free(model);
	while (pid > 0 && waitpid(pid, &state, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(state) ? WEXITSTATUS(state) : 1;
}

int one_plan_print(const one_plan *p, e3_err *err)
{
	e3_buf text = {0}, line = {0};
	int rc = e3_buf_printf(&line, err, "mkdir -p --") || e3_word_quote(&line, p->dir, err) ||
			(p->pictures && e3_word_quote(&line, p->pictures, err)) || e3_buf_printf(&text, err, "%s\n", line.data)
		? -1
		: 0;
	for (int k = 0, shown = 0; !rc && k < ONE_STAGES; k++) {
		if (!p->stage[k].n)
			continue;
		line.len = 0;
		for (int j = 0; !rc && j < p->stage[k].n; j++)
			rc = e3_word_quote(&line, p->stage[k].at[j], err);
		if (!rc)
			rc = e3_buf_printf(&text, err, "%s%s", shown++ ? " |\n    " : "", line.data);
	}
	if (!rc && (puts(text.data) < 0 || fflush(stdout)))
		rc = e3_fail_sys(err, "writing: standard output");
	e3_buf_release(&text), e3_buf_release(&line);
	return rc;
}

void one_plan_release(one_plan *p)
{
	for (int k = 0; k < ONE_STAGES; k++)
		one_words_release(&p->stage[k]);
	free(p->dir), free(p->pictures);
	*p = (one_plan){0};
}
