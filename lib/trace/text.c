/* trace: numbers as people read them. */
#include "e3/trace.h"
#include <inttypes.h>
#include <stdio.h>

void e3_trace_count_text(uint64_t v, char to[32])
{
	char plain[24];
	size_t n = (size_t)snprintf(plain, sizeof plain, "%" PRIu64, v), out = 0;
	for (size_t k = 0; k < n; k++) {
		if (k && (n - k) % 3 == 0)
			to[out++] = ',';
		to[out++] = plain[k];
	}
	to[out] = 0;
}

void e3_trace_bytes_text(double bytes, char to[32])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	int k = 0;
	while (bytes >= 1024 && k < 4)
		bytes /= 1024, k++;
	snprintf(to, 32, k ? "%.1f %s" : "%.0f %s", bytes, unit[k]);
}
