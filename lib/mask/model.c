/* mask: a segmentation model: its file, what it takes and gives, and one run. Refuses early what it states about itself
 * that does not go with the options. */
#include "model.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/plugin.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 8192, F32 = 1, INT32 = 6, INT64 = 7 };

static const e3_onnx_plugin *find_plugin(e3_err *err)
{
	char why[512] = "";
	void *handle = e3_plugin_open("libe3-onnx.so", why, sizeof why); /* open as long as the process */
	if (!handle) {
		e3_fail(err,
			"%s: models run through OpenCV: install the package e3-onnx, or libopencv-dnn-dev and libopencv-imgproc-dev for 'make onnx'",
			why);
		return NULL;
	}
	const e3_onnx_plugin *plugin = dlsym(handle, E3_ONNX_SYMBOL);
	if (plugin && plugin->abi == E3_ONNX_ABI)
		return plugin;
	e3_fail(err, "libe3-onnx.so: version %d, expected %d", plugin ? plugin->abi : 0, E3_ONNX_ABI);
	return NULL;
}

/* --- what it says about itself --- */

static int check_layout(e3_seg_model *m, const e3_seg_options *o, e3_err *err)
{
	const int64_t *d = m->in.dim;
	char text[400];
	e3_onnx_value_text(&m->in, text, sizeof text);
	if (m->in.type && m->in.type != F32)
		return e3_fail(err, "its input is %s: expected f32", text);
	if (m->in.rank >= 0 && (m->in.rank != 4 || d[0] > 1))
		return e3_fail(err, "its input is %s: expected one picture, of 4 dimensions", text);
	bool first = m->in.rank < 0 || d[1] == 3, last = m->in.rank < 0 || d[3] == 3;
	bool open = m->in.rank >= 0 && !first && !last && (d[1] < 0 || d[3] < 0);
	m->layout = o->layout != E3_SEG_ANY ? o->layout : last && !first ? E3_SEG_NHWC : E3_SEG_NCHW;
	if (m->in.rank >= 0 && d[m->layout == E3_SEG_NCHW ? 1 : 3] != 3 &&
		!(open && d[m->layout == E3_SEG_NCHW ? 1 : 3] < 0))
		return e3_fail(err, "its input is %s: expected 3 channels in %s dimension", text,
			m->layout == E3_SEG_NCHW ? "the second" : "the last");
	return 0;
}

static int check_size(e3_seg_model *m, const e3_seg_options *o, e3_err *err)
{
	char text[400];
	e3_onnx_value_text(&m->in, text, sizeof text);
	for (int k = 0; k < 2; k++) { /* columns, rows */
		int at = m->layout == E3_SEG_NCHW ? 3 - k : 2 - k;
		int64_t has = m->in.rank == 4 ? m->in.dim[at] : -1;
		m->size[k] = o->size[k] ? o->size[k] : has > 0 && has <= MAX_SIDE ? (int)has : 0;
		if (has > MAX_SIDE)
			return e3_fail(err, "its input is %s: sides of at most %d are taken", text, MAX_SIDE);
		if (!m->size[k])
			return e3_fail(err, "its input is %s, of any size: 'size' says which", text);
		if (has > 0 && has != m->size[k])
			return e3_fail(err, "its input is %s: 'size' %d × %d does not fit", text, o->size[0], o->size[1]);
	}
	return 0;
}

int e3_seg_model_channels(const e3_seg_model *m)
{
	const e3_onnx_value *v = &m->out;
	int64_t n = v->rank == 4 ? v->dim[m->layout == E3_SEG_NCHW ? 1 : 3] : v->rank == 2 || v->rank == 3 ? 1 : -1;
	return n > 0 && n < 1 << 20 ? (int)n : 0;
}

static int pick_values(e3_seg_model *m, const e3_onnx_head *head, const e3_seg_options *o, e3_err *err)
{
	char text[400];
	if (head->n_inputs != 1)
		return e3_fail(err, "it has %d inputs: expected one, the picture", head->n_inputs);
	m->in = head->input[0];
	int k = 0;
	while (o->output && k < head->n_outputs && strcmp(head->output[k].name, o->output) != 0)
		k++;
	if (k == head->n_outputs) {
		e3_onnx_value_text(&head->output[0], text, sizeof text);
		return e3_fail(err, "it has no output '%s'; the first of %d is %s", o->output, head->n_outputs, text);
	}
	m->out = head->output[k];
	m->labels = m->out.type == INT32 || m->out.type == INT64;
	e3_onnx_value_text(&m->out, text, sizeof text);
	if (m->out.type && m->out.type != F32 && !m->labels)
		return e3_fail(err, "its output is %s: expected f32, i32 or i64", text);
	if (m->out.rank >= 0 && (m->out.rank < 2 || m->out.rank > 4 || (m->out.rank > 2 && m->out.dim[0] > 1)))
		return e3_fail(err, "its output is %s: expected maps of one picture", text);
	return 0;
}

