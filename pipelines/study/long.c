/* study: the table and the plots of long walks, from the runs that long.sh left: one JSON object a line. Every figure
 * is a mean over the scenes of a kind; several draws of a random policy on a scene count as their mean. Intervals,
 * paired differences and paired ratios: stats.h. */
#include "e3/err.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/opt.h"
#include "e3/plot.h"
#include "e3/tool.h"
#include "stats.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 24, BINS = 40 };

enum { ATE, ROTATION, DRIFT, DRIFT_TURN, ABS_REL, ABS_REL_EACH, CLOUD, RATE, CACHE, LOOPS, FAR, MEASURES };

/* From the report of e3-eval: the group of the only sequence, the row, the key. */
static const struct measure {
	const char *name, *brief, *group, *row, *key;
	bool interval; /* printed with intervals, in a table of its own */
} measures[MEASURES] = {
	[ATE] = {"ATE, after a similarity over the whole path", "ATE", "pose", "Sim(3)", "ate", true},
	[ROTATION] = {"mean rotation error, degrees", "turn", "pose", "Sim(3)", "rotation", true},
	[DRIFT] = {"drift of position, a share of the way", "drift", "pose", "Sim(3)", "drift_t", true},
	[DRIFT_TURN] = {"drift of rotation, degrees a unit", "deg/unit", "pose", "Sim(3)", "drift_r", true},
	[ABS_REL] = {"AbsRel of depth, one scale a clip", "AbsRel", "video_depth", "median", "abs_rel", true},
	[ABS_REL_EACH] = {"AbsRel of depth, one scale a picture", "each", "depth", "per image", "abs_rel", true},
	[CLOUD] = {"mean distance of a point from its true place, after a similarity", "cloud", .interval = true},
	[RATE] = {.brief = "frames/s"},
	[CACHE] = {.brief = "MiB"},
	[LOOPS] = {.brief = "loops"},
	[FAR] = {.brief = "far"},
};

/* Loops whose true places are farther apart than this are counted as far. */
#define FAR_APART 0.75

typedef struct run {
	char kind[NAME], policy[NAME], budget[NAME], mode[NAME];
	size_t kind_rank, mode_rank, policy_rank; /* the row of the file that has it first */
	double frames;                            /* of the budget; infinite: all */
	int64_t seed;
	size_t draws; /* that this is the mean of */
	double v[MEASURES], along[BINS];
} run;

typedef struct study {
	run *runs; /* by kind, mode, policy, budget, seed: a setting is a stretch of it */
	size_t n, room;
} study;

/* --- reading --- */

static json_t *at(json_t *j, const char *a, const char *b) { return json_object_get(json_object_get(j, a), b); }

static int copy_name(char to[NAME], json_t *line, const char *key, e3_err *err)
{
	const char *text = json_string_value(json_object_get(line, key));
	if (!text || strlen(text) >= NAME)
		return e3_fail(err, "not a run: it lacks '%s'", key);
	strcpy(to, text);
	return 0;
}

static int read_run(json_t *line, run *r, e3_err *err)
{
	*r = (run){.draws = 1};
	if (copy_name(r->kind, line, "kind", err) || copy_name(r->policy, line, "policy", err) ||
		copy_name(r->budget, line, "budget", err) || copy_name(r->mode, line, "mode", err))
		return -1;
	double seed = study_number(line, "seed");
	json_t *eval = json_array_get(at(line, "eval", "sequences"), 0), *walk = json_object_get(line, "walk");
	if (!(fabs(seed) <= 9e15) || !eval || !walk)
		return e3_fail(err, "not a run: it lacks 'seed', or a report in 'eval' or 'walk'");
	r->seed = (int64_t)seed;
	r->frames = strcmp(r->budget, "all") ? strtod(r->budget, NULL) : INFINITY;
	for (int m = 0; m < MEASURES; m++)
		r->v[m] = measures[m].group ? study_number(at(eval, measures[m].group, measures[m].row), measures[m].key) : NAN;
	r->v[CLOUD] = study_number(json_object_get(walk, "cloud"), "mean");
	r->v[RATE] = study_number(eval, "frames") / study_number(eval, "seconds");
	r->v[CACHE] = study_number(eval, "cache_peak") / 0x1p20;
	json_t *loops = json_object_get(walk, "loops"), *along = json_object_get(walk, "along");
	r->v[LOOPS] = (double)json_array_size(loops), r->v[FAR] = 0;
	for (size_t k = 0; k < json_array_size(loops); k++)
		r->v[FAR] += !(json_number_value(json_array_get(json_array_get(loops, k), 2)) <= FAR_APART);
	for (size_t k = 0; k < BINS; k++) {
		json_t *x = json_array_get(along, k);
		r->along[k] = json_is_number(x) ? json_number_value(x) : NAN;
	}
	return 0;
}

