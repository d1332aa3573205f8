/* eval: one loop shared by a few threads. */
#ifndef E3_EVAL_EACH_H
#define E3_EVAL_EACH_H

#include <stddef.h>

enum { E3_EACH_BLOCK = 4096 };

/* Calls fn(ctx, from, to) for the blocks [0, E3_EACH_BLOCK), [E3_EACH_BLOCK, ...), ... of 0 .. n-1, each once, on up to
 * `threads` threads; returns when all are done. The blocks do not depend on the number of threads, so neither do sums
 * kept block by block. */
void e3_each(int threads, size_t n, void (*fn)(void *ctx, size_t from, size_t to), void *ctx);

#endif
