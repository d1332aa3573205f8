/* base: SHA-256 (FIPS 180-4), for checking files that were fetched. */
#ifndef E3_SHA256_H
#define E3_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct e3_sha256 {
	uint32_t h[8];
	uint64_t n;       /* bytes so far */
	uint8_t part[64]; /* the last n % 64 of them */
} e3_sha256;

void e3_sha256_init(e3_sha256 *s);
void e3_sha256_add(e3_sha256 *s, const void *bytes, size_t n);
/* 64 hexadecimal digits in lower case, and a NUL. Ends it. */
void e3_sha256_text(e3_sha256 *s, char to[65]);

#endif
