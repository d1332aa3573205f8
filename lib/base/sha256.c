/* base: SHA-256. */
#include "e3/sha256.h"
#include "e3/num.h"
#include <string.h>

static const uint32_t k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152,
	0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138,
	0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70,
	0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
	0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
	0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* Round r of eight: the variable a is v[-r], b the next, and so on. */
static inline void turn_round(uint32_t v[8], int r, uint32_t add)
{
#define V(n) v[((n)-r) & 7]
	uint32_t t1 = V(7) + (turn(V(4), 6) ^ turn(V(4), 11) ^ turn(V(4), 25)) + ((V(4) & V(5)) ^ (~V(4) & V(6))) + add;
	uint32_t t2 = (turn(V(0), 2) ^ turn(V(0), 13) ^ turn(V(0), 22)) + ((V(0) & V(1)) ^ (V(0) & V(2)) ^ (V(1) & V(2)));
	V(3) += t1;
	V(7) = t1 + t2;
#undef V
}

static void block(uint32_t h[8], const uint8_t *p)
{
	uint32_t w[64], v[8];
	for (int t = 0; t < 16; t++)
		w[t] = e3_be32(p + 4 * t);
	for (int t = 16; t < 64; t++) {
		uint32_t a = w[t - 15], b = w[t - 2];
		w[t] = w[t - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[t - 7] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
	}
	memcpy(v, h, sizeof v);
	for (int t = 0; t < 64; t += 8)
#pragma GCC unroll 8
		for (int r = 0; r < 8; r++) /* unrolled, v is registers: what would be shifted is renamed */
			turn_round(v, r, k[t + r] + w[t + r]);
	for (int t = 0; t < 8; t++)
		h[t] += v[t];
}

void e3_sha256_init(e3_sha256 *s)
{
	*s = (e3_sha256){
		.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void e3_sha256_add(e3_sha256 *s, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	while (n) {
		size_t held = s->n % 64, take = 64 - held < n ? 64 - held : n;
		if (take == 64) {
			block(s->h, p);
		} else {
			memcpy(s->part + held, p, take);
			if (held + take == 64)
				block(s->h, s->part);
		}
		s->n += take, p += take, n -= take;
	}
}

void e3_sha256_text(e3_sha256 *s, char to[65])
{
	static const uint8_t pad[64] = {0x80};
	static const char digits[] = "0123456789abcdef";
	uint64_t bits = 8 * s->n;
	uint8_t length[8];
	e3_put_be32(length, (uint32_t)(bits >> 32)), e3_put_be32(length + 4, (uint32_t)bits);
	e3_sha256_add(s, pad, 1 + (119 - s->n % 64) % 64);
	e3_sha256_add(s, length, 8);
	for (int t = 0; t < 64; t++)
		to[t] = digits[s->h[t / 8] >> (28 - 4 * (t % 8)) & 15];
	to[64] = 0;
}
