/* model: filling in a checkpoint: what every container reader calls for each tensor and each entry of metadata. Refuses
 * shapes that overflow and names that no terminal should see. */
#include "ckpt.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 512 };

int e3_shape_count(int rank, const int64_t *shape, size_t *count)
{
	size_t n = 1;
	bool empty = false;
	for (int k = 0; k < rank; k++) {
		if (shape[k] < 0)
			return -1;
		if (shape[k] == 0)
			empty = true;
		else if (e3_mul(n, (size_t)shape[k], &n) || n > INT64_MAX / 8)
			return -1;
	}
	*count = empty ? 0 : n;
	return 0;
}

void e3_shape_strides(int rank, const int64_t *shape, int64_t *stride)
{
	int64_t step = 1;
	for (int k = rank - 1; k >= 0; k--) {
		stride[k] = step;
		step *= shape[k] > 0 ? shape[k] : 1;
	}
}

static bool is_row_major(const e3_tensor_info *t)
{
	int64_t want[E3_MAX_RANK];
	e3_shape_strides(t->rank, t->shape, want);
	for (int k = 0; k < t->rank && t->count; k++)
		if (t->shape[k] > 1 && t->stride[k] != want[k])
			return false;
	return true;
}

int e3_ckpt_add(e3_ckpt *c, const char *name, size_t name_len, e3_ckpt_tensor t, e3_err *err)
{
	if (name_len == 0 || name_len > MAX_NAME)
		return e3_fail(err, "a tensor's name has %zu bytes, expected 1 to %d", name_len, MAX_NAME);
	for (size_t k = 0; k < name_len; k++)
		if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f)
			return e3_fail(err, "tensor '%.*s': control character in the name", (int)name_len, name);
	if (e3_shape_count(t.info.rank, t.info.shape, &t.info.count))
		return e3_fail(err, "tensor '%.*s': the shape overflows", (int)name_len, name);
	if (c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 256;
		if (e3_grow((void **)&c->tensor, room, sizeof *c->tensor, "list of tensors", err))
			return -1;
		c->room = room;
	}
	t.owned = malloc(name_len + 1);
	if (!t.owned)
		return e3_fail(err, "tensor names: out of memory");
	memcpy(t.owned, name, name_len);
	t.owned[name_len] = 0;
	t.info.name = t.owned;
	t.row_major = is_row_major(&t.info);
	c->tensor[c->n++] = t;
	return 0;
}

int e3_ckpt_add_meta(e3_ckpt *c, const char *key, const char *value, e3_err *err)
{
	if (e3_grow((void **)&c->meta, c->n_meta + 1, sizeof *c->meta, "metadata", err))
		return -1;
	e3_ckpt_pair *m = &c->meta[c->n_meta];
	m->key = strdup(key), m->value = strdup(value);
	c->n_meta++;
	return m->key && m->value ? 0 : e3_fail(err, "metadata: out of memory");
}