/* Ranks by first appearance, so that the order of the file is that of the table. */
static void rank(study *s, run *r)
{
	r->kind_rank = r->mode_rank = r->policy_rank = s->n;
	for (size_t k = s->n; k-- > 0;) {
		const run *x = &s->runs[k];
		if (!strcmp(x->kind, r->kind))
			r->kind_rank = x->kind_rank;
		if (!strcmp(x->mode, r->mode))
			r->mode_rank = x->mode_rank;
		if (!strcmp(x->policy, r->policy))
			r->policy_rank = x->policy_rank;
	}
}

static int order(size_t a, size_t b) { return (a > b) - (a < b); }

static int by_setting(const run *a, const run *b)
{
	int d = order(a->kind_rank, b->kind_rank);
	d = d ? d : order(a->mode_rank, b->mode_rank);
	d = d ? d : order(a->policy_rank, b->policy_rank);
	return d ? d : (a->frames > b->frames) - (a->frames < b->frames);
}

static int by_all(const void *x, const void *y)
{
	const run *a = x, *b = y;
	int d = by_setting(a, b);
	return d ? d : (a->seed > b->seed) - (a->seed < b->seed);
}

/* Draws of one scene become their mean. */
static void merge_draws(study *s)
{
	size_t n = 0;
	for (size_t k = 0; k < s->n; k++) {
		run *r = &s->runs[k], *to = n ? &s->runs[n - 1] : NULL;
		if (!to || by_all(to, r)) {
			s->runs[n++] = *r;
			continue;
		}
		double share = 1 / (double)++to->draws;
		for (int m = 0; m < MEASURES; m++)
			to->v[m] += (r->v[m] - to->v[m]) * share;
		for (int b = 0; b < BINS; b++)
			to->along[b] += (r->along[b] - to->along[b]) * share;
	}
	s->n = n;
}

static int read_runs(study *s, const char *path, e3_err *err)
{
	FILE *f = fopen(path, "r");
	if (!f)
		return e3_fail_sys(err, "reading %s", path);
	char *text = NULL;
	size_t room = 0;
	int rc = 0;
	for (size_t row = 1; !rc && getline(&text, &room, f) > 0; row++) {
		json_error_t why;
		json_t *line = json_loads(text, 0, &why);
		if (!line)
			rc = e3_fail(err, "%s", why.text);
		else if (s->n == s->room) {
			s->room = 2 * s->room + 64;
			rc = e3_grow((void **)&s->runs, s->room, sizeof *s->runs, "the runs", err);
		}
		if (rc || read_run(line, &s->runs[s->n], err))
			rc = e3_fail_in(err, "reading %s: line %zu", path, row);
		else
			rank(s, &s->runs[s->n]), s->n++;
		json_decref(line);
	}
	if (!rc && ferror(f))
		rc = e3_fail_sys(err, "reading %s", path);
	free(text);
	fclose(f);
	if (!rc && s->n == 0)
		rc = e3_fail(err, "reading %s: it contains no run", path);
	if (rc)
		return -1;
	qsort(s->runs, s->n, sizeof *s->runs, by_all);
	merge_draws(s);
	return 0;
}

/* --- settings --- */

/* The runs of one setting: s->runs[first .. end); nothing when there are none. */
typedef struct setting {
	size_t first, end;
} setting;

static setting setting_at(const study *s, size_t first)
{
	setting x = {first, first};
	while (x.end < s->n && !by_setting(&s->runs[first], &s->runs[x.end]))
		x.end++;
	return x;
}

static setting setting_of(const study *s, const char *kind, const char *mode, const char *policy, double frames)
{
	for (size_t k = 0; k < s->n; k++) {
		const run *r = &s->runs[k];
		if (!strcmp(r->kind, kind) && !strcmp(r->mode, mode) && !strcmp(r->policy, policy) && r->frames == frames)
			return setting_at(s, k);
	}
	return (setting){0, 0};
}

static size_t size_of(setting x) { return x.end - x.first; }

/* Measure m of the scenes that both have (of a alone when b is empty), into v and w. */
static size_t paired(const study *s, setting a, setting b, int m, double *v, double *w)
{
	size_t n = 0, j = b.first;
	for (size_t k = a.first; k < a.end; k++) {
		const run *r = &s->runs[k];
		while (j < b.end && s->runs[j].seed < r->seed)
			j++;
		double other = size_of(b) ? (j < b.end && s->runs[j].seed == r->seed ? s->runs[j].v[m] : NAN) : 0;
		if (isfinite(r->v[m]) && isfinite(other))
			v[n] = r->v[m], w[n++] = other;
	}
	return n;
}

