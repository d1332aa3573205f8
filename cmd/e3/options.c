/* e3: its command line. Owns which options are its own and which stage gets the others; refuses those that no stage
 * has, and those that several have unless it is said which one is meant. */
#include "e3/opt.h"
#include "e3/tool.h"
#include "e3/word.h"
#include "one.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static one_request *r;

/* Without the recording, which may be the input: it is claimed when it is known that it is made. */
const char one_outputs[] = "scene.glb|mesh.glb|points.ply|cameras.tum|sheet.png|sheet.txt";

/* The stages whose options may be given; the copy of the stream is e3's own. */
static const int asked[] = {ONE_DECODE, ONE_MASK, ONE_INFER, ONE_ALIGN, ONE_STATS, ONE_VIEW, ONE_EXPORT};
enum { ASKED = sizeof asked / sizeof *asked };

/* Of options that several stages have, whose is meant. What is not here has to be said: --infer.timeout. */
static const struct {
	const char *name;
	int stage;
} preferred[] = {{"fit-mode", ONE_INFER}, {"threads", ONE_INFER}, {"compat", ONE_INFER}, {"seed", ONE_INFER},
	{"size", ONE_DECODE}, {"stride", ONE_EXPORT}, {"points", ONE_EXPORT}, {"layers", ONE_STATS}};

static const char *short_name(int stage) { return one_tool_name(stage) + strlen("e3-"); }

/* An option of one stage by its name (n letters) or its letter. */
static const one_option *find(int stage, const char *name, size_t n, char letter)
{
	e3_err err;
	int count;
	const one_option *o = one_tool_options(stage, &count, &err);
	if (count < 0)
		exit(e3_tool_exit(-1, &err));
	for (int k = 0; k < count; k++)
		if (letter ? o[k].letter == letter : strlen(o[k].name) == n && strncmp(o[k].name, name, n) == 0)
			return &o[k];
	return NULL;
}

/* Options that every tool has are e3's own. */
static bool is_common(const one_option *o)
{
	static const char *const common[] = {"quiet", "verbose", "help", "version", "yes"};
	for (size_t k = 0; k < sizeof common / sizeof *common; k++)
		if (strcmp(o->name, common[k]) == 0)
			return true;
	return false;
}

_Noreturn static void refuse(const char *word, const char *name)
{
	char best[64] = "";
	int least = -1, count;
	static const char *const own[] = {"output", "dry-run", "colmap", "view", "help", "verbose", "quiet", "version",
		"yes"};
	for (size_t k = 0; k < sizeof own / sizeof *own; k++) {
		int far = e3_word_distance(name, own[k]);
		if (far >= 0 && (least < 0 || far < least))
			least = far, snprintf(best, sizeof best, "--%s", own[k]);
	}
	for (int k = 0; k < ASKED; k++) {
		const one_option *o = one_tool_options(asked[k], &count, NULL);
		for (int j = 0; j < count; j++) {
			int far = e3_word_distance(name, o[j].name);
			if (far >= 0 && (least < 0 || far < least))
				least = far, snprintf(best, sizeof best, "--%s, of %s,", o[j].name, one_tool_name(asked[k]));
		}
	}
	if (least >= 0)
		e3_usage_error("unknown option %s: is %s meant?", word, best);
	e3_usage_error("unknown option %s: neither e3 nor a stage has it", word);
}

/* The stage whose option it is. */
static int stage_of(const char *word, const char *name, size_t n, char letter)
{
	int found = -1, many = 0;
	char list[256] = "", exact[64];
	for (int k = 0; k < ASKED; k++) {
		const one_option *o = find(asked[k], name, n, letter);
		if (!o || is_common(o) || (asked[k] == ONE_MASK && strcmp(o->name, "sky") != 0))
			continue; /* e3-mask runs where it is named: --mask.onnx */
		found = asked[k], many++;
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s--%s.%s", used ? ", " : "", short_name(found), o->name);
		for (size_t p = 0; p < sizeof preferred / sizeof *preferred; p++)
			if (preferred[p].stage == asked[k] && strcmp(preferred[p].name, o->name) == 0)
				return asked[k];
	}
	snprintf(exact, sizeof exact, "%.*s", (int)n, name);
	if (many == 0)
		refuse(word, exact);
	if (many > 1)
		e3_usage_error("option %s: several stages have it: say which: %s", word, list);
	return found;
}

/* "--infer.timeout": the stage, and the name behind it; -1: no such prefix. */
static int prefixed(const char **name)
{
	const char *dot = strchr(*name, '.');
	for (int k = 0; dot && k < ASKED; k++) {
		const char *stage = short_name(asked[k]);
		if (strlen(stage) == (size_t)(dot - *name) && strncmp(*name, stage, strlen(stage)) == 0) {
			*name = dot + 1;
			return asked[k];
		}
	}
	return -1;
}

static void give(int stage, const char *word)
{
	e3_err err;
	if (one_words_add(&r->more[stage], word, &err))
		exit(e3_tool_exit(-1, &err));
}

