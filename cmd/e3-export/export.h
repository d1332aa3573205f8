/* e3-export: main.c (the loop over the stream), options.c (the command line), tell.c (what was written),
 * place.c (scale and place), masks.c (predictions and their masks). */
#ifndef E3_CMD_EXPORT_H
#define E3_CMD_EXPORT_H

#include "e3/export.h"
#include "e3/stage.h"
#include "place.h"

/* Fills *opt, says where scale and place of the run are, and returns the stage, its input set; exits 2 on a usage
 * error. */
e3_stage *e3_export_parse(int argc, char **argv, e3_export_options *opt, placing **place);

/* --- masks.c: a prediction waits for its masks, which follow it --- */

typedef struct waiting waiting;

/* Takes the prediction once its masks are there. */
typedef int take_pred_fn(void *to, e3_pred *pred, e3_err *err);

waiting *waiting_open(e3_export *x, bool masks, take_pred_fn *take, void *to, e3_err *err);
int waiting_pred(waiting *w, const e3_msg *msg, e3_err *err);
int waiting_mask(waiting *w, const e3_msg *msg, e3_err *err);
/* There are no more. */
int waiting_end(waiting *w, e3_err *err);
void waiting_close(waiting *w);

/* One line per output on standard error, and warnings. */
void e3_export_tell(const e3_export_options *opt, const e3_export_facts *f);

#endif
