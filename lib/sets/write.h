/* sets: private to the writers: a sequence being written. */
#ifndef E3_SETS_WRITE_H
#define E3_SETS_WRITE_H

#include "internal.h"

struct e3_set_writer {
	e3_set_id set;
	char *root, *name;
	e3_traj poses; /* so far */
	int64_t n;     /* frames so far */
	int size[2];   /* of the first */
	double focal;
	sets_names written; /* paths, for the day that something fails */
	void *more;         /* the layout's own */
};

/* The folder ROOT/fmt..., made with its parents, and the path of a file in it, noted as written. NULL fails. */
char *sets_to_write(e3_set_writer *w, e3_err *err, const char *fmt, ...) E3_PRINTF(3, 4);

typedef int sets_put(e3_set_writer *w, const e3_set_shot *shot, e3_err *err);
typedef int sets_finish(e3_set_writer *w, e3_err *err);

sets_put sets_put_sintel, sets_put_kitti, sets_put_bonn, sets_put_nyu, sets_put_scenes7, sets_put_nrgbd, sets_put_tum,
	sets_put_scannet, sets_put_co3d;
sets_finish sets_finish_bonn, sets_finish_scenes7, sets_finish_nrgbd, sets_finish_tum, sets_finish_scannet,
	sets_finish_co3d;
void sets_more_release_co3d(e3_set_writer *w);

#endif
