/* e3-infer: its command line. Which options may be combined is in check.c. */
#include "infer.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_fraction(void *to, const char *arg, e3_err *err)
{
	infer_request *r = to;
	if (e3_parse_f64(arg, 0, 1, &r->o.budget, err))
		return -1;
	if (r->o.budget <= 0)
		return e3_fail(err, "expected a fraction above 0, got '%s'", arg);
	r->given.fraction = true;
	r->o.budget_kind = E3_BUDGET_FRACTION;
	return 0;
}

/* "10f" frames, "200k" or "200000" tokens, "512M" or "1.5G" bytes. */
static int parse_budget(void *to, const char *arg, e3_err *err)
{
	infer_request *r = to;
	char number[64];
	size_t n = strlen(arg);
	char unit = n ? arg[n - 1] : 0;
	double scale = unit == 'k' ? 1e3 : unit == 'M' ? 1048576.0 : unit == 'G' ? 1073741824.0 : 1;
	bool has_unit = unit && strchr("fkMG", unit);
	if (n - has_unit >= sizeof number)
		return e3_fail(err, "expected FRAMESf, TOKENS, TOKENSk, BYTESM or BYTESG, got '%.60s'", arg);
	memcpy(number, arg, n - has_unit);
	number[n - has_unit] = 0;
	if (e3_parse_f64(number, 0, 1e15, &r->o.budget, err) || r->o.budget <= 0)
		return e3_fail(err, "expected FRAMESf, TOKENS, TOKENSk, BYTESM or BYTESG, as in 10f, 200k or 1.5G; got '%s'",
			arg);
	r->o.budget *= scale;
	r->o.budget_kind = unit == 'f' ? E3_BUDGET_FRAMES : unit == 'M' || unit == 'G' ? E3_BUDGET_BYTES : E3_BUDGET_TOKENS;
	r->given.budget = true;
	return 0;
}

/* -o: one for each stream. */
static int add_output(void *to, const char *arg, e3_err *err)
{
	infer_request *r = to;
	if (e3_grow((void **)&r->outputs_to, (size_t)r->n_outputs + 1, sizeof *r->outputs_to, "the outputs", err))
		return -1;
	r->outputs_to[r->n_outputs++] = r->stage.output = arg;
	return 0;
}

/* "6G", "6000M". */
static int parse_vram(void *to, const char *arg, e3_err *err)
{
	infer_request r = {0};
	if (parse_budget(&r, arg, err) || r.o.budget_kind != E3_BUDGET_BYTES)
		return e3_fail(err, "expected a size such as 6G or 6000M, got '%.60s'", arg);
	((infer_request *)to)->vram = r.o.budget;
	return 0;
}

static int parse_outputs(void *to, const char *arg, e3_err *err)
{
	static const e3_word words[] = {{"pose", E3_OUT_POSE}, {"depth", E3_OUT_DEPTH}, {"points", E3_OUT_POINTS},
		{"all", E3_OUT_ALL}, {NULL, 0}};
	((infer_request *)to)->given.points = strstr(arg, "points") != NULL;
	return e3_parse_words(arg, words, &((infer_request *)to)->o.outputs, err);
}

static int parse_compat(void *to, const char *arg, e3_err *err)
{
	((infer_request *)to)->given.compat = true;
	static const e3_word words[] = {{"evict3r", E3_COMPAT_ALL}, {"f16-sums", E3_COMPAT_F16_SUMS},
		{"starve", E3_COMPAT_STARVE}, {"camera", E3_COMPAT_CAMERA}, {"ovggt", E3_COMPAT_OVGGT}, {NULL, 0}};
	return e3_parse_words(arg, words, &((infer_request *)to)->o.compat, err);
}

