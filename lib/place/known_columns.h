/* place: the columns of a file of known poses or positions, when a line of it names them. */
#ifndef PLACE_KNOWN_COLUMNS_H
#define PLACE_KNOWN_COLUMNS_H

#include "e3/known.h"
#include <stdint.h>

/* The places of a row's numbers, in the order of a line without names. */
enum { KNOWN_TIME, KNOWN_X, KNOWN_Y, KNOWN_Z, KNOWN_QX, KNOWN_QY, KNOWN_QZ, KNOWN_QW, KNOWN_SIGMA, KNOWN_COLUMNS };

typedef struct known_columns {
	e3_known_format format;
	bool named;
	bool z_up;                /* the third axis is up */
	int field[KNOWN_COLUMNS]; /* which field of a line; -1: none */
	char separator;           /* between fields; ' ': blanks */
	double per_second;        /* units of its times */
	size_t begin;             /* where the lines of numbers begin in the text */
	int64_t before;           /* how many lines that are */
} known_columns;

/* What the file is: by the names of its columns, in its first line or in a comment; otherwise by how many numbers its
 * first line has. */
int known_columns_find(const char *text, size_t n, known_columns *c, e3_err *err);
/* The numbers of a line of named columns, in the order of a line without names; *count is 0 for an empty line. */
int known_columns_read(const known_columns *c, const char *at, const char *end, double *v, int *count, e3_err *err);
/* What a line of so many numbers may be, to be said behind what was expected; "" where that is not known. */
const char *known_count_hint(int count);
/* A finite number; or, for a column of times, a date and time of ISO 8601 as seconds since 1970 UTC. */
int known_number(const char *at, size_t n, bool time, double *v, e3_err *err);

#endif
