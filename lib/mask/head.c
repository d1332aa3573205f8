/* mask: what an ONNX file says of its inputs and outputs. Owns the reading of as much protobuf as that takes; every
 * length is checked against the bytes that are there, and weights are stepped over. */
#include "e3/mask.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The numbers of onnx.proto. */
enum {
	MODEL_GRAPH = 7,
	GRAPH_NODE = 1,
	GRAPH_INITIALIZER = 5,
	GRAPH_INPUT = 11,
	GRAPH_OUTPUT = 12,
	TENSOR_NAME = 8,
	VALUE_NAME = 1,
	VALUE_TYPE = 2,
	TYPE_TENSOR = 1,
	TENSOR_TYPE = 1,
	TENSOR_SHAPE = 2,
	SHAPE_DIM = 1,
	DIM_VALUE = 1
};

typedef struct span {
	const uint8_t *at, *end;
} span;

/* A field: its number, and a number or bytes. */
typedef struct field {
	uint32_t number;
	uint64_t value; /* of wire type 0 */
	span bytes;     /* of wire type 2, else empty */
} field;

static int varint(span *s, uint64_t *v)
{
	*v = 0;
	for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
		uint8_t b = *s->at++;
		*v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return 0;
	}
	return -1;
}

/* 1, 0 at the end, -1 when it is damaged. */
static int next(span *s, field *f)
{
	uint64_t key, n = 0;
	if (s->at == s->end)
		return 0;
	if (varint(s, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
		return -1;
	*f = (field){.number = (uint32_t)(key >> 3)};
	int type = (int)(key & 7);
	if (type == 0)
		return varint(s, &f->value) ? -1 : 1;
	if (type == 2 && varint(s, &n))
		return -1;
	n = type == 2 ? n : type == 1 ? 8 : type == 5 ? 4 : UINT64_MAX;
	if (n > (uint64_t)(s->end - s->at))
		return -1;
	if (type == 2)
		f->bytes = (span){s->at, s->at + n};
	s->at += n;
	return 1;
}

static int damaged(const char *what, e3_err *err) { return e3_fail(err, "not an ONNX model: damaged %s", what); }

static int take_name(span from, char *to, e3_err *err)
{
	size_t n = (size_t)(from.end - from.at);
	if (n > E3_ONNX_NAME)
		return e3_fail(err, "a name of %zu bytes, expected at most %d", n, E3_ONNX_NAME);
	if (n)
		memcpy(to, from.at, n);
	to[n] = 0;
	return 0;
}

static int read_dim(span s, e3_onnx_value *v, e3_err *err)
{
	field f;
	int more;
	if (v->rank == E3_ONNX_DIMS)
		return e3_fail(err, "%s: more than %d dimensions", v->name, E3_ONNX_DIMS);
	v->dim[v->rank] = -1;
	while ((more = next(&s, &f)) > 0)
		if (f.number == DIM_VALUE && f.value > 0 && f.value < (uint64_t)1 << 40)
			v->dim[v->rank] = (int64_t)f.value;
	v->rank++;
	return more ? damaged("dimension", err) : 0;
}

static int read_shape(span s, e3_onnx_value *v, e3_err *err)
{
	field f;
	int more;
	v->rank = 0;
	while ((more = next(&s, &f)) > 0)
		if (f.number == SHAPE_DIM && read_dim(f.bytes, v, err))
			return -1;
	return more ? damaged("shape", err) : 0;
}

static int read_tensor_type(span s, e3_onnx_value *v, e3_err *err)
{
	field f;
	int more;
	while ((more = next(&s, &f)) > 0) {
		if (f.number == TENSOR_TYPE)
			v->type = f.value < 100 ? (int)f.value : -1;
		else if (f.number == TENSOR_SHAPE && read_shape(f.bytes, v, err))
			return -1;
	}
	return more ? damaged("type", err) : 0;
}

static int read_value(span s, e3_onnx_value *v, e3_err *err)
{
	field f;
	int more, inner;
	*v = (e3_onnx_value){.rank = -1};
	while ((more = next(&s, &f)) > 0) {
		field t;
		span type = f.bytes;
		if (f.number == VALUE_NAME && take_name(f.bytes, v->name, err))
			return -1;
		if (f.number != VALUE_TYPE)
			continue;
		while ((inner = next(&type, &t)) > 0)
			if (t.number == TYPE_TENSOR && read_tensor_type(t.bytes, v, err))
				return -1;
		if (inner)
			return damaged("type", err);
	}
	return more ? damaged("value", err) : 0;
}

static int add_value(e3_onnx_value *to, int *n, const char *what, span s, e3_err *err)
{
	if (*n == E3_ONNX_VALUES)
		return e3_fail(err, "more than %d %s", E3_ONNX_VALUES, what);
	return read_value(s, &to[(*n)++], err);
}

/* Is one of the weights called so? */
static int is_weight(span tensor, const char *name, bool *is, e3_err *err)
{
	field f;
	int more;
	while ((more = next(&tensor, &f)) > 0)
		if (f.number == TENSOR_NAME) {
			size_t n = (size_t)(f.bytes.end - f.bytes.at);
			*is = *is || (n > 0 && n == strlen(name) && memcmp(f.bytes.at, name, n) == 0);
		}
	return more ? damaged("weights", err) : 0;
}

/* Old models list their weights among the inputs: more of them than are held here. */
static int take_input(span graph, span value, e3_onnx_head *head, e3_err *err)
{
	e3_onnx_value v;
	field f;
	int more;
	bool weight = false;
	if (read_value(value, &v, err))
		return -1;
	while ((more = next(&graph, &f)) > 0)
		if (f.number == GRAPH_INITIALIZER && is_weight(f.bytes, v.name, &weight, err))
			return -1;
	if (more)
		return damaged("graph", err);
	if (weight)
		return 0;
	if (head->n_inputs == E3_ONNX_VALUES)
		return e3_fail(err, "more than %d inputs", E3_ONNX_VALUES);
	head->input[head->n_inputs++] = v;
	return 0;
}

static int read_graph(span graph, e3_onnx_head *head, e3_err *err)
{
	span s = graph;
	field f;
	int more, nodes = 0, inputs = 0;
	while ((more = next(&s, &f)) > 0) {
		nodes += f.number == GRAPH_NODE;
		if (f.number == GRAPH_OUTPUT && add_value(head->output, &head->n_outputs, "outputs", f.bytes, err))
			return -1;
		if (f.number != GRAPH_INPUT)
			continue;
		if (++inputs > 4096)
			return e3_fail(err, "more than 4096 inputs");
		if (take_input(graph, f.bytes, head, err))
			return -1;
	}
	if (more)
		return damaged("graph", err);
	return nodes && head->n_outputs ? 0 : e3_fail(err, "not an ONNX model: its graph is empty");
}

int e3_onnx_head_read(const uint8_t *bytes, size_t n, e3_onnx_head *head, e3_err *err)
{
	span s = {bytes, bytes + n};
	field f;
	int more;
	bool graph = false;
	*head = (e3_onnx_head){.n_inputs = 0};
	while ((more = next(&s, &f)) > 0) {
		if (f.number != MODEL_GRAPH)
			continue;
		if (graph || f.bytes.at == NULL)
			return damaged("graph", err);
		graph = true;
		if (read_graph(f.bytes, head, err))
			return -1;
	}
	if (more || !graph)
		return e3_fail(err, "not an ONNX model%s", more && graph ? ": cut off" : "");
	return 0;
}

void e3_onnx_value_text(const e3_onnx_value *v, char *to, size_t n)
{
	static const char *const types[] = {"?", "f32", "u8", "i8", "u16", "i16", "i32", "i64", "text", "bool", "f16",
		"f64"};
	bool known = v->type >= 0 && v->type < (int)(sizeof types / sizeof *types);
	size_t at = (size_t)snprintf(to, n, "%s %s[", v->name, known ? types[v->type] : "?");
	for (int k = 0; k < v->rank && at < n; k++)
		at += v->dim[k] < 0 ? (size_t)snprintf(to + at, n - at, "%s?", k ? "," : "")
							: (size_t)snprintf(to + at, n - at, "%s%" PRId64, k ? "," : "", v->dim[k]);
	if (at < n)
		snprintf(to + at, n - at, v->rank < 0 ? "...]" : "]");
	e3_text_clean(to);
}
