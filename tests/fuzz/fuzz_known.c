/* Fuzz target: the first byte says which format, the others are a file of poses or positions. What is accepted is
 * finite, in order, and has an answer for every time. */
#include "e3/known.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	e3_err err = {""};
	e3_known k;
	if (size == 0)
		return 0;
	const e3_known_reading how = {.format = (e3_known_format)(data[0] % 4), .offset = -1, .sigma = 0.5};
	if (e3_known_decode((const char *)data + 1, size - 1, "fuzz", &how, &k, &err)) {
		require(!k.row && err.text[0]);
		return 0;
	}
	require(k.n > 0);
	for (size_t n = 0; n < k.n; n++) {
		e3_known_row row;
		require(n == 0 || k.row[n - 1].time <= k.row[n].time);
		require(k.row[n].sigma > 0);
		for (int i = 0; i < 12; i++)
			require(fabs(k.row[n].pose[i]) <= E3_KNOWN_FARTHEST);
		require(e3_known_at(&k, k.row[n].time, 0.1, &row));
		for (int i = 3; i < 12; i += 4)
			require(isfinite(row.pose[i]));
	}
	e3_known_release(&k);
	return 0;
}
