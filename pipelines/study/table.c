/* study: the table and the plots of accuracy against memory, from the runs that run.sh left: one JSON object a line.
 * Every figure is a mean over scenes with its interval (stats.h); kinds of scenes are resampled separately. */
#include "e3/err.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/plot.h"
#include "e3/tool.h"
#include "stats.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEASURES = 7, NAME = 24 };

typedef struct measure {
	const char *name, *file;
	const char *against; /* "truth" or "full" */
	const char *group, *row, *key;
} measure;

static const measure measures[MEASURES] = {
	{"AbsRel of depth, one scale a clip", "depth.png", "truth", "video_depth", "median", "abs_rel"},
	{"share of pixels within 3 % (d<1.03)", "within.png", "truth", "video_depth", "median", "d103"},
	{"ATE, after a similarity", "position.png", "truth", "pose", "Sim(3)", "ate"},
	{"rotation error, degrees", "rotation.png", "truth", "pose", "Sim(3)", "rotation"},
	{"depth: AbsRel to the prediction without eviction", "depth_moved.png", "full", "video_depth", "median", "abs_rel"},
	{"position: ATE to the prediction without eviction", "position_moved.png", "full", "pose", "Sim(3)", "ate"},
	{"rotation to the prediction without eviction, degrees", "rotation_moved.png", "full", "pose", "Sim(3)",
		"rotation"},
};

typedef struct run {
	char kind[NAME], policy[NAME];
	size_t rank; /* of the policy: the row of the file that has it first */
	int64_t seed;
	double temp, p;     /* temp NaN: the policy has none */
	double cache;       /* largest size, as a share of the size without eviction */
	double v[MEASURES]; /* NaN: missing */
} run;

typedef struct study {
	run *runs; /* by rank, temperature, fraction, kind, seed: a setting is a stretch of it */
	size_t n, room;
} study;

/* --- reading --- */

static json_t *sequence(json_t *line, const char *against)
{
	return json_array_get(json_object_get(json_object_get(line, against), "sequences"), 0);
}

static int read_run(json_t *line, run *r, e3_err *err)
{
	const char *kind = json_string_value(json_object_get(line, "kind")),
			   *policy = json_string_value(json_object_get(line, "policy"));
	double seed = study_number(line, "seed");
	*r = (run){.temp = study_number(line, "temp"), .p = study_number(line, "p")};
	if (!kind || !policy || strlen(kind) >= NAME || strlen(policy) >= NAME || !(fabs(seed) <= 9e15) || !isfinite(r->p))
		return e3_fail(err, "not a run: it lacks 'kind', 'seed', 'policy' or 'p'");
	if (!sequence(line, "truth") || !sequence(line, "full"))
		return e3_fail(err, "not a run: it lacks a report of e3-eval in 'truth' or 'full'");
	strcpy(r->kind, kind), strcpy(r->policy, policy);
	r->seed = (int64_t)seed;
	r->cache =
		study_number(sequence(line, "truth"), "cache_peak") / study_number(sequence(line, "truth"), "cache_full");
	for (int k = 0; k < MEASURES; k++) {
		const measure *m = &measures[k];
		r->v[k] = study_number(json_object_get(json_object_get(sequence(line, m->against), m->group), m->row), m->key);
	}
	return 0;
}

static double temp_key(const run *r) { return isnan(r->temp) ? -1 : r->temp; }

static int by_scene(const run *a, const run *b)
{
	int d = strcmp(a->kind, b->kind);
	return d ? d : (a->seed > b->seed) - (a->seed < b->seed);
}

static int by_setting(const run *a, const run *b)
{
	int d = (a->rank > b->rank) - (a->rank < b->rank);
	if (!d)
		d = (temp_key(a) > temp_key(b)) - (temp_key(a) < temp_key(b));
	return d ? d : (a->p < b->p) - (a->p > b->p);
}

static int by_all(const void *x, const void *y)
{
	int d = by_setting(x, y);
	return d ? d : by_scene(x, y);
}

static size_t rank_of(const study *s, const char *policy)
{
	size_t k = 0;
	while (k < s->n && strcmp(s->runs[k].policy, policy))
		k++;
	return k < s->n ? s->runs[k].rank : s->n;
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
			s->runs[s->n].rank = rank_of(s, s->runs[s->n].policy), s->n++;
		json_decref(line);
	}
	if (!rc && ferror(f))
		rc = e3_fail_sys(err, "reading %s", path);
	free(text);
	fclose(f);
	if (rc)
		return -1;
	if (s->n == 0)
		return e3_fail(err, "reading %s: it contains no run", path);
	qsort(s->runs, s->n, sizeof *s->runs, by_all);
	for (size_t k = 1; k < s->n; k++)
		if (!by_all(&s->runs[k - 1], &s->runs[k]))
			return e3_fail(err, "reading %s: the same run twice: %s %lld, %s at %g", path, s->runs[k].kind,
				(long long)s->runs[k].seed, s->runs[k].policy, s->runs[k].p);
	return 0;
}

