/* stage: files that are given to the wrong program. */
#ifndef E3_STAGE_WRONG_H
#define E3_STAGE_WRONG_H

#include "e3/stage.h"
#include "e3/what.h"

/* Of an error that says what a file is instead of a stream: puts in its place what to do with it. */
void stage_explain_foreign(e3_err *err);
/* Does the stream carry what the stage needs? `input` is its endpoint. */
int stage_head_fits(e3_stage_need needs, const char *input, const e3_head *head, e3_err *err);

#endif
