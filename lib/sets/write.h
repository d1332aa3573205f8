/* sets: private: a sequence being written. */
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
	void *own;          /* private to the data set */
};

/* The path ROOT/fmt...; creates its folder and notes the path as written. NULL fails. */
char *sets_to_write(e3_set_writer *w, e3_err *err, const char *fmt, ...) E3_PRINTF(3, 4);

/* Each frees `path`; NULL fails. */
int sets_save_rgb(char *path, const e3_set_shot *s, e3_err *err);
int sets_save_jpeg(char *path, const e3_set_shot *s, e3_err *err);
int sets_save_depth16(char *path, e3_depth16 kind, const e3_set_shot *s, e3_err *err);
int sets_save_poses(char *path, e3_traj_format format, const e3_traj *t, e3_err *err);
/* Also releases the text. */
int sets_save_text(char *path, e3_buf *text, e3_err *err);

/* The time of the first frame on the clock of TUM's and Bonn's recordings. */
#define SETS_RECORDED 1548266469.0
/* Saves the poses so far, with times on that clock. */
int sets_save_recorded(e3_set_writer *w, char *path, e3_err *err);

#endif
