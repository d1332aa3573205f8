/* dev: the inner loops for any processor. */
#define LANES 4
#define ROWS 6
#include "tile_body.h"

const e3_tiles e3_tiles_plain = {"plain", WIDE, panel, softmax, mass};
