/* base: the header of .npy files, byte for byte as numpy writes it. */
#include "e3/npy.h"
#include "e3/num.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t e3_npy_header(char to[192], const int64_t *shape, int dims)
{
	char text[176];
	int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
	for (int k = 0; k < dims; k++)
		n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRId64, k ? ", " : "", shape[k]);
	n += snprintf(text + n, sizeof text - (size_t)n, "%s), }", dims == 1 ? "," : "");
	size_t total = ((size_t)n + 11 + 63) / 64 * 64;
	memset(to, ' ', total);
	memcpy(to, "\x93NUMPY\1", 8); /* with the NUL: minor version */
	e3_put_le16((uint8_t *)to + 8, (uint16_t)(total - 10));
	memcpy(to + 10, text, (size_t)n);
	to[total - 1] = '\n';
	return total;
}
