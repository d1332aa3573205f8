/* wire: checks of values that a writer makes before it packs and a reader after it unpacked. Errors read "field:
 * reason". */
#ifndef E3_WIRE_CHECKS_H
#define E3_WIRE_CHECKS_H

#include "e3/data.h"
#include "e3/err.h"

enum { E3_MAX_SIDE = 65535, E3_MAX_EVICT_LAYERS = 1024 };

int e3_reals_check(const char *name, const double *v, int n, e3_err *err); /* finite */
int e3_pose_check(const float pose[9], e3_err *err);
int e3_sim_check(const char *name, const double v[8], e3_err *err); /* a similarity: scale above 0, a rotation */
int e3_name_check(const char *name, e3_err *err); /* of a picture: a file without a folder; NULL: none */
int e3_size_check(int w, int h, e3_err *err);
int e3_fit_check(const double fit[4], e3_err *err);
int e3_source_check(const e3_source *s, e3_err *err);

#endif
