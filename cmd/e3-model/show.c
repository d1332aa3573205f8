/* e3-model: list and check. Owns the tables and JSON that describe a checkpoint. */
#include "model.h"
#include "e3/config.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16 };

/* Prints and releases. */
static int put(e3_buf *b, int rc, e3_err *err)
{
	if (!rc && b->len && (fwrite(b->data, 1, b->len, stdout) != b->len || fflush(stdout)))
		rc = e3_fail_sys(err, "writing: standard output");
	e3_buf_release(b);
	return rc;
}

static int add_shape(e3_buf *b, const e3_tensor_info *t, e3_err *err)
{
	int rc = e3_buf_add(b, "[", 1, err);
	for (int k = 0; k < t->rank && !rc; k++)
		rc = e3_buf_printf(b, err, "%s%" PRId64, k ? "," : "", t->shape[k]);
	return rc ? rc : e3_buf_add(b, "]", 1, err);
}

static int list_json(e3_buf *b, const e3_ckpt *c, e3_err *err)
{
	const char *key, *value;
	int rc = e3_buf_printf(b, err, "{\"path\":") || e3_buf_json(b, e3_ckpt_path(c), err) ||
		e3_buf_printf(b, err, ",\"format\":\"%s\",\"metadata\":{", e3_ckpt_format(c));
	for (size_t k = 0; !rc && (key = e3_ckpt_meta_at(c, k, &value)); k++)
		rc = (k && e3_buf_add(b, ",", 1, err)) || e3_buf_json(b, key, err) || e3_buf_add(b, ":", 1, err) ||
			e3_buf_json(b, value, err);
	rc = rc || e3_buf_printf(b, err, "},\"tensors\":[");
	for (size_t k = 0; !rc && k < e3_ckpt_count(c); k++) {
		const e3_tensor_info *t = e3_ckpt_at(c, k);
		rc = e3_buf_printf(b, err, "%s\n{\"name\":", k ? "," : "") || e3_buf_json(b, t->name, err) ||
			e3_buf_printf(b, err, ",\"dtype\":\"%s\",\"shape\":", e3_dtype_name(t->dtype)) || add_shape(b, t, err) ||
			e3_buf_add(b, "}", 1, err);
	}
	return rc || e3_buf_printf(b, err, "]}\n") ? -1 : 0;
}

int em_list(const e3_ckpt *c, const em_options *o, e3_err *err)
{
	e3_buf b = {0};
	int rc = o->json ? list_json(&b, c, err) : 0, width = 0;
	for (size_t k = 0; k < e3_ckpt_count(c); k++)
		width = (int)strlen(e3_ckpt_at(c, k)->name) > width ? (int)strlen(e3_ckpt_at(c, k)->name) : width;
	for (size_t k = 0; !o->json && !rc && k < e3_ckpt_count(c); k++) {
		const e3_tensor_info *t = e3_ckpt_at(c, k);
		rc = e3_buf_printf(&b, err, "%-*s  %-4s  ", width, t->name, e3_dtype_name(t->dtype)) || add_shape(&b, t, err) ||
			e3_buf_add(&b, "\n", 1, err);
	}
	return put(&b, rc ? -1 : 0, err);
}

/* One line of the configuration: text or a JSON member. */
typedef struct printing {
	e3_buf *b;
	bool json;
	int n, rc;
	e3_err *err;
} printing;

static void row(printing *p, const char *key, const char *fmt, ...) E3_PRINTF(3, 4);
static void row(printing *p, const char *key, const char *fmt, ...)
{
	char text[256];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (p->rc)
		return;
	p->rc = p->json ? e3_buf_printf(p->b, p->err, "%s\"%s\":%s", p->n ? "," : "", key, text)
					: e3_buf_printf(p->b, p->err, "%-18s %s\n", key, text);
	p->n++;
}

static void text_row(printing *p, const char *key, const char *text)
{
	e3_buf quoted = {0};
	if (!p->json)
		row(p, key, "%s", text[0] ? text : "-");
	else if (!(p->rc = p->rc ? p->rc : e3_buf_json(&quoted, text, p->err)))
		row(p, key, "%s", quoted.data);
	e3_buf_release(&quoted);
}

static void head_rows(printing *p, const char *head, const e3_dpt_config *d)
{
	char key[32];
	snprintf(key, sizeof key, "%s_head", head);
	row(p, key, "%s", d->present ? (p->json ? "true" : "yes") : p->json ? "false" : "no");
	if (!d->present)
		return;
	snprintf(key, sizeof key, "%s_features", head);
	row(p, key, "%d", d->features);
	snprintf(key, sizeof key, "%s_channels", head);
	row(p, key, p->json ? "[%d,%d,%d,%d]" : "%d %d %d %d", d->oc[0], d->oc[1], d->oc[2], d->oc[3]);
}