static int read_head(e3_seg_model *m, const e3_seg_options *o, e3_err *err)
{
	e3_map map;
	e3_onnx_head *head = e3_alloc(1, sizeof *head, "a model's head", err);
	int rc = head ? e3_map_open(&map, o->model, err) : -1;
	if (rc == 0) {
		rc = e3_onnx_head_read(map.data, map.size, head, err) || pick_values(m, head, o, err) ||
				check_layout(m, o, err) || check_size(m, o, err)
			? e3_fail_in(err, "%s", o->model)
			: 0;
		e3_map_close(&map);
	}
	free(head);
	return rc;
}

/* --- run --- */

static void fill_levels(e3_seg_model *m, const e3_seg_options *o)
{
	for (int c = 0; c < 3; c++)
		for (int v = 0; v < 256; v++)
			m->level[c][v] = (float)(((double)((float)v / 255) - o->mean[c]) / o->std[c]);
}

int e3_seg_model_open(e3_seg_model *m, const e3_seg_options *o, e3_err *err)
{
	size_t n;
	*m = (e3_seg_model){.bgr = o->bgr};
	if (read_head(m, o, err))
		return e3_fail_in(err, "reading the model");
	n = (size_t)m->size[0] * (size_t)m->size[1];
	fill_levels(m, o);
	if (!(m->plugin = find_plugin(err)))
		return -1;
	if (!(m->net = m->plugin->open(o->model, o->threads, err)))
		return e3_fail_in(err, "%s", o->model);
	m->small = e3_alloc(n, 3, "a picture", err);
	m->blob = m->small ? e3_alloc(n, 3 * sizeof *m->blob, "a picture", err) : NULL;
	return m->blob ? 0 : -1;
}

static void fill_blob(e3_seg_model *m)
{
	size_t n = (size_t)m->size[0] * (size_t)m->size[1];
	bool planes = m->layout == E3_SEG_NCHW;
	for (int c = 0; c < 3; c++) {
		int from = m->bgr ? 2 - c : c;
		float *to = m->blob + (planes ? (size_t)c * n : (size_t)c);
		const float *level = m->level[c];
		for (size_t k = 0; k < n; k++)
			to[planes ? k : 3 * k] = level[m->small[3 * k + (size_t)from]];
	}
}

/* [1][c][h][w], [1][h][w][c], [1][h][w] or [h][w]. */
static int view(const e3_seg_model *m, const e3_onnx_tensor *t, e3_seg_maps *to, e3_err *err)
{
	const int *s = t->shape + t->rank - 2; /* rows, columns */
	bool ok = t->rank >= 2 && (t->rank == 2 || t->shape[0] == 1);
	*to = (e3_seg_maps){.channels = 1, .step = 1, .at = t->data};
	if (ok && t->rank == 4 && m->layout == E3_SEG_NHWC)
		s = t->shape + 1, to->channels = t->shape[3], to->step = (size_t)t->shape[3], to->next = 1;
	else if (ok && t->rank == 4)
		to->channels = t->shape[1], to->next = (size_t)t->shape[2] * (size_t)t->shape[3];
	if (!ok || s[0] < 1 || s[1] < 1 || to->channels < 1)
		return e3_fail(err, "output %s has %d dimensions, the first is %d: expected maps of one picture", m->out.name,
			t->rank, t->rank ? t->shape[0] : 0);
	to->h = s[0], to->w = s[1];
	return 0;
}

int e3_seg_model_run(e3_seg_model *m, const e3_image *picture, e3_seg_maps *to, e3_err *err)
{
	const int w = m->size[0], h = m->size[1], from[2] = {picture->w, picture->h};
	e3_onnx_tensor in = {.rank = 4, .shape = {1, 3, h, w}, .data = m->blob}, out;
	if (m->layout == E3_SEG_NHWC)
		in.shape[1] = h, in.shape[2] = w, in.shape[3] = 3;
	if (m->plugin->resize_u8(picture->px, from, 3, m->small, m->size, err))
		return -1;
	fill_blob(m);
	return m->plugin->run(m->net, &in, m->out.name, &out, err) || view(m, &out, to, err) ? -1 : 0;
}

void e3_seg_model_close(e3_seg_model *m)
{
	if (m->net)
		m->plugin->close(m->net);
	free(m->small), free(m->blob);
	*m = (e3_seg_model){0};
}
