/* e3-mask: what was asked for. */
#ifndef E3_CMD_MASK_H
#define E3_CMD_MASK_H

#include "e3/mask.h"
#include "e3/stage.h"

typedef struct mask_request {
	e3_stage stage;
	e3_seg_options seg;            /* model NULL: pictures of a folder */
	const char *dir;               /* that folder */
	char class[E3_MASK_CLASS + 1]; /* of its pictures */
	bool invert;                   /* black is the class */
	char *found;                   /* where the model for sky should be, if none was named; owned */
} mask_request;

/* Parses the command line; usage errors exit 2. */
void mask_parse(int argc, char **argv, mask_request *r);
/* Is the model where it was looked for? */
int mask_check_model(const mask_request *r, e3_err *err);
/* Puts the options for the settings that a text of the library names in quotes. */
void mask_explain(e3_err *err);

#endif
