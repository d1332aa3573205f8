/* model: what a checkpoint holds: its tensors, their metadata and their values, converted when they are read. Refuses
 * ranges outside a tensor. */
#include "ckpt.h"
#include "e3/num.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are used as they lie in the file");

enum { CHUNK = 1024 };

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
	void (*from_half)(const uint16_t *, float *, size_t) = dtype == E3_F16 ? e3_f16_to_f32_n : from_bf16;
	if (dtype == E3_F64)
		for (size_t m; n; n -= m, to += m, from += 8 * m) {
			m = n < CHUNK / 4 ? n : CHUNK / 4;
			memcpy(wide, from, 8 * m);
			for (size_t k = 0; k < m; k++)
				to[k] = (float)wide[k];
		}
	else
		for (size_t m; n; n -= m, to += m, from += 2 * m) {
			m = n < CHUNK ? n : CHUNK;
			memcpy(half, from, 2 * m);
			from_half(half, to, m);
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

void e3_ckpt_empty(e3_ckpt *c) { c->empty = true; }

void e3_ckpt_stop_by(e3_ckpt *c, int (*stop)(void)) { c->stop = stop; }

void e3_ckpt_read_with(e3_ckpt *c, int threads) { c->threads = threads; }

int e3_ckpt_threads(const e3_ckpt *c) { return c->threads; }

static int check_range(const e3_ckpt *c, const e3_tensor_info *t, size_t first, size_t n, e3_err *err)
{
	if (c->stop && c->stop())
		return e3_fail(err, "reading model: %s: interrupted", c->path);
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
		t->generate(t, first, n, to);
	else if (n && t->row_major)
		memcpy(to, t->data + first * size, n * size);
	else if (n)
		gather(t, first, n, to);
	return 0;
}

int e3_ckpt_read_f32(const e3_ckpt *c, const e3_tensor_info *info, size_t first, size_t n, float *to, e3_err *err)
{
	if (c->empty) {
		memset(to, 0, n * sizeof *to);
		return 0;
	}
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