static int parse_layers(void *to, const char *arg, e3_err *err)
{
	infer_request *r = to;
	int list[E3_MAX_LAYERS], n = e3_parse_ints(arg, 0, E3_MAX_LAYERS - 1, list, E3_MAX_LAYERS, err);
	for (int k = 0; k < n; k++) {
		r->attn[list[k]] = true;
		r->last_attn = list[k] > r->last_attn ? list[k] : r->last_attn;
	}
	r->n_attn = 0;
	for (int k = 0; k < E3_MAX_LAYERS; k++)
		r->n_attn += r->attn[k];
	return n < 0 ? -1 : 0;
}

static int parse_blocks(void *to, const char *arg, e3_err *err)
{
	infer_request *r = to;
	int list[E3_WATCH_BLOCKS], n = e3_parse_ints(arg, 0, E3_WATCH_BLOCKS - 1, list, E3_WATCH_BLOCKS, err);
	for (int k = 0; k < n; k++)
		r->dump_blocks[list[k]] = true;
	r->n_dump_blocks = n;
	return n < 0 ? -1 : 0;
}

/* "4" or "auto". */
static int parse_keyframe(void *to, const char *arg, e3_err *err)
{
	infer_request *r = to;
	int64_t n = 0;
	r->given.keyframe = true;
	if (strcmp(arg, "auto") != 0 && e3_parse_i64(arg, 1, 1000000, &n, err))
		return -1;
	r->o.keyframe = (int)n;
	return 0;
}

/* "24f" or "24". */
static int parse_segment(void *to, const char *arg, e3_err *err)
{
	char number[32];
	size_t n = strlen(arg);
	n -= n && arg[n - 1] == 'f';
	if (n >= sizeof number)
		return e3_fail(err, "expected a number of frames, as in 24f");
	memcpy(number, arg, n);
	number[n] = 0;
	infer_request *r = to;
	r->given.segment = true;
	if (e3_parse_i64(number, 0, E3_TRACK_LONGEST, &r->track.segment, err))
		return -1;
	return r->track.segment == 1 ? e3_fail(err, "expected at least 2 frames, or 0, got '%s'", arg) : 0;
}

/* By its place among the words of --precision; -1: not said. */
static void use_precision(infer_request *r, int which)
{
	static const e3_dtype packed[] = {0, 0, E3_I8, E3_F8};
	r->bf16 = which == 0, r->strict = which == 1, r->packed = which > 0 ? packed[which] : 0;
}

/* What goes together, and what follows from it. */
static void complete(infer_request *r)
{
	infer_check(r);
	r->o.attn = r->n_attn ? r->attn : NULL;
	e3_infer_use_policy(&r->o, r->o.policy);
	infer_check_segments(r);
	if (!r->plan_size[0])
		r->plan_size[0] = 640, r->plan_size[1] = 480;
}

int infer_find_model(const char *asked, char **path, e3_err *err)
{
	const char *from_env = getenv("E3_MODEL");
	bool is_demo;
	if (asked || (from_env && *from_env)) {
		*path = strdup(asked ? asked : from_env);
		return *path ? 0 : e3_fail(err, "finding the model: out of memory");
	}
	if (e3_ckpt_locate(path, &is_demo, err))
		return e3_fail_in(err, "finding the model: neither --model nor $E3_MODEL is set");
	if (is_demo)
		e3_detail("model: the bundled demo model, which knows rendered rooms only (%s)", *path);
	else
		e3_note("model: %s", *path);
	return 0;
}

/* What the library calls a setting, and the option that sets it. */
static const e3_err_name settings[] = {{"'fraction'", "--P"}, {"'budget'", "--budget"}, {"'frames'", "--frames"},
	{"'outputs'", "--outputs"}, {"'segment'", "--segment"}, {"'overlap'", "--overlap"}, {"'loops'", "--loops"},
	{"'window'", "--window"}, {"'start'", "--start"}, {"'camera-frames'", "--camera-frames"},
	{"'keyframe'", "--keyframe"}, {"'kv'", "--kv"}, {"'device'", "--device"}, {"'precision'", "--precision"},
	{NULL, NULL}};

void infer_explain(e3_err *err) { e3_err_rename(err, settings); }

/* What --policy may be, from the table of policies. */
typedef struct policy_texts {
	char choices[256], help[2048];
} policy_texts;

