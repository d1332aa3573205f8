/* model: the checkpoint handle: opening by content, names, metadata, conversion to f32. Owns the map and every name;
 * refuses what is neither safetensors nor a torch archive, twice the same name, names no terminal should see. */
#include "e3/checkpoint.h"
#include "ckpt.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are used as they lie in the file");

enum { MAX_NAME = 512, CHUNK = 1024 };

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

/* Training wrappers put one prefix before every name; it says nothing. */
static void strip_prefix(e3_ckpt *c)
{
	static const char *const prefixes[] = {"module.", "model."};
	for (bool again = c->n > 0; again;) {
		again = false;
		for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
			size_t len = strlen(prefixes[p]), k = 0;
			while (k < c->n && strncmp(c->tensor[k].info.name, prefixes[p], len) == 0 && c->tensor[k].info.name[len])
				k++;
			if (k < c->n)
				continue;
			for (k = 0; k < c->n; k++)
				c->tensor[k].info.name += len;
			again = true;
		}
	}
}

static int by_name(const void *a, const void *b, void *tensors)
{
	const e3_ckpt_tensor *t = tensors;
	return strcmp(t[*(const size_t *)a].info.name, t[*(const size_t *)b].info.name);
}

static int index_names(e3_ckpt *c, e3_err *err)
{
	strip_prefix(c);
	c->sorted = e3_alloc(c->n, sizeof *c->sorted, "index of names", err);
	if (!c->sorted)
		return -1;
	for (size_t k = 0; k < c->n; k++)
		c->sorted[k] = k;
	qsort_r(c->sorted, c->n, sizeof *c->sorted, by_name, c->tensor);
	for (size_t k = 1; k < c->n; k++) {
		const char *name = c->tensor[c->sorted[k]].info.name;
		if (strcmp(c->tensor[c->sorted[k - 1]].info.name, name) == 0)
			return e3_fail(err, "tensor '%s' is there twice", name);
	}
	return 0;
}

/* Told apart by content: an extension may lie. */
static int parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err)
{
	if (size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0))
		return e3_pth_parse(c, bytes, size, err);
	static const char legacy[] = "unsupported legacy format (%s, written by PyTorch before 1.6); convert it once with "
								 "python3 -c \"import torch; torch.save(torch.load('IN.pth', 'cpu'), 'OUT.pth')\"";
	if (size >= 2 && bytes[0] == 0x80 && bytes[1] <= 5 && (size < 9 || bytes[8] != '{'))
		return e3_fail(err, legacy, "plain pickle");
	if (size >= 262 && memcmp(bytes + 257, "ustar", 5) == 0)
		return e3_fail(err, legacy, "tar");
	if (size < 10)
		return e3_fail(err, "%zu bytes: neither safetensors nor a torch archive", size);
	return e3_safetensors_parse(c, bytes, size, err);
}

static e3_ckpt *new_handle(const char *path, e3_err *err)
{
	e3_ckpt *c = calloc(1, sizeof *c);
	if (c)
		c->path = strdup(path);
	if (c && c->path)
		return c;
	free(c);
	e3_fail(err, "opening: %s: out of memory", path);
	return NULL;
}

static e3_ckpt *finish(e3_ckpt *c, int rc, e3_err *err)
{
	if (!rc)
		rc = index_names(c, err);
	if (!rc)
		return c;
	e3_fail_in(err, "reading model: %s", c->path);
	e3_ckpt_close(c);
	return NULL;
}

e3_ckpt *e3_ckpt_open(const char *path, e3_err *err)
{
	e3_ckpt *c = new_handle(path, err);
	if (!c)
		return NULL;
	if (strncmp(path, "seed:", 5) == 0)
		return finish(c, e3_seed_parse(c, path + 5, err), err);
	if (e3_map_open(&c->map, path, err)) {
		e3_fail_in(err, "reading model");
		e3_ckpt_close(c);
		return NULL;
	}
	return finish(c, parse(c, c->map.data, c->map.size, err), err);
}

