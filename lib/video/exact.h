/* video: private: colours that swscale gets wrong or does not know, computed from their definitions: exact.c (which,
 * and by what matrix), planes.c (components of any pixel format), tone.c (HDR and wide gamuts to SDR). */
#ifndef E3_VIDEO_EXACT_H
#define E3_VIDEO_EXACT_H

#include "e3/tone.h"
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

/* --- tags.c --- */

/* The number in H.273 of the primaries that the tags state or imply. */
int tags_primaries(enum AVColorTransferCharacteristic transfer, enum AVColorPrimaries primaries,
	enum AVColorSpace space);
/* Whether a frame is HDR or has a wide gamut. */
bool tags_need_tone(const AVFrame *f);
/* Brightest light in cd/m² by the frame's metadata; 0: they do not say. */
double tags_peak(const AVFrame *f);
e3_tone *tags_tone(const AVFrame *f, double peak, e3_err *err);

#endif
