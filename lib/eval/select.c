/* eval: Hoare's selection. */
#include "eval/select.h"
#include <math.h>

double e3_select(double *v, size_t n, size_t k)
{
	for (size_t lo = 0, hi = n; hi - lo > 1;) {
		double a = v[lo], b = v[lo + (hi - lo) / 2], c = v[hi - 1], pivot = fmax(fmin(a, b), fmin(fmax(a, b), c));
		size_t i = lo, j = hi - 1;
		for (;;) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i >= j)
				break;
			double t = v[i];
			v[i++] = v[j], v[j--] = t;
		}
		if (i == j && k == i)
			break;
		if (k >= i)
			lo = i + (i == j);
		else
			hi = i;
	}
	return v[k];
}
