/* e3-export: the scale and place of the whole run: its options, what it needs of the stream, what was found. */
#ifndef E3_CMD_EXPORT_PLACE_H
#define E3_CMD_EXPORT_PLACE_H

#include "e3/export.h"
#include "e3/hold.h"
#include "e3/place.h"

typedef struct placing {
	e3_place_options o;
	e3_place_distance distance[E3_PLACE_DISTANCES_MOST];
	double scale, offset; /* as given; scale 0: not */
	const char *file;     /* of the path; NULL: none */
	int align;            /* the word of the option instead of a file; -1: none */
	bool gap_given, offset_given;
	e3_known known;
	e3_place *place; /* NULL: the run stays as it is */
	bool solved;
	double up[3];
	char world[160];
	e3_export_placed placed;
} placing;

/* Arguments of the options, for E3_OPT_CALL; `to` is the placing. */
int placing_parse_distance(void *to, const char *arg, e3_err *err);
int placing_parse_align(void *to, const char *arg, e3_err *err);
int placing_parse_offset(void *to, const char *arg, e3_err *err);
int placing_parse_gap(void *to, const char *arg, e3_err *err);
/* The rules between them; exits 2. */
void placing_check(const placing *p);
/* Reads the file. opt: gets up and `placed`. */
int placing_open(placing *p, e3_export_options *opt, e3_err *err);
/* Must the stream be read to its end before the first prediction can be placed? */
bool placing_waits(const placing *p);
int placing_solve(placing *p, e3_hold *hold, e3_err *err);
int placing_apply(const placing *p, e3_pred *pred, e3_err *err);
void placing_tell(const placing *p);
void placing_close(placing *p);

#endif
