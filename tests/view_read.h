/* Records of the view, as the tests read them. */
#ifndef VIEW_READ_H
#define VIEW_READ_H

#include "check.h"
#include "e3/num.h"
#include "view/store.h"

static inline uint32_t u32(const e3_buf *b, size_t at) { return e3_le32((const uint8_t *)b->data + at); }
static inline float f32(const e3_buf *b, size_t at)
{
	float v;
	memcpy(&v, b->data + at, sizeof v);
	return v;
}
static inline double f64(const e3_buf *b, size_t at)
{
	double v;
	memcpy(&v, b->data + at, sizeof v);
	return v;
}

static inline void feed_file(e3_view_store *v, int run, const char *path)
{
	e3_err err;
	e3_msg msg;
	e3_in *in = e3_in_open(path, NULL, &err);
	assert_non_null(in);
	int rc;
	while ((rc = e3_in_next(in, &msg, &err)) > 0)
		if (e3_view_feed(v, run, &msg, &err))
			fail_msg("%s", err.text);
	assert_int_equal(rc, 0);
	e3_in_close(in);
	e3_view_ended(v, run, NULL);
}

/* The record, which must have a sound header. */
static inline int get(e3_view_store *v, e3_view_key key, e3_buf *out)
{
	e3_err err;
	out->len = 0;
	int rc = e3_view_get(v, &key, out, &err);
	if (rc < 0)
		fail_msg("%s", err.text);
	if (rc) {
		assert_int_equal(u32(out, 0), out->len);
		assert_int_equal(out->len % 4, 0);
		assert_int_equal(out->data[4], key.type);
		assert_int_equal(out->data[5], key.run);
		assert_int_equal(u32(out, 12), 0);
	}
	return rc;
}

#endif
