/* video: private to the live sources. */
#ifndef E3_VIDEO_LIVE_H
#define E3_VIDEO_LIVE_H

#include "e3/live.h"

enum { LIVE_MAX_SETTINGS = 64 };

/* What FFmpeg is told: ours first, then the user's, whose texts are borrowed. */
typedef struct live_settings {
	char text[4][256];
	const char *list[LIVE_MAX_SETTINGS];
	int n;
} live_settings;

int live_settings_make(live_settings *s, const e3_live_options *o, e3_err *err);
/* The input without the prefix that tells its kind; points into it. */
const char *live_input_path(const char *input);

#endif
