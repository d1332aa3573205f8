/* dev: a device that stands in front of another one and looks at what goes through it: activations into files, calls,
 * bytes and time by stage and operation. The model needs no branch for it: it works on the device that it is given. */
#ifndef E3_WATCH_H
#define E3_WATCH_H

#include "e3/dev.h"
#include <stdio.h>

enum { E3_WATCH_BLOCKS = 256 };

typedef struct e3_watch_options {
	const char *dump;   /* folder for activations, or NULL; it is created */
	const bool *blocks; /* [E3_WATCH_BLOCKS] which numbered blocks of vit and agg to dump; NULL: all */
	bool count;         /* wait for each operation and add up what it takes; the run is slower */
} e3_watch_options;

/* Takes `inner` over, also on failure: closing the result closes it. */
e3_dev *e3_dev_watch(e3_dev *inner, const e3_watch_options *o, e3_err *err);
/* The frame that comes next, for the names of the files: frame000002.agg.07.frame.npy. Below 0:
 * what comes next is counted, but not dumped. */
void e3_watch_frame(e3_dev *watch, int64_t i);
/* The table of stages and operations so far. */
void e3_watch_print(const e3_dev *watch, FILE *to);

#endif
