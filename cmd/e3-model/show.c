/* e3-model: list and check. Owns the tables and JSON that describe a checkpoint. */
#include "model.h"
#include "e3/config.h"
#include "e3/json.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
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

static void json_tensor(e3_json *j, const e3_tensor_info *t)
{
	e3_json_object(j, NULL);
	e3_json_text(j, "name", t->name);
	e3_json_text(j, "dtype", e3_dtype_name(t->dtype));
	e3_json_array(j, "shape");
	for (int k = 0; k < t->rank; k++)
		e3_json_int(j, NULL, t->shape[k]);
	e3_json_end(j);
	e3_json_end(j);
}

static int list_json(e3_buf *b, const e3_ckpt *c, e3_err *err)
{
	e3_json j = {.to = b, .err = err};
	const char *key, *value;
	e3_json_object(&j, NULL);
	e3_json_text(&j, "path", e3_ckpt_path(c));
	e3_json_text(&j, "format", e3_ckpt_format(c));
	e3_json_object(&j, "metadata");
	for (size_t k = 0; (key = e3_ckpt_meta_at(c, k, &value)); k++)
		e3_json_text(&j, key, value);
	e3_json_end(&j);
	e3_json_array(&j, "tensors");
	for (size_t k = 0; k < e3_ckpt_count(c); k++) {
		e3_json_blank(&j, "\n");
		json_tensor(&j, e3_ckpt_at(c, k));
	}
	e3_json_end(&j);
	e3_json_end(&j);
	return j.rc ? -1 : e3_buf_add(b, "\n", 1, err);
}

static int list_text(e3_buf *b, const e3_ckpt *c, e3_err *err)
{
	int width = 0, rc = 0;
	for (size_t k = 0; k < e3_ckpt_count(c); k++)
		width = (int)strlen(e3_ckpt_at(c, k)->name) > width ? (int)strlen(e3_ckpt_at(c, k)->name) : width;
	for (size_t k = 0; !rc && k < e3_ckpt_count(c); k++) {
		const e3_tensor_info *t = e3_ckpt_at(c, k);
		rc = e3_buf_printf(b, err, "%-*s  %-4s  [", width, t->name, e3_dtype_name(t->dtype));
		for (int d = 0; d < t->rank && !rc; d++)
			rc = e3_buf_printf(b, err, "%s%" PRId64, d ? "," : "", t->shape[d]);
		rc = rc || e3_buf_add(b, "]\n", 2, err) ? -1 : 0;
	}
	return rc;
}

int em_list(const e3_ckpt *c, const em_options *o, e3_err *err)
{
	e3_buf b = {0};
	return put(&b, o->json ? list_json(&b, c, err) : list_text(&b, c, err), err);
}

/* The configuration, a row each: text, or members of a JSON object when `json` is set. */
typedef struct printing {
	e3_buf *b;
	e3_json *json;
	int rc;
	e3_err *err;
} printing;

static void text_row(printing *p, const char *key, const char *text)
{
	if (p->json)
		e3_json_text(p->json, key, text);
	else if (!p->rc)
		p->rc = e3_buf_printf(p->b, p->err, "%-18s %s\n", key, text[0] ? text : "-");
}

static void int_row(printing *p, const char *key, int64_t v)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRId64, v);
	if (p->json)
		e3_json_int(p->json, key, v);
	else
		text_row(p, key, text);
}

static void bool_row(printing *p, const char *key, bool v)
{
	if (p->json)
		e3_json_bool(p->json, key, v);
	else
		text_row(p, key, v ? "yes" : "no");
}

static void four_row(printing *p, const char *key, const int v[4])
{
	char text[64];
	snprintf(text, sizeof text, "%d %d %d %d", v[0], v[1], v[2], v[3]);
	if (p->json)
		e3_json_ints(p->json, key, v, 4);
	else
		text_row(p, key, text);
}

static void head_rows(printing *p, const char *head, const e3_dpt_config *d)
{
	char key[32];
	snprintf(key, sizeof key, "%s_head", head);
	bool_row(p, key, d->present);
	if (!d->present)
		return;
	snprintf(key, sizeof key, "%s_features", head);
	int_row(p, key, d->features);
	snprintf(key, sizeof key, "%s_channels", head);
	four_row(p, key, d->oc);
}

static void config_rows(printing *p, const e3_config *c)
{
	text_row(p, "arch", e3_config_arch(c)->name);
	text_row(p, "name", c->name);
	text_row(p, "license", c->license);
	text_row(p, "authors_license", e3_config_arch(c)->license);
	text_row(p, "authors_weights", e3_config_arch(c)->source);
	int_row(p, "embed", c->embed);
	int_row(p, "patch", c->patch);
	int_row(p, "image_size", c->image_size);
	int_row(p, "pos_grid", c->pos_grid);
	int_row(p, "registers", c->registers);
	int_row(p, "vit_depth", c->vit_depth);
	int_row(p, "vit_heads", c->vit_heads);
	int_row(p, "vit_hidden", c->vit_hidden);
	int_row(p, "layers", c->layers);
	int_row(p, "heads", c->heads);
	int_row(p, "head_dim", c->head_dim);
	int_row(p, "hidden", c->hidden);
	bool_row(p, "qk_norm", c->qk_norm);
	text_row(p, "rope_angles", c->rope_bf16 ? "bf16" : "f32");
	int_row(p, "camera_dim", c->camera_dim);
	int_row(p, "camera_depth", c->camera_depth);
	int_row(p, "camera_heads", c->camera_heads);
	four_row(p, "dpt_layers", c->dpt_layers);
	head_rows(p, "depth", &c->depth);
	head_rows(p, "point", &c->point);
	int_row(p, "parameters", c->parameters);
	int_row(p, "parameters_track", c->parameters_track);
}

/* A line in the report for every tensor with values that are not finite. */
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
static void add_lines(e3_json *j, const char *key, e3_buf *report)
{
	e3_json_array(j, key);
	for (char *line = report->len ? report->data : NULL, *end; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		*end = 0;
		e3_json_text(j, NULL, line);
	}
	e3_json_end(j);
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
	e3_json j = {.to = &b, .err = err};
	printing p = {.b = &b, .json = o->json ? &j : NULL, .err = err};
	if (!rc && o->json) {
		e3_json_object(&j, NULL);
		e3_json_text(&j, "path", e3_ckpt_path(c));
		e3_json_text(&j, "format", e3_ckpt_format(c));
		e3_json_int(&j, "tensors", (int64_t)e3_ckpt_count(c));
		e3_json_bool(&j, "ok", !wrong);
		add_lines(&j, "problems", &report);
		e3_json_object(&j, "config");
		config_rows(&p, &config);
		e3_json_end(&j);
		e3_json_end(&j);
		rc = j.rc || e3_buf_add(&b, "\n", 1, err) ? -1 : 0;
	} else if (!rc) {
		text_row(&p, "format", e3_ckpt_format(c));
		config_rows(&p, &config);
		rc = p.rc || e3_buf_add(&b, report.data, report.len, err) ? -1 : 0;
	}
	e3_buf_release(&report);
	if (put(&b, rc ? -1 : 0, err))
		return -1;
	if (wrong)
		*err = found;
	return wrong;
}
