/* place: what is known of a camera's path: poses or positions by time, read from text.
 *
 * Lines of numbers between blanks or commas; '#' begins a comment:
 *
 *     time x y z qx qy qz qw          poses: world from camera (as TUM's files)
 *     time x y z [sigma]              positions
 *     time latitude longitude altitude [sigma]    the same in degrees and metres (WGS 84), which become metres east,
 * north and up of the first line
 *
 * A line that names the columns comes before that: "time,lat,lon,alt", in any order, with others between them; also as
 * a comment, where commas, semicolons or tabs are between the names. So EuRoC's data.csv is read, in nanoseconds and
 * with qw first; its poses are those of the body (the IMU), not of a camera.
 */
#ifndef E3_KNOWN_H
#define E3_KNOWN_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>

/* E3_KNOWN_DETECT is for reading: the names of the columns say what the file is, or else how many numbers its first
 * line has: 8 are poses, 4 and 5 positions. Where positions are asked for, those of poses are taken. Columns between
 * commas, semicolons or tabs may be empty where they are not needed; a time may be a date of ISO 8601. */
typedef enum e3_known_format { E3_KNOWN_POSES, E3_KNOWN_POSITIONS, E3_KNOWN_GEODETIC, E3_KNOWN_DETECT } e3_known_format;

typedef struct e3_known_row {
	double time;
	double pose[12]; /* world from camera, row-major 3×4; of positions only the last column counts */
	double sigma;    /* of the position */
} e3_known_row;

/* Zero-initialised is empty. */
typedef struct e3_known {
	e3_known_format format;
	e3_known_row *row; /* by time, ascending */
	size_t n, room;
	bool z_up;        /* z is up: geodetic, or the names of the columns say so */
	double origin[3]; /* latitude, longitude, altitude of the first line (E3_KNOWN_GEODETIC) */
} e3_known;

/* Positions farther than this from 0 are refused: predictions have single precision. */
#define E3_KNOWN_FARTHEST 1e5

/* `offset` is added to the times; `sigma` is for lines without. */
typedef struct e3_known_reading {
	e3_known_format format;
	double offset, sigma;
} e3_known_reading;

int e3_known_decode(const char *text, size_t n, const char *name, const e3_known_reading *how, e3_known *out,
	e3_err *err);
int e3_known_load(const char *path, const e3_known_reading *how, e3_known *out, e3_err *err);
/* Does a line name the columns? */
bool e3_known_named(const char *text, size_t n);
/* What is known at `time`: the row nearest in time if that is at most `gap` away; between two positions that are
 * at most two seconds apart, on the line between them. */
bool e3_known_at(const e3_known *k, double time, double gap, e3_known_row *out);
/* The same, but also between two poses: on the line between them, and turned by as much. */
bool e3_known_between(const e3_known *k, double time, double gap, e3_known_row *out);
void e3_known_release(e3_known *k);

#endif
