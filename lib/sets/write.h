/* sets: private to the writers: a sequence being written. */
#ifndef E3_SETS_WRITE_H
#define E3_SETS_WRITE_H

#include "e3/mem.h"
#include "internal.h"

struct e3_set_writer {
	e3_set_id set;
	const sets_row *row;
	char *root, *name;
	e3_traj poses; /* so far */
	int64_t n;     /* frames so far */
	int size[2];   /* of the first */
	double focal;
	sets_names written; /* paths, to be removed when something fails */
	void *own;          /* what the data set keeps for itself */
};

/* The folder ROOT/fmt..., made with its parents, and the path of a file in it, noted as written. NULL fails. */
char *sets_to_write(e3_set_writer *w, e3_err *err, const char *fmt, ...) E3_PRINTF(3, 4);

/* Each frees `path`; NULL fails. */
int sets_save_rgb(char *path, const e3_set_shot *s, e3_err *err);
int sets_save_jpeg(char *path, const e3_set_shot *s, e3_err *err);
int sets_save_depth16(char *path, e3_depth16 kind, const e3_set_shot *s, e3_err *err);
int sets_save_poses(char *path, e3_traj_format format, const e3_traj *t, e3_err *err);
/* And releases the text. */
int sets_save_text(char *path, e3_buf *text, e3_err *err);

/* The clock of the recordings that TUM and Bonn consist of: its time at the first frame. */
#define SETS_RECORDED 1548266469.0
/* The poses so far, with the times of that clock. */
int sets_save_recorded(e3_set_writer *w, char *path, e3_err *err);

#endif
