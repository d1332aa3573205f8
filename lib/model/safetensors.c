/* model: the safetensors container: u64 length, JSON header, bytes. Checks the size of the header, the number of
 * values, and every type, shape and offset before anything is used; refuses tensors that overlap, end past the file or
 * leave bytes to none, and keys that occur twice. */
#include "ckpt.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100000000, MAX_VALUES = 2000000 };

typedef struct span {
	uint64_t begin, end;
	size_t tensor;
} span;

/* A JSON tree takes some 100 bytes for each value. They are counted before it is built, so that a hostile header cannot
 * take gigabytes. */
static int count_values(const char *text, size_t n, e3_err *err)
{
	size_t values = 0;
	for (size_t k = 0; k < n; k++)
		values += text[k] == ',' || text[k] == '[' || text[k] == '{';
	return values <= MAX_VALUES ? 0 : e3_fail(err, "header: %zu values, at most %d are read", values, MAX_VALUES);
}

static int read_type(const char *name, const json_t *item, e3_dtype *out, e3_err *err)
{
	const char *text = json_string_value(json_object_get(item, "dtype"));
	if (!text)
		return e3_fail(err, "header: tensor '%s': no dtype", name);
	for (e3_dtype d = E3_F32; d <= E3_BOOL; d++)
		if (strcmp(text, e3_dtype_name(d)) == 0) {
			*out = d;
			return 0;
		}
	return e3_fail(err, "header: tensor '%s': unsupported dtype '%.16s'", name, text);
}

static int read_shape(const char *name, const json_t *item, e3_tensor_info *info, e3_err *err)
{
	const json_t *shape = json_object_get(item, "shape");
	if (!json_is_array(shape))
		return e3_fail(err, "header: tensor '%s': no shape", name);
	if (json_array_size(shape) > E3_MAX_RANK)
		return e3_fail(err, "header: tensor '%s': %zu dimensions, at most %d are read", name, json_array_size(shape),
			E3_MAX_RANK);
	info->rank = (int)json_array_size(shape);
	for (int k = 0; k < info->rank; k++) {
		const json_t *d = json_array_get(shape, (size_t)k);
		if (!json_is_integer(d) || json_integer_value(d) < 0)
			return e3_fail(err, "header: tensor '%s': dimension %d is not a size", name, k);
		info->shape[k] = json_integer_value(d);
	}
	if (e3_shape_count(info->rank, info->shape, &info->count))
		return e3_fail(err, "header: tensor '%s': the shape overflows", name);
	e3_shape_strides(info->rank, info->shape, info->stride);
	return 0;
}

static int read_span(const char *name, const json_t *item, const e3_tensor_info *info, span *out, e3_err *err)
{
	const json_t *offsets = json_object_get(item, "data_offsets");
	const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
	if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
		json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
		return e3_fail(err, "header: tensor '%s': data_offsets are not [begin, end]", name);
	out->begin = (uint64_t)json_integer_value(begin), out->end = (uint64_t)json_integer_value(end);
	size_t want = info->count * e3_dtype_size(info->dtype);
	if (out->end - out->begin != want)
		return e3_fail(err,
			"header: tensor '%s': data_offsets hold %llu bytes, expected %zu from its shape and dtype %s", name,
			(unsigned long long)(out->end - out->begin), want, e3_dtype_name(info->dtype));
	return 0;
}

static int read_tensor(e3_ckpt *c, const char *name, const json_t *item, span *where, e3_err *err)
{
	e3_ckpt_tensor t = {0};
	where->tensor = c->n;
	if (!json_is_object(item))
		return e3_fail(err, "header: tensor '%s': not an object", name);
	if (read_type(name, item, &t.info.dtype, err) || read_shape(name, item, &t.info, err) ||
		read_span(name, item, &t.info, where, err))
		return -1;
	return e3_ckpt_add(c, name, strlen(name), t, err);
}

static int read_metadata(e3_ckpt *c, json_t *object, e3_err *err)
{
	const char *key;
	json_t *value;
	if (!json_is_object(object))
		return e3_fail(err, "header: __metadata__ is not an object");
	json_object_foreach(object, key, value)
	{
		if (!json_is_string(value))
			return e3_fail(err, "header: __metadata__ '%.64s': not a string", key);
		if (e3_ckpt_add_meta(c, key, json_string_value(value), err))
			return -1;
	}
	return 0;
}

static int by_begin(const void *a, const void *b)
{
	const span *x = a, *y = b;
	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

/* Checks that the spans follow each other from the first byte of the data to the last, then sets the pointers of the
 * tensors. */
static int place(e3_ckpt *c, span *spans, const uint8_t *data, size_t size, e3_err *err)
{
	qsort(spans, c->n, sizeof *spans, by_begin);
	uint64_t reach = 0;
	const char *owner = "";
	for (size_t k = 0; k < c->n; k++) {
		const span *s = &spans[k];
		e3_ckpt_tensor *t = &c->tensor[s->tensor];
		if (s->end > size)
			return e3_fail(err, "truncated: tensor '%s' ends at byte %llu of the data, the file holds %zu",
				t->info.name, (unsigned long long)s->end, size);
		if (s->begin < reach)
			return e3_fail(err, "header: tensor '%s' begins at byte %llu, inside '%s' that ends at %llu", t->info.name,
				(unsigned long long)s->begin, owner, (unsigned long long)reach);
		if (s->begin > reach)
			return e3_fail(err, "header: bytes %llu to %llu of the data, before tensor '%s', belong to none",
				(unsigned long long)reach, (unsigned long long)s->begin - 1, t->info.name);
		reach = s->end, owner = t->info.name;
		t->data = data + s->begin;
	}
	if (reach < size)
		return e3_fail(err, "%llu bytes after the last tensor, which ends at byte %llu of the data",
			(unsigned long long)(size - reach), (unsigned long long)reach);
	return 0;
}

static int read_header(e3_ckpt *c, json_t *root, span *spans, e3_err *err)
{
	const char *name;
	json_t *item;
	json_object_foreach(root, name, item)
	{
		int meta = strcmp(name, "__metadata__") == 0;
		if (meta ? read_metadata(c, item, err) : read_tensor(c, name, item, &spans[c->n], err))
			return -1;
	}
	return 0;
}

bool e3_safetensors_matches(const uint8_t *bytes, size_t size) { return size >= 10 && bytes[8] == '{'; }

int e3_safetensors_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err)
{
	uint64_t length = e3_le64(bytes);
	if (length > MAX_HEADER)
		return e3_fail(err, "header: %llu bytes, at most %d are read", (unsigned long long)length, MAX_HEADER);
	if (length > size - 8)
		return e3_fail(err, "truncated: the header has %llu bytes, the file %zu after its length",
			(unsigned long long)length, size - 8);
	const char *text = (const char *)bytes + 8;
	if (count_values(text, (size_t)length, err))
		return -1;
	json_error_t why;
	json_t *root = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return e3_fail(err, "header: byte %d: %s", why.position, why.text);
	span *spans = e3_alloc(json_object_size(root) + 1, sizeof *spans, "offsets", err);
	int rc = spans ? read_header(c, root, spans, err) : -1;
	if (!rc)
		rc = place(c, spans, bytes + 8 + length, size - 8 - (size_t)length, err);
	free(spans);
	json_decref(root);
	return rc;
}