static void list_policies(policy_texts *to)
{
	size_t n = 0,
		   m = (size_t)snprintf(to->help, sizeof to->help, "which tokens are evicted (default %s)",
			   e3_policies[0].name);
	for (const e3_policy *p = e3_policies; p->name; p++) {
		n += (size_t)snprintf(to->choices + n, sizeof to->choices - n, "%s%s", n ? "|" : "", p->name);
		m += (size_t)snprintf(to->help + m, sizeof to->help - m, "\n%-8s %s", p->name, p->help);
	}
}

/* Options whose default depends on others; below 0: not given. */
typedef struct said {
	int64_t frames, camera_frames, overlap, places, seed, window, start;
	double temperature;
	int policy, first, kv; /* indices of the words */
	bool no_evict;
} said;
static const said nothing_said = {.frames = -1,
	.camera_frames = -1,
	.overlap = -1,
	.places = -1,
	.seed = -1,
	.window = -1,
	.start = -1,
	.temperature = -1,
	.policy = -1,
	.first = -1,
	.kv = -1};

static void settle(infer_request *r, const said *s)
{
	if (!r->list && r->n_inputs && r->streams > r->n_inputs)
		r->streams = r->n_inputs; /* there is nothing for the others */
	r->given.policy = s->no_evict || s->policy >= 0;
	r->given.temperature = s->temperature > 0, r->given.camera_frames = s->camera_frames > 0,
	r->given.fit_mode = r->fit_mode >= 0;
	r->given.protect_first = s->first >= 0, r->given.seed = s->seed >= 0, r->given.window = s->window > 0;
	r->given.kv = s->kv >= 0, r->o.pack = s->kv < 0 ? E3_PACK_NONE : (e3_kv_pack)(E3_PACK_BF16 + s->kv);
	r->given.start = s->start > 0, r->o.start = r->separate ? 1 : s->start > 0 ? (int)s->start : 0;
	if (s->window > 0)
		r->o.window = (int)s->window;
	r->o.policy = s->no_evict || r->separate ? e3_policy_find("none") : &e3_policies[s->policy < 0 ? 0 : s->policy];
	r->o.free_first = s->first == 1, r->o.seed = s->seed > 0 ? (uint32_t)s->seed : 0;
	if (s->temperature > 0)
		r->o.temperature = s->temperature;
	if (r->fit_mode < 0)
		r->fit_mode = E3_FIT_CROP;
	r->o.frames = r->separate ? 1 : s->frames; /* of a session */
	if (s->camera_frames > 0)
		r->o.camera_frames = (int)s->camera_frames;
	r->outputs = r->o.outputs;
	r->given.overlap = s->overlap > 0;
	r->track.overlap = s->overlap;
	r->given.places = s->places > 0, r->track.places = s->places > 0 ? s->places : 256;
}