e3_ckpt *e3_ckpt_memory(const void *bytes, size_t size, const char *name, e3_err *err)
{
	e3_ckpt *c = new_handle(name, err);
	return c ? finish(c, parse(c, bytes, size, err), err) : NULL;
}

void e3_ckpt_close(e3_ckpt *c)
{
	if (!c)
		return;
	for (size_t k = 0; k < c->n; k++)
		free(c->tensor[k].owned);
	for (size_t k = 0; k < c->n_meta; k++)
		free(c->meta[k].key), free(c->meta[k].value);
	free(c->tensor), free(c->sorted), free(c->meta), free(c->path);
	e3_map_close(&c->map);
	free(c);
}

size_t e3_ckpt_count(const e3_ckpt *c) { return c->n; }

const e3_tensor_info *e3_ckpt_at(const e3_ckpt *c, size_t k) { return &c->tensor[k].info; }

size_t e3_ckpt_index(const e3_ckpt *c, const e3_tensor_info *t)
{
	return (size_t)((const e3_ckpt_tensor *)(const void *)t - c->tensor);
}

const e3_tensor_info *e3_ckpt_find(const e3_ckpt *c, const char *name)
{
	for (size_t low = 0, high = c->n; low < high;) {
		size_t mid = low + (high - low) / 2;
		const e3_tensor_info *t = &c->tensor[c->sorted[mid]].info;
		int order = strcmp(name, t->name);
		if (order == 0)
			return t;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const char *e3_ckpt_meta(const e3_ckpt *c, const char *key)
{
	for (size_t k = 0; k < c->n_meta; k++)
		if (strcmp(c->meta[k].key, key) == 0)
			return c->meta[k].value;
	return NULL;
}

const char *e3_ckpt_meta_at(const e3_ckpt *c, size_t k, const char **value)
{
	if (k >= c->n_meta)
		return NULL;
	*value = c->meta[k].value;
	return c->meta[k].key;
}

const char *e3_ckpt_format(const e3_ckpt *c) { return c->format; }

const char *e3_ckpt_path(const e3_ckpt *c) { return c->path; }

/* Blocks of a constant length: that is what compilers turn into vectors at -O2. */
static void from_bf16(const uint16_t *from, float *to, size_t n)
{
	size_t k = 0;
	for (; k + 16 <= n; k += 16)
		for (size_t i = 0; i < 16; i++)
			to[k + i] = e3_bf16_to_f32(from[k + i]);
	for (; k < n; k++)
		to[k] = e3_bf16_to_f32(from[k]);
}

/* n consecutive F16, BF16 or F64 elements at `from`, which may lie at any alignment. */
static void convert(e3_dtype dtype, const uint8_t *from, size_t n, float *to)
{
	uint16_t half[CHUNK];
	double wide[CHUNK / 4];
	switch (dtype) {
	case E3_F16:
		for (size_t m; n; n -= m, to += m, from += 2 * m) {
			m = n < CHUNK ? n : CHUNK;
			memcpy(half, from, 2 * m);
			e3_f16_to_f32_n(half, to, m);
		}
		break;
	case E3_BF16:
		for (size_t m; n; n -= m, to += m, from += 2 * m) {
			m = n < CHUNK ? n : CHUNK;
			memcpy(half, from, 2 * m);
			from_bf16(half, to, m);
		}
		break;
	default: /* E3_F64: the caller handles the rest */
		for (size_t m; n; n -= m, to += m, from += 8 * m) {
			m = n < CHUNK / 4 ? n : CHUNK / 4;
			memcpy(wide, from, 8 * m);
			for (size_t k = 0; k < m; k++)
				to[k] = (float)wide[k];
		}
	}
}

/* Elements of a view: walks the index like an odometer, a run of the last dimension at a time. */
static void gather(const e3_ckpt_tensor *t, size_t first, size_t n, uint8_t *to)
{
	const e3_tensor_info *i = &t->info;
	int last = i->rank - 1;
	size_t size = e3_dtype_size(i->dtype), index[E3_MAX_RANK];
	for (int d = last; d >= 0; d--) {
		index[d] = first % (size_t)i->shape[d];
		first /= (size_t)i->shape[d];
	}
	while (n) {
		size_t at = 0, run = (size_t)i->shape[last] - index[last], step = (size_t)i->stride[last] * size;
		run = run < n ? run : n;
		for (int d = 0; d <= last; d++)
			at += index[d] * (size_t)i->stride[d];
		const uint8_t *from = t->data + at * size;
		if (step == size)
			memcpy(to, from, run * size);
		else
			for (size_t k = 0; k < run; k++)
				memcpy(to + k * size, from + k * step, size);
		to += run * size, n -= run, index[last] += run;
		for (int d = last; d > 0 && index[d] == (size_t)i->shape[d]; d--)
			index[d] = 0, index[d - 1]++;
	}
}

static int check_range(const e3_ckpt *c, const e3_tensor_info *t, size_t first, size_t n, e3_err *err)
{
	if (first <= t->count && n <= t->count - first)
		return 0;
	return e3_fail(err, "reading model: %s: tensor '%s' has %zu elements, asked for %zu from %zu", c->path, t->name,
		t->count, n, first);
}

int e3_ckpt_read_raw(const e3_ckpt *c, const e3_tensor_info *info, size_t first, size_t n, void *to, e3_err *err)
{
	const e3_ckpt_tensor *t = (const e3_ckpt_tensor *)(const void *)info;
	size_t size = e3_dtype_size(info->dtype);
	if (check_range(c, info, first, n, err))
		return -1;
	if (n && !t->data)
		e3_seed_values(t, first, n, to);
	else if (n && t->row_major)
		memcpy(to, t->data + first * size, n * size);
	else if (n)
		gather(t, first, n, to);
	return 0;
}

int e3_ckpt_read_f32(const e3_ckpt *c, const e3_tensor_info *info, size_t first, size_t n, float *to, e3_err *err)
{
	const e3_ckpt_tensor *t = (const e3_ckpt_tensor *)(const void *)info;
	uint8_t some[4 * CHUNK];
	size_t size = e3_dtype_size(info->dtype);
	if (info->dtype > E3_F64)
		return e3_fail(err, "reading model: %s: tensor '%s' is %s, expected F32, F16, BF16 or F64", c->path, info->name,
			e3_dtype_name(info->dtype));
	if (info->dtype == E3_F32)
		return e3_ckpt_read_raw(c, info, first, n, to, err);
	if (check_range(c, info, first, n, err))
		return -1;
	if (t->row_major && n)
		convert(info->dtype, t->data + first * size, n, to);
	for (size_t m; n && !t->row_major; first += m, n -= m, to += m) {
		m = n < sizeof some / size ? n : sizeof some / size;
		gather(t, first, m, some);
		convert(info->dtype, some, m, to);
	}
	return 0;
}

const void *e3_ckpt_direct(const e3_ckpt *c, const e3_tensor_info *info)
{
	const e3_ckpt_tensor *t = (const e3_ckpt_tensor *)(const void *)info;
	return t->row_major && (uintptr_t)t->data % e3_dtype_size(info->dtype) == 0 ? t->data : NULL;
}

void e3_ckpt_forget(const e3_ckpt *c, const e3_tensor_info *info)
{
	const e3_ckpt_tensor *t = (const e3_ckpt_tensor *)(const void *)info;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!c->map.data || !t->row_major)
		return;
	/* whole pages inside the tensor: its neighbours keep theirs */
	uintptr_t from = ((uintptr_t)t->data + page - 1) / page * page;
	uintptr_t to = ((uintptr_t)t->data + info->count * e3_dtype_size(info->dtype)) / page * page;
	if (to > from)
		madvise((void *)from, to - from, MADV_DONTNEED);
}
