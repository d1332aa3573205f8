/* e3-cat: several inputs that are one stream. */
#ifndef E3_CMD_CAT_H
#define E3_CMD_CAT_H

#include "e3/stage.h"

enum { CAT_PARTS = 64 };

/* A stream in parts: the first, and later ones that continue it after some frame (head: seen, after), as e3-infer
 * --load-cache writes them. They are read as one stream: of each part the frames up to where the next one continues;
 * later frames of that part, and how it ends, do not matter. */
typedef struct cat_join cat_join;

/* Opens all parts. Refuses later parts that do not continue another stream. */
cat_join *cat_join_open(const char *const *part, int n, const e3_stream_options *options, e3_err *err);
/* As e3_in_next. The head is that of the first part, `end` that of the last: its counts of frames are of its part. */
int cat_join_next(cat_join *j, e3_msg *msg, e3_err *err);
void cat_join_close(cat_join *j);

#endif