/* With it the stage passes no stream on: it writes elsewhere, or says something and ends. */
static bool ends_pipeline(int stage, const char *name)
{
	static const struct {
		const char *name;
		int stage; /* -1: any */
	} ends[] = {{"help", -1}, {"version", -1}, {"list-options", -1}, {"plan", ONE_INFER}, {"streams", ONE_INFER},
		{"streams-from", ONE_INFER}, {"list", ONE_DECODE}, {"png", ONE_DECODE}, {"html", ONE_VIEW}};
	for (size_t k = 0; k < sizeof ends / sizeof *ends; k++)
		if (strcmp(name, ends[k].name) == 0 && (ends[k].stage < 0 || ends[k].stage == stage))
			return true;
	return stage != ONE_STATS && strcmp(name, "output") == 0;
}

/* An option for a stage: argv[k], and its argument. Returns how many words it took. */
static int forward(int argc, char **argv, int k)
{
	const char *word = argv[k], *name = word + 1, *value = NULL;
	char letter = word[1] == '-' ? 0 : word[1], text[64];
	size_t n = letter ? 1 : strcspn(name = word + 2, "=");
	int stage = letter ? -1 : prefixed(&name);
	if (stage >= 0)
		n = strcspn(name, "=");
	const bool said = stage >= 0;
	if (stage < 0)
		stage = stage_of(word, name, n, letter);
	const one_option *o = find(stage, name, n, letter);
	if (!o && said)
		e3_usage_error("unknown option %s: %s has no --%.*s", word, one_tool_name(stage), (int)n, name);
	if (ends_pipeline(stage, o->name))
		e3_usage_error("option %s: with it %s passes no stream on: run %s by itself; -n prints the pipeline", word,
			one_tool_name(stage), one_tool_name(stage));
	if (letter ? word[2] : name[n] == '=')
		value = letter ? word + 2 : name + n + 1;
	if (value && !o->takes)
		e3_usage_error("option --%s of %s takes no argument", o->name, one_tool_name(stage));
	snprintf(text, sizeof text, "--%s", o->name);
	give(stage, text);
	if (!o->takes)
		return 1;
	if (!value && k + 1 == argc)
		e3_usage_error("option %s needs an argument", word);
	give(stage, value ? value : argv[k + 1]);
	return value ? 1 : 2;
}

bool one_given(const one_request *q, int stage, const char *names)
{
	const one_words *w = &q->more[stage];
	for (int k = 0; k < w->n; k++) {
		if (strncmp(w->at[k], "--", 2) != 0)
			continue;
		const char *name = w->at[k] + 2;
		size_t n = strlen(name);
		for (const char *p = names; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
			if (strcspn(p, ",") == n && strncmp(p, name, n) == 0)
				return true;
	}
	return false;
}

void one_parse(int argc, char **argv, one_request *request)
{
	r = request;
	const e3_opt table[] = {
		E3_OPT_TITLE("Result"),
		E3_OPT_WRITES_IN("output,o", &r->output, "DIR", one_outputs,
			"the folder (default: the name of INPUT with .e3d for\nits ending)"),
		E3_OPT_FLAG("colmap", &r->colmap, "also colmap/: a COLMAP model with its pictures"),
		E3_OPT_FLAG("view", &r->view, "show it in a browser while it is made (e3-view)"),
		E3_OPT_FLAG("dry-run,n", &r->dry, "print the pipeline instead of running it"),
		E3_OPT_END,
	};
	const e3_opts opts = {
		.tool = "e3",
		.usage = "[options] INPUT...\n       e3 help [TOOL]\n       e3 doctor",
		.summary =
			"From a video, a folder of pictures, a camera, a network stream or a recording (.e3) to a folder of results.",
		.table = table,
		.tail = "Any other option goes to the stage that has it: --budget to e3-infer, --every to e3-decode.\n"
				"Where several have it, --STAGE.OPTION says which: --infer.timeout 5.\n\n"
				"  e3 clip.mp4                     everything, into clip.e3d\n"
				"  e3 -n clip.mp4                  the pipeline, to paste and to change\n"
				"  e3 --budget 10f -o room rtsp://camera/stream\n",
		.dry = &r->dry,
	};
	char **own = e3_alloc((size_t)argc + 1, sizeof *own, "the command line", NULL);
	int n = 0;
	if (!own)
		exit(1);
	for (int k = 0; k < argc;) {
		const char *word = argv[k];
		if (k == 0 || word[0] != '-' || !word[1]) {
			own[n++] = argv[k++];
		} else if (strcmp(word, "--") == 0) {
			while (k < argc)
				own[n++] = argv[k++];
		} else {
			bool takes = false, is = e3_opts_has(&opts, word, &takes);
			int words = is ? 1 + (takes && k + 1 < argc) : forward(argc, argv, k);
			for (int j = 0; is && j < words; j++)
				own[n++] = argv[k + j];
			k += words;
		}
	}
	own[n] = NULL;
	int first = e3_opts_parse(&opts, n, own);
	r->operand = own + first, r->operands = n - first;
	for (int k = 0; k < r->operands; k++)
		e3_opts_claim(&(e3_claim){.use = E3_READS | E3_STREAM, .path = r->operand[k], .what = "the input"});
	if (r->operands == 0 && !one_given(r, ONE_DECODE, "dataset"))
		e3_usage_error(
			"no input: give a video, a folder of pictures, a camera, a stream's address or a recording (.e3)");
}
