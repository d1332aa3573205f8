/* dev: keys and values in fewer bits, on the CPU: how one row is packed and how rows are unpacked (doc/network.md 5.5).
 * The reference for kernels/pack.cuh and kernels/pack.cu. A row is one head of one token; its scales come from its own
 * values alone.
 */
#include "cpu.h"
#include "e3/num.h"
#include <math.h>
#include <string.h>

#define LEAST 1e-30f /* smaller values are 0 */

static uint32_t bits_of(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}

static float of_bits(uint32_t bits)
{
	float v;
	memcpy(&v, &bits, sizeof v);
	return v;
}

/* A scale, not negative, as bf16; rounded up, so that what it was made for stays in range. */
static float round_up(float v) { return v > LEAST ? of_bits((bits_of(v) + 0xffff) & 0xffff0000u) : 0; }

static void put_bf16(uint8_t *at, float v)
{
	uint16_t half = e3_f32_to_bf16(v);
	memcpy(at, &half, sizeof half);
}

static float get_bf16(const uint8_t *at)
{
	uint16_t half;
	memcpy(&half, at, sizeof half);
	return e3_bf16_to_f32(half);
}

static float inverse(float scale) { return scale > 0 ? 1.0f / scale : 0; }

/* The nearest whole number within limits; of what is not a number 0. */
static int nearest(float v, float low, float high)
{
	return (int)rintf(v >= high ? high : v <= low ? low : v == v ? v : 0);
}

/* e4m3, to the nearest, ties to even; at most 448; of what is not a number 0. */
static uint8_t to_e4m3(float v)
{
	float a = fabsf(v);
	uint8_t sign = (uint8_t)(bits_of(v) >> 24 & 0x80);
	if (!(a < 448))
		return a >= 448 ? sign | 0x7e : 0;
	if (a < 0x1p-6f)
		return sign | (uint8_t)rintf(a * 512);
	uint32_t bits = bits_of(a);
	return sign | (uint8_t)(((bits + 0x7ffff + (bits >> 20 & 1)) >> 20) - (120 << 3));
}

static float largest(const float *v, int n)
{
	float m = 0;
	for (int k = 0; k < n; k++)
		m = fmaxf(m, fabsf(v[k]));
	return m;
}

/* Values of 4 bits, a group at a time: code k of a word lies at 4 (k / 2), odd ones 16 further on. */
static void pack_v4(const float *v, int d, uint8_t *code, uint8_t *scale)
{
	memset(code, 0, (size_t)(d + 7) / 8 * 4);
	for (int first = 0; first < d; first += E3_V4_GROUP, scale += 4) {
		int n = e3_min(E3_V4_GROUP, d - first);
		float low = INFINITY, high = -INFINITY;
		for (int k = first; k < first + n; k++)
			low = fminf(low, v[k]), high = fmaxf(high, v[k]);
		put_bf16(scale + 2, low);
		low = get_bf16(scale + 2);
		float step = round_up((high - low) * (1.0f / 15)), inv = inverse(step);
		put_bf16(scale, step);
		for (int k = first; k < first + n; k++) {
			int c = nearest((v[k] - low) * inv, 0, 15), in = k % 8, at = in / 2 * 4 + in % 2 * 16;
			code[k / 8 * 4 + at / 8] |= (uint8_t)(c << at % 8);
		}
	}
}

static uint8_t *part_of(const e3_kv *kv, int part, int head, int slot)
{
	size_t at = (size_t)head * (size_t)kv->page_keys + (size_t)(slot % kv->page_keys);
	return kv->page[slot / kv->page_keys] + e3_kv_at(kv, part) + at * e3_kv_row(kv, part);
}

void e3_cpu_put_row(const e3_kv *kv, int half, int head, int slot, const float *v)
{
	uint8_t *code = part_of(kv, half, head, slot);
	int d = kv->head_dim;
	if (kv->pack == E3_PACK_NONE) {
		memcpy(code, v, (size_t)d * sizeof *v);
		return;
	}
	if (kv->pack == E3_PACK_BF16) {
		for (int k = 0; k < d; k++)
			put_bf16(code + 2 * k, v[k]);
		return;
	}
	uint8_t *to = part_of(kv, 2 + half, head, slot);
	if (kv->pack == E3_PACK_K8V4 && half) {
		pack_v4(v, d, code, to);
		return;
	}
	bool e4m3 = kv->pack == E3_PACK_FP8;
	float scale = round_up(largest(v, d) * (e4m3 ? 1.0f / 448 : 1.0f / 127)), inv = inverse(scale);
	put_bf16(to, scale);
	for (int k = 0; k < d; k++)
		code[k] = e4m3 ? to_e4m3(v[k] * inv) : (uint8_t)nearest(v[k] * inv, -127, 127);
}

E3_CLONES static void unpack_bf16(const uint8_t *code, int n, float *to)
{
	const uint16_t *half = (const uint16_t *)(const void *)code;
#pragma omp simd
	for (int k = 0; k < n; k++) {
		union {
			uint32_t bits;
			float v;
		} u = {(uint32_t)half[k] << 16};
		to[k] = u.v;
	}
}

E3_CLONES static void unpack_i8(const uint8_t *code, int n, float scale, float *to)
{
#pragma omp simd
	for (int k = 0; k < n; k++)
		to[k] = (float)(int8_t)code[k] * scale;
}

/* The bits of e4m3 at the place of those of f32 are the value times 2^-120. */
E3_CLONES static void unpack_e4m3(const uint8_t *code, int n, float scale, float *to)
{
#pragma omp simd
	for (int k = 0; k < n; k++) {
		union {
			uint32_t bits;
			float v;
		} u = {(uint32_t)(code[k] & 0x7f) << 20 | (uint32_t)(code[k] & 0x80) << 24};
		to[k] = u.v * 0x1p120f * scale;
	}
}

E3_CLONES static void unpack_v4(const uint8_t *code, int n, const uint8_t *scale, float *to)
{
	for (int k = 0; k < n; k += 8) {
		uint32_t word;
		memcpy(&word, code + k / 2, sizeof word);
		const uint8_t *group = scale + k / E3_V4_GROUP * 4;
		float step = get_bf16(group), low = get_bf16(group + 2);
		for (int i = 0; i < 8 && k + i < n; i++)
			to[k + i] = low + (float)(word >> (i / 2 * 4 + i % 2 * 16) & 15) * step;
	}
}

const float *e3_cpu_rows(const e3_kv *kv, int half, int head, int slot, int n, float *room)
{
	int d = kv->head_dim;
	size_t each = e3_kv_row(kv, half), scales = e3_kv_row(kv, 2 + half);
	const uint8_t *code = part_of(kv, half, head, slot);
	if (kv->pack == E3_PACK_NONE)
		return (const float *)(const void *)code;
	if (kv->pack == E3_PACK_BF16) {
		unpack_bf16(code, n * d, room);
		return room;
	}
	const uint8_t *scale = part_of(kv, 2 + half, head, slot);
	for (int k = 0; k < n; k++, code += each, scale += scales) {
		float *to = room + (size_t)k * (size_t)d;
		if (kv->pack == E3_PACK_K8V4 && half)
			unpack_v4(code, d, scale, to);
		else
			(kv->pack == E3_PACK_FP8 ? unpack_e4m3 : unpack_i8)(code, d, get_bf16(scale), to);
	}
	return room;
}
