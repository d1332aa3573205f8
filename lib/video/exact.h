/* video: private: colours that swscale gets wrong or does not know, computed from their definitions: exact.c (which,
 * and by what matrix), planes.c (components of any pixel format), tone.c (HDR and wide gamuts to SDR). */
#ifndef E3_VIDEO_EXACT_H
#define E3_VIDEO_EXACT_H

#include "video/internal.h"
#include <libavutil/pixdesc.h>

/* Whether this frame is converted here; else by swscale. */
bool video_exact_wanted(const video_colour *c, const AVFrame *f);
/* *out has the frame's size and 3 channels. Refuses by name what it does not know. */
int video_exact_image(video_colour *c, const AVFrame *f, e3_image *out, e3_err *err);

/* --- planes.c --- */

/* Scratch for planes_row, in floats a pixel. */
enum { PLANES_SCRATCH = 2 };

bool planes_readable(const AVPixFmtDescriptor *d);
/* Component `c` of row y in code values (floating-point formats: as they are), [f->width], interpolated where it is
 * subsampled (doc/formats.md 5.4). */
void planes_row(const AVFrame *f, const AVPixFmtDescriptor *d, int c, int y, float *out, float *scratch);

/* --- tone.c: R'G'B' of one row to 8-bit SDR of BT.709 (doc/formats.md 5.5) --- */

struct video_tone; /* tables; freed by free() */

/* Whether these tags mean a gamut wider than BT.709's. */
bool tone_is_wide(enum AVColorTransferCharacteristic transfer, enum AVColorPrimaries primaries,
	enum AVColorSpace space);
/* Whether a frame is HDR or has a wide gamut. */
bool tone_needed(const AVFrame *f);
bool tone_is_hdr(enum AVColorTransferCharacteristic transfer);
/* Brightest light of the content in cd/m²: by the frame's metadata, else 1000. */
double tone_peak(const AVFrame *f);
struct video_tone *tone_make(const AVFrame *f, double peak, e3_err *err);
void tone_row(const struct video_tone *t, float *const rgb[3], int w, uint8_t *out);

/* Transfer functions of matrices that are defined on linear light; 1 = the largest code. */
float tone_linear(enum AVColorTransferCharacteristic transfer, float code);
float tone_code(enum AVColorTransferCharacteristic transfer, float linear);
void tone_invert(const double m[9], double out[9]);

#endif
