/* base: long computations: their threads, stopping them, telling how far they are. */
#ifndef E3_WORK_H
#define E3_WORK_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct e3_work {
	int threads;             /* figures do not depend on it */
	bool (*stop)(void *ctx); /* NULL: never. Asked often, by every thread; once true it stays so. The computation then
								fails: "interrupted" */
	void (*progress)(void *ctx, const char *what, int done, int of); /* may be NULL; on the caller's thread */
	void *ctx;
} e3_work;

bool e3_work_stopped(const e3_work *w);
int e3_work_check(const e3_work *w, e3_err *err); /* -1 when stopped */
/* Calls fn(ctx, from, to) for the blocks of 0..n-1 (E3_PARALLEL_BLOCK) on the threads; what: for progress. */
int e3_work_blocks(const e3_work *w, const char *what, size_t n, void (*fn)(void *ctx, size_t from, size_t to),
	void *ctx, e3_err *err);

#endif
