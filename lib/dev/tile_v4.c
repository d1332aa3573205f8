/* dev: the inner loops for AVX-512: compiled for x86-64-v4, see the Makefile. */
#ifdef __x86_64__
#define LANES 16
#define ROWS 8
#include "tile_body.h"

const e3_tiles e3_tiles_v4 = {"x86-64-v4", WIDE, panel, softmax, mass};
#endif
