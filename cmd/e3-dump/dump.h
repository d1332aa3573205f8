/* e3-dump: what its files share: what to show of a value, and the two ways to show it. */
#ifndef E3_DUMP_H
#define E3_DUMP_H

#include "e3/mem.h"
#include "e3/stream.h"
#include "e3/value.h"

typedef struct dump_look {
	bool arrays, full; /* --arrays, --full */
} dump_look;

/* --- value.c --- */

/* Range of an array's finite elements. */
typedef struct dump_range {
	double min, max, mean;
	size_t finite;
} dump_range;

dump_range dump_measure(const e3_array *a);
/* Is the next value an array: a sound map of dtype, shape and data? The cursor does not move. */
bool dump_is_array(e3_cursor c, e3_array *a);
/* Are its elements shown one by one? */
bool dump_elements(const dump_look *look, const e3_array *a);
/* The shortest digits that read back as the same number (f32 need at most 9, f64 17); "nan", "inf", "-inf". */
void dump_digits(double v, bool single, char to[32]);

/* --- text.c, json.c: adds a message as one line --- */

int dump_text(const dump_look *look, const e3_msg *msg, e3_buf *to, e3_err *err);
int dump_json(const dump_look *look, const e3_msg *msg, e3_buf *to, e3_err *err);

#endif
