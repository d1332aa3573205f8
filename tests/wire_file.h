/* A stream in a file that the tests of one program write and read again. */
#ifndef WIRE_FILE_H
#define WIRE_FILE_H

#include "check.h"
#include "wire_samples.h"
#include <unistd.h>

static char path[64];

static inline int setup(void **state)
{
	snprintf(path, sizeof path, "/tmp/e3-wire-%ld.e3", (long)getpid());
	return 0;
}

static inline int teardown(void **state)
{
	unlink(path);
	return 0;
}

/* Reads the next message, which must be of this kind. */
static inline void next(e3_in *in, int kind, e3_msg *msg)
{
	e3_err err;
	if (e3_in_next(in, msg, &err) != 1)
		fail_msg("%s", err.text);
	assert_int_equal(msg->kind, kind);
}

#endif
