/* base: numbers: half and bfloat16, little- and big-endian bytes, strict parsing, hashes.
 *
 * All conversions round to nearest, ties to even.
 */
#ifndef E3_NUM_H
#define E3_NUM_H

#include "e3/err.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

uint16_t e3_f32_to_f16(float v); /* overflow gives infinity, NaN stays NaN */
float e3_f16_to_f32(uint16_t h);
void e3_f16_to_f32_n(const uint16_t *from, float *to, size_t n); /* uses F16C where the processor has it */
void e3_f32_to_f16_n(const float *from, uint16_t *to, size_t n);

static inline float e3_bf16_to_f32(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16;
	float f;
	memcpy(&f, &u, 4);
	return f;
}

static inline uint16_t e3_f32_to_bf16(float v)
{
	uint32_t u;
	memcpy(&u, &v, 4);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)((u >> 16) | 0x40u); /* keep NaN a NaN */
	return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline uint32_t e3_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint16_t e3_le16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t e3_le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline uint64_t e3_le64(const uint8_t *p) { return (uint64_t)e3_le32(p + 4) << 32 | e3_le32(p); }
static inline void e3_put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}
static inline void e3_put_le16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8); }
static inline void e3_put_le32(uint8_t *p, uint32_t v)
{
	e3_put_le16(p, (uint16_t)v), e3_put_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void e3_put_lef32(uint8_t *p, float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	e3_put_le32(p, bits);
}
static inline void e3_put_le64(uint8_t *p, uint64_t v)
{
	e3_put_le32(p, (uint32_t)v), e3_put_le32(p + 4, (uint32_t)(v >> 32));
}

/* Whole-string parsing: no leading or trailing characters, range checked; -1 with "expected ... from A to B, got
 * 'text'". */
int e3_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out, e3_err *err);
int e3_parse_f64(const char *text, double min, double max, double *out, e3_err *err); /* finite only */
/* Bytes, as in 512M or 4G (k, M, G, T: powers of 1024), from 1. */
int e3_parse_bytes(const char *text, int64_t *out, e3_err *err);
/* WIDTHxHEIGHT, as in 640x480: each side from 1 to max. */
int e3_parse_size(const char *text, int max, int size[2], e3_err *err);
/* LO:HI, as in 0.5:20: two numbers in [min, max], LO below HI. */
int e3_parse_range(const char *text, double min, double max, double range[2], e3_err *err);
/* "a,b,c" of integers in [min,max], at most max_n: the count, or -1. An empty string is an error. */
int e3_parse_ints(const char *text, int64_t min, int64_t max, int *out, int max_n, e3_err *err);

/* A word and the bits it stands for. */
typedef struct e3_word {
	const char *name; /* NULL closes a table */
	int bits;
} e3_word;

/* "a,b,c" of words of the table: *out is the union of their bits. */
int e3_parse_words(const char *text, const e3_word *words, int *out, e3_err *err);

uint64_t e3_fnv1a64(const void *bytes, size_t n);
/* Murmur3's 32-bit finaliser: the hash that picks every "random" subset, the same in each run. */
uint32_t e3_fmix32(uint32_t h);

/* Seconds on a clock that never goes backwards (CLOCK_MONOTONIC). */
double e3_now(void);
/* Seconds since 1970 UTC on the system's clock, which may be set back. */
double e3_now_utc(void);

#endif
