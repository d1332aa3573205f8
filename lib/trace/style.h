/* trace: what the sheets share: text size, margins, colours; and the choice of layers. */
#ifndef E3_TRACE_STYLE_H
#define E3_TRACE_STYLE_H

#include <stdbool.h>
#include <stdint.h>

enum { TEXT = 2, LINE = 8 * TEXT, GAP = 8, MARGIN = 16 }; /* pixels; TEXT: of a dot of the font */

static const uint8_t board[3] = {22, 24, 29}, ink[3] = {226, 230, 238}, soft[3] = {140, 147, 160};

/* Whether the list has the layer; an empty list stands for all layers. */
static inline bool wants_layer(const int *list, int n, int layer)
{
	for (int k = 0; k < n; k++)
		if (list[k] == layer)
			return true;
	return n == 0;
}

#endif
