/* e3-evict-stats: tables: a line of headings, columns separated by tabs; unknown figures are "nan". */
#include "evict-stats.h"
#include "e3/io.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void real(FILE *f, double v)
{
	if (isfinite(v))
		fprintf(f, "\t%.9g", v);
	else
		fputs("\tnan", f);
}

/* A line ends with the segment of its step where there are several. */
static void headings(const report *x, FILE *f, const char *text)
{
	fprintf(f, "%s%s\n", text, x->run.replay->segments > 1 ? "\tsegment" : "");
}

static void end_line(const e3_replay *r, int64_t t, FILE *f)
{
	if (r->segments > 1)
		fprintf(f, "\t%" PRId64, r->segment[r->step[t].segment].number);
	fputc('\n', f);
}

static void per_step(const report *x, FILE *f)
{
	const e3_replay *r = x->run.replay;
	double per_frame = (double)r->shape.layers * r->shape.n, kv = (double)x->run.head->kv_token_bytes;
	double patches = (double)r->shape.layers * (r->shape.n - r->shape.special);
	headings(x, f,
		"step\tframe\ttokens_before\ttokens_after\tremoved\tturnover\tkept_fraction\tbudget_use\tstillborn\tage_5\tage_25\t"
		"age_50\tage_75\tage_95\tage_max\tbytes\tbytes_without_eviction");
	for (int64_t t = 0; t < r->steps; t++) {
		const e3_trace_step *s = &r->step[t];
		fprintf(f, "%" PRId64 "\t%" PRId64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu32, t, s->i, s->before, s->after,
			s->removed);
		real(f, (double)s->removed / (double)s->before);
		real(f, (double)s->after / (per_frame * (double)(s->local + 1)));
		real(f, x->run.head->budget > 0 ? (double)s->after / (double)x->run.head->budget : NAN);
		real(f, s->stillborn / patches);
		for (int k = 0; k < E3_TRACE_AGES; k++)
			fprintf(f, "\t%" PRIu32, s->age[k]);
		fprintf(f, "\t%" PRIu32, s->age_max);
		real(f, kv > 0 ? kv * (double)s->after : NAN);
		real(f, kv > 0 ? kv * per_frame * (double)(s->local + 1) : NAN);
		end_line(r, t, f);
	}
}

static void per_layer(const report *x, FILE *f)
{
	const e3_replay *r = x->run.replay;
	double patches = r->shape.n - r->shape.special;
	headings(x, f,
		"step\tframe\tlayer\tk_before\tk_after\tremoved\tturnover\tkept_fraction\tbudget\tbudget_use\talpha\tvariance\tstillborn\t"
		"protected\tprotected_evicted\tsaturated\tq0\tq1\tq5\tq25\tq50\tq75\tq95\tq99\tq100\tmax_evicted\tmin_kept\tgap\t"
		"jaccard_next");
	for (int64_t t = 0; t < r->steps; t++)
		for (int l = 0; l < r->shape.layers; l++) {
			const e3_trace_cell *c = e3_trace_cell_at(r, t, l);
			fprintf(f, "%" PRId64 "\t%" PRId64 "\t%d\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32, t, r->step[t].i, l,
				c->before, c->after, c->removed);
			real(f, (double)c->removed / c->before);
			real(f, c->after / ((double)r->shape.n * (double)(r->step[t].local + 1)));
			real(f, c->budget), real(f, e3_trace_budget_use(c)), real(f, c->alpha), real(f, c->variance),
				real(f, c->stillborn / patches);
			fprintf(f, "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32, c->prot, c->protected_evicted, c->saturated);
			for (int k = 0; k < E3_TRACE_QUANTILES; k++)
				real(f, c->q[k]);
			real(f, c->max_evicted), real(f, c->min_kept), real(f, c->min_kept - c->max_evicted),
				real(f, c->jaccard_next);
			end_line(r, t, f);
		}
}

static void survival(const report *x, FILE *f)
{
	fputs("layer\tage\tat_risk\tdeaths\thazard\tsurvival\n", f);
	for (int l = -1; l < x->run.replay->shape.layers; l++) {
		const e3_trace_survival *v = l < 0 ? &x->run.stats->all : &x->run.stats->layer[l];
		for (int64_t a = 0; a < v->n && v->at_risk[a]; a++) {
			char name[16] = "all";
			if (l >= 0)
				snprintf(name, sizeof name, "%d", l);
			fprintf(f, "%s\t%" PRId64 "\t%" PRIu64 "\t%" PRIu64, name, a, v->at_risk[a], v->deaths[a]);
			real(f, (double)v->deaths[a] / (double)v->at_risk[a]);
			real(f, v->s[a]);
			fputc('\n', f);
		}
	}
}

static void frames(const report *x, FILE *f)
{
	int layers = x->run.replay->shape.layers;
	fputs("step\tframe\timportance", f);
	for (int l = 0; l < layers; l++)
		fprintf(f, "\tkept_%02d", l);
	headings(x, f, "");
	for (int64_t k = 0; k < x->run.replay->steps; k++) {
		fprintf(f, "%" PRId64 "\t%" PRId64, k, x->run.replay->step[k].i);
		real(f, x->run.stats->importance[k]);
		for (int l = 0; l < layers; l++)
			fprintf(f, "\t%" PRIu32, x->run.stats->kept[k * layers + l]);
		end_line(x->run.replay, k, f);
	}
}

static void agreement(const report *x, FILE *f)
{
	int layers = x->run.replay->shape.layers;
	fputs("layer\tother\tjaccard\n", f);
	for (int a = 0; a < layers; a++)
		for (int b = 0; b < layers; b++) {
			fprintf(f, "%d\t%d", a, b);
			real(f, x->run.stats->agreement[a * layers + b]);
			fputc('\n', f);
		}
}

/* Tables are written through stdio; e3_file_commit reports its errors. */
typedef struct output {
	const char *name;
	void (*table)(const report *x, FILE *f); /* NULL: the JSON text */
} output;

static int write_output(const output *o, const char *dir, const report *x, const e3_buf *json, e3_err *err)
{
	char path[4096];
	e3_file file;
	snprintf(path, sizeof path, "%s/%s", dir, o->name);
	if (e3_file_open(&file, path, err))
		return -1;
	if (o->table)
		o->table(x, file.f);
	else
		fwrite(json->data, 1, json->len, file.f);
	return e3_file_commit(&file, err);
}

int report_tsv(const report *x, const char *dir, e3_err *err)
{
	static const output outputs[] = {{"per_step.tsv", per_step}, {"per_layer.tsv", per_layer},
		{"survival.tsv", survival}, {"frames.tsv", frames}, {"agreement.tsv", agreement}, {"summary.json", NULL}};
	e3_buf json = {0};
	int rc = report_json(x, &json, err) || e3_mkdirs(dir, err) ? -1 : 0;
	for (size_t k = 0; !rc && k < sizeof outputs / sizeof *outputs; k++)
		rc = write_output(&outputs[k], dir, x, &json, err);
	e3_buf_release(&json);
	return rc;
}