/* --- statistics --- */

/* One setting's runs: s->runs[first .. end). */
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

/* The runs of a policy at a fraction; nothing when there are none. NaN: without a temperature. */
static setting setting_of(const study *s, const char *policy, double temp, double p)
{
	run want = {.rank = rank_of(s, policy), .temp = temp, .p = p};
	for (size_t k = 0; k < s->n; k++)
		if (!by_setting(&s->runs[k], &want))
			return setting_at(s, k);
	return (setting){0, 0};
}

/* Measure m of setting a, less that of b on the same scene when b is given; scenes where one is missing are left out.
 * `only`: a kind. */
static interval score(const study *s, setting a, const setting *b, int m, const char *only)
{
	size_t room = a.end - a.first, n = 0, j = b ? b->first : 0;
	double *v = calloc(room ? room : 1, sizeof *v);
	int *kind = calloc(room ? room : 1, sizeof *kind), kinds = 0;
	for (size_t k = a.first; v && kind && k < a.end; k++) {
		const run *r = &s->runs[k];
		kinds += k > a.first && strcmp(r->kind, s->runs[k - 1].kind);
		while (b && j < b->end && by_scene(&s->runs[j], r) < 0)
			j++;
		double x = r->v[m];
		if (b)
			x -= j < b->end && !by_scene(&s->runs[j], r) ? s->runs[j].v[m] : NAN;
		if (isfinite(x) && (!only || !strcmp(only, r->kind)))
			v[n] = x, kind[n++] = kinds;
	}
	interval i = study_mean(v, kind, n);
	free(v), free(kind);
	return i;
}

/* --- the table --- */

static void print_interval(const interval *i, bool sign)
{
	char text[64] = "-";
	if (i->n)
		snprintf(text, sizeof text, sign ? "%+.4f [%+.4f, %+.4f]" : "%.4f [%.4f, %.4f]", i->mean, i->lo, i->hi);
	printf("  %-27s", text);
}

/* The policy that the others are compared with; evict3r at the default temperature of e3-infer. */
static const char *rival_name = "evict3r";

static setting rival_at(const study *s, double p)
{
	return setting_of(s, rival_name, strcmp(rival_name, "evict3r") ? NAN : 0.5, p);
}

static void print_measure(const study *s, int m)
{
	static const char *const kinds[] = {"short", "long", "revisit"};
	char than_whom[48];
	snprintf(than_whom, sizeof than_whom, "less %.20s%s", rival_name,
		strcmp(rival_name, "evict3r") ? "" : ", temp 0.5");
	bool truth = !strcmp(measures[m].against, "truth");
	setting none = setting_of(s, "none", NAN, 1);
	printf("\n%s\n%-8s %4s %5s %5s %3s  %-27s  %-27s  %-27s  %7s  %7s  %7s\n", measures[m].name, "policy", "temp", "P",
		"cache", "n", "mean [95 %]", truth ? "less no eviction" : "", than_whom, kinds[0], kinds[1], kinds[2]);
	for (size_t k = 0; k < s->n;) {
		const run *r = &s->runs[k];
		setting x = setting_at(s, k), rival = rival_at(s, r->p);
		k = x.end;
		bool is_none = !strcmp(r->policy, "none"), is_rival = rival.first == x.first && rival.end > rival.first;
		if (is_none && !truth)
			continue;
		double cache = 0;
		for (size_t j = x.first; j < x.end; j++)
			cache += s->runs[j].cache / (double)(x.end - x.first);
		interval mean = score(s, x, NULL, m, NULL), less = {.n = 0}, than = {.n = 0};
		if (truth && !is_none && none.end > none.first)
			less = score(s, x, &none, m, NULL);
		if (!is_none && !is_rival && rival.end > rival.first)
			than = score(s, x, &rival, m, NULL);
		char temp[16] = "-";
		if (!isnan(r->temp))
			snprintf(temp, sizeof temp, "%g", r->temp);
		printf("%-8s %4s %5g %5.2f %3zu", r->policy, temp, r->p, cache, mean.n);
		print_interval(&mean, false), print_interval(&less, true), print_interval(&than, true);
		for (int j = 0; j < 3; j++) {
			interval one = score(s, x, NULL, m, kinds[j]);
			printf(one.n ? "  %7.4f" : "        -", one.mean);
		}
		putchar('\n');
	}
}

/* --- the plots --- */

