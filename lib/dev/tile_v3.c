/* dev: the inner loops for AVX2 and FMA: compiled for x86-64-v3, see the Makefile. */
#ifdef __x86_64__
#define LANES 8
#define ROWS 6
#include "tile_body.h"

const e3_tiles e3_tiles_v3 = {"x86-64-v3", WIDE, panel, softmax, mass};
#endif