static void config_rows(printing *p, const e3_config *c)
{
	const int *l = c->dpt_layers;
	text_row(p, "name", c->name);
	text_row(p, "license", c->license);
	row(p, "embed", "%d", c->embed);
	row(p, "patch", "%d", c->patch);
	row(p, "image_size", "%d", c->image_size);
	row(p, "pos_grid", "%d", c->pos_grid);
	row(p, "registers", "%d", c->registers);
	row(p, "vit_depth", "%d", c->vit_depth);
	row(p, "vit_heads", "%d", c->vit_heads);
	row(p, "vit_hidden", "%d", c->vit_hidden);
	row(p, "layers", "%d", c->layers);
	row(p, "heads", "%d", c->heads);
	row(p, "head_dim", "%d", c->head_dim);
	row(p, "hidden", "%d", c->hidden);
	row(p, "qk_norm", "%s", c->qk_norm ? (p->json ? "true" : "yes") : p->json ? "false" : "no");
	text_row(p, "rope_angles", c->rope_bf16 ? "bf16" : "f32");
	row(p, "camera_dim", "%d", c->camera_dim);
	row(p, "camera_depth", "%d", c->camera_depth);
	row(p, "camera_heads", "%d", c->camera_heads);
	row(p, "dpt_layers", p->json ? "[%d,%d,%d,%d]" : "%d %d %d %d", l[0], l[1], l[2], l[3]);
	head_rows(p, "depth", &c->depth);
	head_rows(p, "point", &c->point);
	row(p, "parameters", "%" PRId64, c->parameters);
	row(p, "parameters_track", "%" PRId64, c->parameters_track);
}

/* A line in the report for every tensor with values that are no numbers. */
static int check_values(const e3_ckpt *c, e3_buf *report, size_t *bad, e3_err *err)
{
	float *v = e3_alloc(CHUNK, sizeof *v, "values", err);
	int rc = v ? 0 : -1;
	for (size_t k = 0; !rc && k < e3_ckpt_count(c) && !e3_stop_signal(); k++) {
		const e3_tensor_info *t = e3_ckpt_at(c, k);
		size_t count = 0;
		for (size_t first = 0; !rc && t->dtype <= E3_F64 && first < t->count; first += CHUNK) {
			size_t n = t->count - first < CHUNK ? t->count - first : CHUNK;
			rc = e3_ckpt_read_f32(c, t, first, n, v, err);
			for (size_t i = 0; !rc && i < n; i++)
				count += !isfinite(v[i]);
		}
		e3_ckpt_forget(c, t);
		if (count && !rc) {
			rc = e3_buf_printf(report, err, "values: %s: %zu of %zu are not finite\n", t->name, count, t->count);
			++*bad;
		}
		e3_progress("checking values: tensor %zu of %zu", k + 1, e3_ckpt_count(c));
	}
	free(v);
	return rc;
}

/* The report's lines as a JSON array. */
static int add_lines(e3_buf *b, e3_buf *report, e3_err *err)
{
	int rc = e3_buf_add(b, "[", 1, err);
	bool first = true;
	for (char *line = report->len ? report->data : NULL, *end; !rc && line && *line; line = end + 1, first = false) {
		end = strchr(line, '\n');
		*end = 0;
		rc = (!first && e3_buf_add(b, ",", 1, err)) || e3_buf_json(b, line, err);
	}
	return rc || e3_buf_add(b, "]", 1, err) ? -1 : 0;
}

int em_check(const e3_ckpt *c, const em_options *o, e3_err *err)
{
	e3_buf b = {0}, report = {0};
	e3_config config;
	e3_err found;
	size_t bad = 0;
	int wrong = e3_config_read(c, &config, &report, &found);
	int rc = check_values(c, &report, &bad, err);
	if (!wrong && bad)
		wrong = e3_fail(&found, "checking: %s: %zu tensors hold values that are not finite", e3_ckpt_path(c), bad);
	printing p = {.b = &b, .json = o->json, .err = err};
	if (!rc && o->json)
		rc = e3_buf_printf(&b, err, "{\"path\":") || e3_buf_json(&b, e3_ckpt_path(c), err) ||
			e3_buf_printf(&b, err, ",\"format\":\"%s\",\"tensors\":%zu,\"ok\":%s,\"problems\":", e3_ckpt_format(c),
				e3_ckpt_count(c), wrong ? "false" : "true") ||
			add_lines(&b, &report, err) || e3_buf_printf(&b, err, ",\"config\":{");
	if (!rc) {
		if (!o->json)
			text_row(&p, "format", e3_ckpt_format(c));
		config_rows(&p, &config);
		rc = p.rc;
	}
	rc = rc ||
		(o->json             ? e3_buf_printf(&b, err, "}}\n")
				: report.len ? e3_buf_add(&b, report.data, report.len, err)
							 : 0);
	e3_buf_release(&report);
	if (put(&b, rc ? -1 : 0, err))
		return -1;
	if (wrong)
		*err = found;
	return wrong;
}
