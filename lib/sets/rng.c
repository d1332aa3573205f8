/* sets: Mersenne Twister as NumPy's legacy generator and CPython's random use it (doc/evaluation.md 6). Refuses to draw
 * more values than there are. */
#include "e3/mem.h"
#include "e3/sets.h"
#include <math.h>
#include <stdlib.h>

enum { N = 624, M = 397 };

void e3_mt_seed_numpy(e3_mt *g, uint32_t seed)
{
	g->state[0] = seed;
	for (uint32_t k = 1; k < N; k++)
		g->state[k] = 1812433253u * (g->state[k - 1] ^ (g->state[k - 1] >> 30)) + k;
	g->at = N;
}

/* init_by_array with one key. */
void e3_mt_seed_python(e3_mt *g, uint32_t seed)
{
	uint32_t *s = g->state, i = 1;
	e3_mt_seed_numpy(g, 19650218u);
	for (int k = 0; k < N; k++) {
		s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525u)) + seed;
		if (++i == N)
			s[0] = s[N - 1], i = 1;
	}
	for (int k = 0; k < N - 1; k++) {
		s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941u)) - i;
		if (++i == N)
			s[0] = s[N - 1], i = 1;
	}
	s[0] = 0x80000000u;
	g->at = N;
}

static uint32_t next(e3_mt *g)
{
	uint32_t *s = g->state;
	if (g->at == N) {
		for (int k = 0; k < N; k++) {
			uint32_t y = (s[k] & 0x80000000u) | (s[(k + 1) % N] & 0x7fffffffu);
			s[k] = s[(k + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
		}
		g->at = 0;
	}
	uint32_t y = s[g->at++];
	y ^= y >> 11;
	y ^= (y << 7) & 0x9d2c5680u;
	y ^= (y << 15) & 0xefc60000u;
	return y ^ (y >> 18);
}

static uint32_t bits_of(uint32_t v)
{
	uint32_t n = 0;
	for (; v; v >>= 1)
		n++;
	return n;
}

static uint32_t *counted(uint32_t n, uint32_t k, e3_err *err)
{
	if (k < 1 || k > n) {
		e3_fail(err, "drawing %u of %u: expected from 1 to all of them", k, n);
		return NULL;
	}
	uint32_t *v = e3_alloc(n, sizeof *v, "a permutation", err);
	for (uint32_t j = 0; v && j < n; j++)
		v[j] = j;
	return v;
}

int e3_mt_choice(e3_mt *g, uint32_t n, uint32_t k, uint32_t *out, e3_err *err)
{
	uint32_t *v = counted(n, k, err);
	if (!v)
		return -1;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t mask = (uint32_t)(((uint64_t)1 << bits_of(i)) - 1), j;
		do
			j = next(g) & mask;
		while (j > i);
		uint32_t swap = v[i];
		v[i] = v[j], v[j] = swap;
	}
	for (uint32_t j = 0; j < k; j++)
		out[j] = v[j];
	free(v);
	return 0;
}

/* random._randbelow */
static uint32_t below(e3_mt *g, uint32_t n)
{
	uint32_t bits = bits_of(n), r;
	do
		r = next(g) >> (32 - bits);
	while (r >= n);
	return r;
}

int e3_mt_sample(e3_mt *g, uint32_t n, uint32_t k, uint32_t *out, e3_err *err)
{
	uint32_t *v = counted(n, k, err);
	if (!v)
		return -1;
	double pool = 21; /* up to this many the population is shuffled; beyond, repeated draws are rejected */
	if (k > 5)
		pool += pow(4, ceil(log(k * 3.0) / log(4)));
	for (uint32_t i = 0; i < k; i++)
		if (n <= pool) {
			uint32_t j = below(g, n - i);
			out[i] = v[j];
			v[j] = v[n - i - 1];
		} else {
			do
				out[i] = below(g, n);
			while (v[out[i]] == UINT32_MAX);
			v[out[i]] = UINT32_MAX; /* taken */
		}
	free(v);
	return 0;
}