static const e3_pen pens[] = {{{214, 69, 65}, 2, false}, {{235, 149, 50}, 2, false}, {{44, 110, 190}, 2, false},
	{{60, 150, 80}, 2, false}, {{130, 80, 160}, 2, false}, {{110, 110, 110}, 2, false}};
enum { PENS = sizeof pens / sizeof *pens, POINTS = 64 };

/* The bars of the n-th policy are shifted a little, so that they do not hide each other. */
static void plot_policy(e3_plot *p, const study *s, size_t first, int m, int nth)
{
	const e3_pen *pen = &pens[nth % PENS];
	double x[POINTS], y[POINTS];
	size_t n = 0;
	const run *r = &s->runs[first];
	char key[64];
	for (size_t k = first; k < s->n && n < POINTS; k = setting_at(s, k).end) {
		if (strcmp(s->runs[k].policy, r->policy) || temp_key(&s->runs[k]) != temp_key(r))
			break;
		interval i = score(s, setting_at(s, k), NULL, m, NULL);
		x[n] = s->runs[k].p, y[n] = i.mean;
		double beside = x[n] + 0.005 * nth, at[2] = {beside, beside}, range[2] = {i.lo, i.hi};
		e3_plot_curve(p, at, range, 2, &(e3_pen){{pen->rgb[0], pen->rgb[1], pen->rgb[2]}, 1, false});
		n++;
	}
	e3_plot_curve(p, x, y, n, pen);
	snprintf(key, sizeof key, isnan(r->temp) ? "%s" : "%s, temp %g", r->policy, r->temp);
	e3_plot_key(p, key, pen);
}

static int plot_measure(const study *s, int m, const char *dir, e3_err *err)
{
	double lo = INFINITY, hi = -INFINITY;
	bool truth = !strcmp(measures[m].against, "truth");
	for (size_t k = 0; k < s->n; k = setting_at(s, k).end) {
		interval i = score(s, setting_at(s, k), NULL, m, NULL);
		lo = fmin(lo, fmin(i.mean, i.lo)), hi = fmax(hi, fmax(i.mean, i.hi));
	}
	if (!(hi > lo))
		return 0;
	double margin = 0.05 * (hi - lo);
	e3_plot p;
	e3_plot_axes axes = {.w = 560,
		.h = 340,
		.title = measures[m].name,
		.x_label = "fraction of the tokens kept (bars: 95 % over scenes)",
		.y_label = "",
		.x0 = 0,
		.x1 = 1.04,
		.y0 = truth ? lo - margin : 0,
		.y1 = hi + margin,
		.key_chars = 20};
	if (e3_plot_init(&p, &axes, err))
		return -1;
	int nth = 0;
	for (size_t k = 0; k < s->n;) {
		const run *r = &s->runs[k];
		if (!strcmp(r->policy, "none")) {
			double y = score(s, setting_at(s, k), NULL, m, NULL).mean;
			e3_pen black = {{40, 44, 52}, 1, true};
			e3_plot_curve(&p, (double[]){0, 1.04}, (double[]){y, y}, 2, &black);
			e3_plot_key(&p, "no eviction", &black);
		} else
			plot_policy(&p, s, k, m, nth++);
		while (k < s->n && !strcmp(s->runs[k].policy, r->policy) && temp_key(&s->runs[k]) == temp_key(r))
			k++;
	}
	char path[4096];
	int rc = snprintf(path, sizeof path, "%s/%s", dir, measures[m].file) < (int)sizeof path
		? e3_png_save(path, &p.im, err)
		: e3_fail(err, "drawing into %s: the path is too long", dir);
	e3_plot_release(&p);
	return rc;
}

static const char *png;
static const e3_opt table[] = {
	E3_OPT_TEXT("less", &rival_name, "POLICY", "the policy that others are compared with (default evict3r)"),
	E3_OPT_TEXT("png", &png, "DIR", "draw a plot of each measure into DIR"),
	E3_OPT_END,
};

int main(int argc, char **argv)
{
	e3_tool_init("study");
	static const e3_opts opts = {.tool = "study",
		.usage = "[options] FILE",
		.summary = "Accuracy against memory, of the runs in FILE.",
		.table = table};
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc - first != 1)
		e3_usage_error("one file of runs is expected, %d were given", argc - first);
	study s = {0};
	e3_err err;
	int rc = read_runs(&s, argv[first], &err);
	if (!rc && png)
		rc = e3_mkdirs(png, &err);
	for (int m = 0; !rc && m < MEASURES; m++) {
		print_measure(&s, m);
		if (png)
			rc = plot_measure(&s, m, png, &err);
	}
	if (!rc && (fflush(stdout) || ferror(stdout)))
		rc = e3_fail_sys(&err, "writing the table");
	free(s.runs);
	return e3_tool_exit(rc, &err);
}
