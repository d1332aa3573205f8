/* kernels: the ring through which small arrays from the host go to the device: pinned memory and its copy there, which
 * `finish` rewinds. Equal arrays of a branch are sent once. */
#include "cuda.h"
#include <string.h>

enum { SMALL = 64 << 10 }; /* larger arrays are not compared */

static uint64_t hash_of(const void *from, size_t bytes)
{
	uint64_t h = 0xcbf29ce484222325u, word;
	size_t k = 0;
	for (; k + 8 <= bytes; k += 8) {
		memcpy(&word, (const char *)from + k, 8);
		h = (h ^ word) * 0x100000001b3u;
		h ^= h >> 29;
	}
	for (word = 0; k < bytes; k++)
		word = word << 8 | ((const unsigned char *)from)[k];
	return (h ^ word ^ bytes) * 0x9e3779b97f4a7c15u;
}

int e3_cuda_ring_open(e3_cuda *c, size_t size, e3_err *err)
{
	e3_ring *r = &c->ring;
	cudaFreeHost(r->host);
	cudaFree(r->device);
	memset(r, 0, sizeof *r);
	E3_TRY(cudaMallocHost((void **)&r->host, size), "staging memory");
	E3_TRY(cudaMalloc((void **)&r->device, size), "staging memory");
	r->size = r->limit = size;
	c->steady = 0;
	return 0;
}

/* Makes room for so many bytes. What lies in the ring may still be needed, so everything is waited for. */
static int ring_empty(e3_cuda *c, size_t room, e3_err *err)
{
	int branch = c->branch;
	e3_cuda_stay(c); /* that too */
	if (e3_cuda_send(c, err) || c->dev.ops->launch(&c->dev, err) || c->dev.ops->finish(&c->dev, err) ||
		(room > c->ring.size && e3_cuda_ring_open(c, 2 * room, err)))
		return -1;
	c->branch = branch;
	return 0;
}

int e3_cuda_put(e3_cuda *c, const void *from, size_t bytes, const void **out, e3_err *err)
{
	e3_ring *r = &c->ring;
	bool small = bytes <= SMALL;
	uint64_t hash = small ? hash_of(from, bytes) : 0;
	for (int k = 0; small && k < r->n_seen; k++) {
		const e3_staged *s = &r->seen[k];
		if (s->hash == hash && s->size == bytes && s->branch == c->branch && !memcmp(r->host + s->at, from, bytes)) {
			*out = r->device + s->at;
			return 0;
		}
	}
	size_t room = (bytes + 255) & ~(size_t)255;
	if (r->used + room > r->limit && ring_empty(c, room, err))
		return -1;
	memcpy(r->host + r->used, from, bytes);
	*out = r->device + r->used;
	if (small && r->n_seen < (int)(sizeof r->seen / sizeof *r->seen))
		r->seen[r->n_seen++] = (e3_staged){hash, r->used, bytes, c->branch};
	r->used += room;
	return 0;
}

int e3_cuda_send(e3_cuda *c, e3_err *err)
{
	e3_ring *r = &c->ring;
	cudaStream_t stream = c->gathering ? c->staging : e3_cuda_stream(c);
	if (r->sent == r->used)
		return 0;
	if (c->gathering)
		E3_TRY(cudaStreamWaitEvent(stream, c->gathered[c->origin], 0), "staging");
	E3_TRY(cudaMemcpyAsync(r->device + r->sent, r->host + r->sent, r->used - r->sent, cudaMemcpyHostToDevice, stream),
		"staging");
	r->sent = r->used;
	if (c->gathering) {
		E3_TRY(cudaEventRecord(c->staged, stream), "staging");
		E3_TRY(cudaStreamWaitEvent(e3_cuda_stream(c), c->staged, 0), "staging");
	}
	return 0;
}

int e3_cuda_stage(e3_cuda *c, const void *from, size_t bytes, const void **out, e3_err *err)
{
	return e3_cuda_put(c, from, bytes, out, err) || e3_cuda_send(c, err) ? -1 : 0;
}

int e3_cuda_put_kv(e3_cuda *c, const e3_kv *kv, e3_attend_kv *out, e3_err *err)
{
	const void *page;
	int pages = e3_ceil_div(kv->n_keys, kv->page_keys);
	if (e3_cuda_put(c, kv->page, (size_t)pages * sizeof *kv->page, &page, err))
		return -1;
	*out = (e3_attend_kv){(void *const *)page, kv->page_keys, kv->n_keys, kv->heads, kv->head_dim, kv->pack};
	for (int part = 0; kv->pack && part < E3_KV_PARTS; part++)
		out->at[part] = (unsigned)e3_kv_at(kv, part), out->row[part] = (unsigned)e3_kv_row(kv, part);
	return 0;
}

int e3_cuda_stage_kv(e3_cuda *c, const e3_kv *kv, e3_attend_kv *out, e3_err *err)
{
	return e3_cuda_put_kv(c, kv, out, err) || e3_cuda_send(c, err) ? -1 : 0;
}

/* The ring begins again, or goes on around what was put into it ahead. */
void e3_cuda_ring_rewind(e3_cuda *c)
{
	e3_ring *r = &c->ring;
	bool low = c->is_ahead && r->used <= r->size / 2;
	r->limit = c->is_ahead && !low ? c->ahead_from : r->size;
	r->used = r->sent = low ? r->used : 0;
	r->n_seen = 0;
}