static const e3_opt saving_rows[] = {
	E3_OPT_WRITES_BACK("save-cache", E3_OPT_AT(infer_request, save), "FILE", "--load-cache",
		"save the session when the stream ends, also after SIGTERM or SIGINT"),
	E3_OPT_NEEDS("save-cache"),
	E3_OPT_INT("save-every", E3_OPT_AT(infer_request, save_every), "N", 1, 1e12,
		"save also after every N frames, when the next one comes"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_READS("load-cache", E3_OPT_AT(infer_request, load), "FILE",
		"resume a saved session: skip the frames that it has seen, keep its\noptions for the cache"),
	E3_OPT_FLAG("continue", E3_OPT_AT(infer_request, continues),
		"with it: the stream shows the same scene again; continue its numbering"),
	E3_OPT_FLAG("freeze", E3_OPT_AT(infer_request, freeze),
		"with it: process each frame against the saved cache, do not change it"),
	E3_OPT_END,
};

/* What else is written or said of a run. */
static const e3_opt looking_rows[] = {
	E3_OPT_CALL("attn-layers", NULL, "LIST", parse_layers, "report the attention of these global layers, as in 0,5,11"),
	E3_OPT_NEEDS("attn-layers"),
	E3_OPT_FLAG("attn-map", E3_OPT_AT(infer_request, o.attn_map), "also report the map of each, averaged over heads"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_INT("log-every", E3_OPT_AT(infer_request, log_every), "N", 1, 1e9,
		"a line on standard error every N frames: time, cache, resident memory"),
	E3_OPT_WRITES_IN("dump", E3_OPT_AT(infer_request, dump), "DIR", "frame*.npy",
		"write the activations of every frame into DIR, as .npy"),
	E3_OPT_NEEDS("dump"),
	E3_OPT_CALL("dump-layers", NULL, "LIST", parse_blocks, "with it: only these blocks of vit and agg, as in 0,7"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_FLAG("counters", E3_OPT_AT(infer_request, counters),
		"at the end, a table on standard error: calls, time and bytes by stage\nand operation; the run is slower"),
	E3_OPT_FLAG("plan", E3_OPT_AT(infer_request, plan),
		"print how much memory a run would take, and exit; of INPUT, if it is given,\nreads the first frame"),
	E3_OPT_NEEDS("plan"),
	E3_OPT_SIZE("size", E3_OPT_AT(infer_request, plan_size), 65535,
		"size of the pictures for --plan without INPUT (default 640x480)"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_END,
};

void infer_parse(int argc, char **argv, infer_request *r)
{
	said s = nothing_said;
	int precision = -1;
	policy_texts texts;
	list_policies(&texts);
	*r = (infer_request){.stage = E3_STAGE_INIT, .o = e3_infer_defaults(), .last_attn = -1, .fit_mode = -1};
	const e3_opt table[] = {
		E3_OPT_TITLE("Model and device"),
		E3_OPT_READS("model,m", &r->model, "FILE",
			"weights: .safetensors, .pth, seed:CONFIG:N (default: $E3_MODEL,\n"
			"~/.cache/e3, the bundled demo model)"),
		E3_OPT_CHOICE("device", &r->device, "WHICH", "auto|cpu|cuda", "auto, cpu or cuda (default auto)"),
		E3_OPT_CHOICE("precision", &precision, "TYPE", "bf16|f32|int8|fp8",
			"16-bit products, or f32 throughout (default: bf16 on CUDA, f32 on the CPU);\nint8, fp8: large matrices in 8 bits, chosen by measuring the first frame"),
		E3_OPT_INT("threads", &r->threads, "N", 1, 1024,
			"threads of the CPU backend, and that read the model (default: one per\nprocessor)"),
		E3_OPT_INT("streams", &r->streams, "N", 1, E3_STREAMS_MOST,
			"compute N streams at a time, each with a cache of its own: INPUTs and as\nmany -o; more than N wait until one ends"),
		E3_OPT_NEEDS("streams"),
		E3_OPT_READS("streams-from", &r->list, "FILE",
			"with it: streams that are still to come, each a line with an input, a tab\nand an output; FILE may be a pipe"),
		E3_OPT_NEEDS(NULL),
		E3_OPT_CHOICE("fit-mode", &r->fit_mode, "MODE", "crop|pad|long",
			"how frames become the network's size: crop (default), pad to a square, or\nlong: the longer side, nothing cut"),
		E3_OPT_TITLE("What the cache keeps"),
		E3_OPT_CALL("P,P", r, "P", parse_fraction,
			"keep the fraction P of the stream's tokens (default 0.5); needs its length"),
		E3_OPT_INT("frames", &s.frames, "N", 1, 1e12, "length of the stream, if its head does not say"),
		E3_OPT_CALL("budget,b", r, "SIZE", parse_budget,
			"keep an absolute number, for streams of any length: 10f (frames per layer),\n"
			"200k (tokens over all layers), 1.5G (bytes of cache)"),
		E3_OPT_CALL("vram", r, "SIZE", parse_vram,
			"use this much device memory in all, as in 6G: weights, scratch, and the\nrest for the cache (CUDA only)"),
		E3_OPT_CHOICE("kv", &s.kv, "TYPE", "bf16|fp8|int8|k8v4",
			"how keys and values are kept: bf16 (16 bits; the default on CUDA, as f16;\nthe CPU keeps f32), "
			"fp8 or int8: half of that; k8v4: keys in 8 bits, values in 4"),
		E3_OPT_FLAG("each", &r->separate, "process every frame on its own"),
		E3_OPT_CALL("segment", r, "N", parse_segment,
			"begin anew every N frames, as in 24f, joined into one world: the error of\n"
			"a long stream stays bounded; 0: one piece (default with --budget or --vram\n"
			"alone: one frame more than it keeps; else 0)"),
		E3_OPT_INT("overlap", &s.overlap, "N", 1, 1000000,
			"with segments: frames that one shares with the next (default 1)"),
		E3_OPT_FLAG("loops", &r->track.loops,
			"with segments: find places again where the camera was before, and send\nhow they lie to each other, for e3-align"),
		E3_OPT_INT("loop-places", &s.places, "N", 2, 100000, "with loops: places that are remembered (default 256)"),
		E3_OPT_FLAG("no-evict", &s.no_evict, "keep everything: memory grows with the stream"),
		E3_OPT_CHOICE("policy", &s.policy, "NAME", texts.choices, texts.help),
		E3_OPT_INT("window", &s.window, "N", 1, 100000,
			"of the policy lingbot: the newest key frames that stay whole (default 64)"),
		E3_OPT_INT("start", &s.start, "N", 1, 64,
			"frames that begin together, where the network can (LingBot-Map: default 8)"),
		E3_OPT_CALL("keyframe", r, "N|auto", parse_keyframe,
			"keep every N-th frame only; those between see what is kept, and are not\nkept. auto: when the camera has moved (default 1: every frame)"),
		E3_OPT_CHOICE("protect-first", &s.first, "WHETHER", "yes|no",
			"never evict the tokens of frame 0 (default yes)"),
		E3_OPT_INT("seed", &s.seed, "N", 0, UINT32_MAX,
			"of the policy random: another number, another draw (default 0)"),
		E3_OPT_REAL("temp", &s.temperature, "T", 1e-6, 1e6, "temperature of the layers' shares (default 0.5)"),
		E3_OPT_INT("camera-frames", &s.camera_frames, "N", 2, 1e6, "frames the camera head remembers (default 1024)"),
		E3_OPT_CALL("compat", r, "LIST", parse_compat,
			"reproduce defects of the released code: evict3r (all of them), or some of\nf16-sums, starve, camera, ovggt"),
		E3_OPT_TITLE("Saving and resuming a session"),
		E3_OPT_ROWS(saving_rows, r),
		E3_OPT_TITLE("What is written"),
		E3_OPT_CALL_SENDS("output,o", r, "ENDPOINT", add_output,
			"where to write the predictions (default standard output);\nwith streams once for each"),
		E3_OPT_CALL("outputs", r, "LIST", parse_outputs,
			"what to predict: pose, depth, points (default all\nthat the network has heads for)"),
		E3_OPT_FLAG("half", &r->half, "send dense maps in half precision"),
		E3_OPT_ROWS(looking_rows, r),
		E3_OPT_ROWS(e3_stage_endpoint_rows, &r->stage.stream),
		E3_OPT_ROWS(e3_stage_queue_rows, &r->stage.stream),
		E3_OPT_END,
	};
	const e3_opts opts = {"e3-infer", "[options] [INPUT]",
		"Infer cameras, depth and points from a stream of frames, frame by frame, on bounded memory.", table,
		"  e3-decode clip.mp4 | e3-infer --P 0.5 | e3-export --glb out.glb\n", true, NULL};
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc > first)
		r->stage.input = argv[first];
	r->inputs = (const char **)argv + first, r->n_inputs = argc - first;
	r->stage.needs = E3_STAGE_FRAMES;
	use_precision(r, precision);
	infer_check_streams(r);
	settle(r, &s);
	complete(r);
}
