/* image: HDR and wide gamuts to SDR of BT.709 (doc/formats.md 5.5). Transfers and primaries are numbers of H.273. */
#ifndef E3_TONE_H
#define E3_TONE_H

#include "e3/err.h"
#include <stdbool.h>
#include <stdint.h>

enum { E3_TRANSFER_PQ = 16, E3_TRANSFER_HLG = 18 };
enum { E3_PRIMARIES_709 = 1, E3_PRIMARIES_2020 = 9, E3_PRIMARIES_DCI = 11, E3_PRIMARIES_P3 = 12 };

typedef struct e3_tone e3_tone;

bool e3_tone_is_hdr(int transfer);
bool e3_tone_is_wide(int primaries);
/* peak: the brightest light of the content in cd/m²; 0: unknown, 1000. Of HLG it is 1000 always. Freed by free(). */
e3_tone *e3_tone_open(int transfer, int primaries, double peak, e3_err *err);
/* A row of w pixels: R'G'B' as coded, 0 to 1, to interleaved 8-bit RGB. */
void e3_tone_row(const e3_tone *t, float *const rgb[3], int w, uint8_t *out);

/* Transfer functions, other than PQ and HLG that of BT.2020: 1 is the largest code, and the light that it stands for.
 */
float e3_tone_linear(int transfer, float code);
float e3_tone_code(int transfer, float linear);
/* The inverse of a 3 × 3 matrix. */
void e3_tone_invert(const double m[9], double out[9]);

#endif