typedef enum compare { ALONE, LESS, OVER } compare;

static interval score(const study *s, setting a, setting b, int m, compare how)
{
	interval i = {.mean = NAN, .lo = NAN, .hi = NAN};
	double *v = calloc(size_of(a) + 1, sizeof *v), *w = calloc(size_of(a) + 1, sizeof *w);
	if (v && w && (how == ALONE || size_of(b))) {
		size_t n = paired(s, a, how == ALONE ? (setting){0, 0} : b, m, v, w);
		for (size_t k = 0; how == LESS && k < n; k++)
			v[k] -= w[k];
		i = how == OVER ? study_ratio(v, w, n) : study_mean(v, NULL, n);
	}
	free(v), free(w);
	return i;
}

/* --- the tables --- */

static const char *less_name = "random", *base_name = "evict3r", *plot_budget = "8f";

static setting rival_of(const study *s, const run *r)
{
	return strcmp(r->policy, less_name) ? setting_of(s, r->kind, r->mode, less_name, r->frames) : (setting){0, 0};
}

/* The base in one piece with the same cache; a setting that keeps everything is compared with the budget that is drawn.
 */
static setting base_of(const study *s, const run *r)
{
	double frames = isfinite(r->frames) ? r->frames : strtod(plot_budget, NULL);
	return setting_of(s, r->kind, "whole", base_name, frames);
}

static void print_interval(const interval *i, const char *format, int width)
{
	char text[64] = "-";
	if (i->n && isfinite(i->lo))
		snprintf(text, sizeof text, format, i->mean, i->lo, i->hi);
	else if (i->n)
		snprintf(text, sizeof text, "%.4f", i->mean);
	printf("  %-*s", width, text);
}

/* Means of everything, a line a setting. */
static void print_summary(const study *s, size_t first)
{
	const char *kind = s->runs[first].kind;
	printf("\n%s: means over scenes\n%-9s %-10s %6s %3s", kind, "mode", "policy", "cache", "n");
	for (int m = 0; m < MEASURES; m++)
		printf(" %8s", measures[m].brief);
	printf("  ATE of %s whole\n", base_name);
	for (size_t k = first; k < s->n && !strcmp(s->runs[k].kind, kind); k = setting_at(s, k).end) {
		const run *r = &s->runs[k];
		setting x = setting_at(s, k);
		printf("%-9s %-10s %6s %3zu", r->mode, r->policy, r->budget, size_of(x));
		for (int m = 0; m < MEASURES; m++) {
			interval i = score(s, x, x, m, ALONE);
			if (i.n)
				printf(" %8.*f", m == ROTATION || m == DRIFT_TURN || m >= RATE ? 2 : 4, i.mean);
			else
				printf(" %8s", "-");
		}
		interval ratio = score(s, x, base_of(s, r), ATE, OVER);
		print_interval(&ratio, "x %.3f [%.3f, %.3f]", 1);
		putchar('\n');
	}
}

static void print_measure(const study *s, size_t first, int m)
{
	const char *kind = s->runs[first].kind;
	char less[64], over[64];
	snprintf(less, sizeof less, "less %s", less_name), snprintf(over, sizeof over, "of %s whole", base_name);
	printf("\n%s: %s\n%-9s %-10s %6s %3s  %-27s  %-27s  %s\n", kind, measures[m].name, "mode", "policy", "cache", "n",
		"mean [95 %]", less, over);
	for (size_t k = first; k < s->n && !strcmp(s->runs[k].kind, kind); k = setting_at(s, k).end) {
		const run *r = &s->runs[k];
		setting x = setting_at(s, k);
		interval mean = score(s, x, x, m, ALONE), than = score(s, x, rival_of(s, r), m, LESS),
				 ratio = score(s, x, base_of(s, r), m, OVER);
		printf("%-9s %-10s %6s %3zu", r->mode, r->policy, r->budget, mean.n);
		print_interval(&mean, "%.4f [%.4f, %.4f]", 27), print_interval(&than, "%+.4f [%+.4f, %+.4f]", 27);
		print_interval(&ratio, "x %.3f [%.3f, %.3f]", 1);
		putchar('\n');
	}
}

static void print_kind(const study *s, size_t first)
{
	print_summary(s, first);
	for (int m = 0; m < MEASURES; m++) {
		bool known = false;
		for (size_t k = first; k < s->n && !strcmp(s->runs[k].kind, s->runs[first].kind); k++)
			known |= isfinite(s->runs[k].v[m]);
		if (measures[m].interval && known)
			print_measure(s, first, m);
	}
}

/* --- the plots --- */

