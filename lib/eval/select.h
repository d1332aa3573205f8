/* eval: the k-th smallest of a list. */
#ifndef E3_EVAL_SELECT_H
#define E3_EVAL_SELECT_H

#include <stddef.h>

/* The k-th smallest (from 0) of n numbers, k < n, none NaN; v is reordered: nothing before it is larger, nothing behind
 * it smaller. */
double e3_select(double *v, size_t n, size_t k);

#endif
