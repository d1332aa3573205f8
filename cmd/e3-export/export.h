/* e3-export: main.c (the loop over the stream), options.c (the command line), tell.c (what was written),
 * place.c (scale and place). */
#ifndef E3_CMD_EXPORT_H
#define E3_CMD_EXPORT_H

#include "e3/export.h"
#include "e3/stage.h"
#include "place.h"

/* Fills *opt, says where scale and place of the run are, and returns the stage, its input set; exits 2 on a usage
 * error. */
e3_stage *e3_export_parse(int argc, char **argv, e3_export_options *opt, placing **place);

/* One line per output on standard error, and warnings. */
void e3_export_tell(const e3_export_options *opt, const e3_export_facts *f);

#endif