static const e3_pen pens[] = {{{110, 110, 110}, 2, false}, {{235, 149, 50}, 2, false}, {{214, 69, 65}, 2, false},
	{{130, 80, 160}, 2, true}, {{44, 110, 190}, 2, true}, {{60, 150, 80}, 2, true}, {{40, 44, 52}, 2, false},
	{{44, 110, 190}, 2, false}, {{60, 150, 80}, 2, false}};

typedef struct curve {
	double v[BINS];
	char key[64];
	const e3_pen *pen;
} curve;

static void mean_along(const study *s, setting x, double v[BINS])
{
	for (int b = 0; b < BINS; b++) {
		v[b] = 0;
		for (size_t k = x.first; k < x.end; k++)
			v[b] += s->runs[k].along[b] / (double)size_of(x);
	}
}

/* No eviction, the policies of --less and --base, in each mode. */
static size_t collect_curves(const study *s, const char *kind, curve to[9])
{
	const char *const modes[] = {"whole", "segments", "loops"}, *policies[] = {"none", less_name, base_name};
	size_t n = 0;
	for (int m = 0; m < 3; m++)
		for (int p = 0; p < 3; p++) {
			setting x = setting_of(s, kind, modes[m], policies[p], p ? strtod(plot_budget, NULL) : (double)INFINITY);
			if (!size_of(x) || (p == 2 && !strcmp(policies[1], policies[2])))
				continue;
			mean_along(s, x, to[n].v);
			snprintf(to[n].key, sizeof to[n].key, "%s, %s", p ? policies[p] : "no eviction", modes[m]);
			to[n++].pen = &pens[3 * m + p];
		}
	return n;
}

static int plot_kind(const study *s, size_t first, const char *dir, e3_err *err)
{
	const char *kind = s->runs[first].kind;
	char title[96], path[4096];
	curve curves[9];
	size_t n = collect_curves(s, kind, curves);
	double hi = 0, x[BINS];
	for (int b = 0; b < BINS; b++)
		x[b] = 100 * (b + 0.5) / BINS;
	for (size_t k = 0; k < n; k++)
		for (int b = 0; b < BINS; b++)
			hi = fmax(hi, curves[k].v[b]);
	if (!(hi > 0))
		return 0;
	snprintf(title, sizeof title, "%s: error of position along the path, %s", kind, plot_budget);
	e3_plot p;
	e3_plot_axes axes = {.w = 560,
		.h = 340,
		.title = title,
		.x_label = "percent of the path; mean over scenes",
		.y_label = "",
		.x0 = 0,
		.x1 = 100,
		.y0 = 0,
		.y1 = 1.05 * hi,
		.key_chars = 24};
	if (e3_plot_init(&p, &axes, err))
		return -1;
	for (size_t k = 0; k < n; k++) {
		e3_plot_curve(&p, x, curves[k].v, BINS, curves[k].pen);
		e3_plot_key(&p, curves[k].key, curves[k].pen);
	}
	int rc = snprintf(path, sizeof path, "%s/along-%s.png", dir, kind) < (int)sizeof path
		? e3_png_save(path, &p.im, err)
		: e3_fail(err, "drawing into %s: the path is too long", dir);
	e3_plot_release(&p);
	return rc;
}

static const char *png;
static const e3_opt table[] = {
	E3_OPT_TEXT("less", &less_name, "POLICY", "the policy that others are compared with (default random)"),
	E3_OPT_TEXT("base", &base_name, "POLICY", "the policy whose figure in one piece is 1 (default evict3r)"),
	E3_OPT_TEXT("plot", &plot_budget, "BUDGET", "the budget that is drawn (default 8f)"),
	E3_OPT_TEXT("png", &png, "DIR", "draw the errors along the path into DIR"),
	E3_OPT_END,
};

int main(int argc, char **argv)
{
	e3_tool_init("long");
	static const e3_opts opts = {.tool = "long",
		.usage = "[options] FILE",
		.summary = "Errors of long walks, of the runs in FILE.",
		.table = table};
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc - first != 1)
		e3_usage_error("one file of runs is expected, %d were given", argc - first);
	study s = {0};
	e3_err err;
	int rc = read_runs(&s, argv[first], &err);
	if (!rc && png)
		rc = e3_mkdirs(png, &err);
	for (size_t k = 0; !rc && k < s.n;) {
		print_kind(&s, k);
		if (png)
			rc = plot_kind(&s, k, png, &err);
		for (const char *kind = s.runs[k].kind; k < s.n && !strcmp(s.runs[k].kind, kind);)
			k++;
	}
	if (!rc && (fflush(stdout) || ferror(stdout)))
		rc = e3_fail_sys(&err, "writing the table");
	free(s.runs);
	return e3_tool_exit(rc, &err);
}
