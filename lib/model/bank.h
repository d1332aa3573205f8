/* model: frames that are kept or evicted as a whole, and a vector of each to compare them by: which of them stay, as
 * pure functions of numbers (doc/network.md 9.7, 9.9). */
#ifndef E3_MODEL_BANK_H
#define E3_MODEL_BANK_H

#include "e3/err.h"
#include "e3/policy.h"
#include <stdint.h>

typedef struct e3_bank {
	int n, room, dim;
	int64_t *frame; /* [n] ascending */
	float *vector;  /* [n][dim], of length 1 */
	double *like;   /* [room][room] inner products of the vectors */
	double *near;   /* [room] used while choosing */
} e3_bank;

int e3_bank_open(e3_bank *b, int room, int dim, e3_err *err);
void e3_bank_release(e3_bank *b);
void e3_bank_clear(e3_bank *b);
/* The next frame, newer than all; the vector is scaled to length 1. There must be room. */
void e3_bank_add(e3_bank *b, int64_t frame, const float *vector);
/* The same for a vector that came from a bank. */
void e3_bank_put(e3_bank *b, int64_t frame, const float *vector);
void e3_bank_drop(e3_bank *b, int k);

/* Which frames stay, after the newest has been added: keep[b->n], in an array of 2 * b->room. */
typedef struct e3_bank_rule {
	const e3_whole *whole;
	int frames;      /* that may stay */
	bool free_first; /* frame 0 is a frame like others */
} e3_bank_rule;
void e3_bank_choose(const e3_bank *b, const e3_bank_rule *rule, bool *keep);

#endif
