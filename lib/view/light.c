/* view: messages without their large arrays. Values are stepped over by their lengths, so that a file is touched in few
 * places; refuses what is no map of known depth. */
#include "view/light.h"
#include "e3/num.h"
#include "e3/view.h"
#include "e3/value.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { ENVELOPE = 6, KEY_MOST = 64, KEPT_MOST = 2048 /* bytes of a value that is kept */ };

const uint8_t *view_bytes_at(view_bytes *b, uint64_t at, size_t n)
{
	if (n > VIEW_WINDOW || at > b->size || n > b->size - at)
		return NULL;
	if (b->memory)
		return b->memory + at;
	if (at >= b->at && at + n <= b->at + b->n)
		return b->window + (at - b->at);
	b->at = at, b->n = 0;
	while (b->n < n) {
		ssize_t r = pread(b->fd, b->window + b->n, VIEW_WINDOW - b->n, (off_t)(at + b->n));
		if (r == 0 || (r < 0 && errno != EINTR))
			return NULL;
		b->n += r > 0 ? (size_t)r : 0;
	}
	return b->window;
}

/* What the first byte of a value says: bytes of head, of content, and how many values follow. */
typedef struct shape {
	size_t head;
	uint64_t content, values;
} shape;

static uint64_t big_endian(const uint8_t *p, int n)
{
	uint64_t v = 0;
	for (int k = 0; k < n; k++)
		v = v << 8 | p[k];
	return v;
}

/* first: bytes of the head that are a length; then what is fixed beside it (the type of an ext). */
static bool sized(view_bytes *b, uint64_t at, int length, size_t fixed, shape *s)
{
	const uint8_t *p = view_bytes_at(b, at, 1 + (size_t)length);
	if (p)
		*s = (shape){1 + (size_t)length, big_endian(p + 1, length) + fixed, 0};
	return p;
}

static bool counted(view_bytes *b, uint64_t at, int length, unsigned each, shape *s)
{
	if (!sized(b, at, length, 0, s) || s->content > E3_MAP_MOST)
		return false;
	s->values = each * s->content, s->content = 0;
	return true;
}

static bool look(view_bytes *b, uint64_t at, shape *s)
{
	/* 0xc0 to 0xdf, msgpack's table; bytes after the first, of values that have no length */
	static const uint8_t plain[32] = {[0xa] = 4,
		[0xb] = 8,
		[0xc] = 1,
		[0xd] = 2,
		[0xe] = 4,
		[0xf] = 8,
		[0x10] = 1,
		[0x11] = 2,
		[0x12] = 4,
		[0x13] = 8,
		[0x14] = 2,
		[0x15] = 3,
		[0x16] = 5,
		[0x17] = 9,
		[0x18] = 17};
	const uint8_t *p = view_bytes_at(b, at, 1);
	if (!p)
		return false;
	uint8_t c = *p;
	*s = (shape){.head = 1};
	if (c < 0x80 || c >= 0xe0)
		return true;
	if (c < 0xa0) {
		s->values = (c & 15u) * (c < 0x90 ? 2u : 1u);
		return true;
	}
	if (c < 0xc0) {
		s->content = c & 31u;
		return true;
	}
	switch (c) {
	case 0xc1:
		return false;
	case 0xc4:
	case 0xd9:
		return sized(b, at, 1, 0, s);
	case 0xc5:
	case 0xda:
		return sized(b, at, 2, 0, s);
	case 0xc6:
	case 0xdb:
		return sized(b, at, 4, 0, s);
	case 0xc7:
		return sized(b, at, 1, 1, s);
	case 0xc8:
		return sized(b, at, 2, 1, s);
	case 0xc9:
		return sized(b, at, 4, 1, s);
	case 0xdc:
		return counted(b, at, 2, 1, s);
	case 0xdd:
		return counted(b, at, 4, 1, s);
	case 0xde:
		return counted(b, at, 2, 2, s);
	case 0xdf:
		return counted(b, at, 4, 2, s);
	default:
		s->content = plain[c - 0xc0];
		return true;
	}
}

/* Where the value at `at` ends; 0: it does not, before `end`. */
static uint64_t step_over(view_bytes *b, uint64_t at, uint64_t end)
{
	uint64_t left[E3_VALUE_DEPTH + 1] = {1};
	int depth = 0;
	while (depth >= 0) {
		shape s;
		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		if (at >= end || !look(b, at, &s) || s.head > end - at || s.content > end - at - s.head)
			return 0;
		at += s.head + s.content;
		if (s.values && ++depth > E3_VALUE_DEPTH)
			return 0;
		if (s.values)
			left[depth] = s.values;
	}
	return at;
}

static unsigned array_named(const uint8_t *name, size_t n)
{
	static const char *const names[] = {"rgb", "depth", "depth_conf", "points", "points_conf"};
	for (unsigned k = 0; k < sizeof names / sizeof *names; k++)
		if (strlen(names[k]) == n && memcmp(names[k], name, n) == 0)
			return 1u << k;
	return 0;
}

static int copy(view_bytes *b, uint64_t from, uint64_t to, e3_buf *out, e3_err *err)
{
	while (from < to) {
		size_t n = to - from < VIEW_WINDOW ? (size_t)(to - from) : VIEW_WINDOW;
		const uint8_t *p = view_bytes_at(b, from, n);
		if (!p || e3_buf_add(out, p, n, err))
			return p ? -1 : e3_fail(err, "cannot be read");
		from += n;
	}
	return 0;
}

/* A pair at *at: copied, or left out and marked. 1: copied; 0; -1. */
static int take_pair(view_bytes *b, uint64_t *at, uint64_t end, e3_buf *out, unsigned *arrays, e3_err *err)
{
	shape key;
	uint64_t from = *at;
	if (!look(b, from, &key) || key.values || key.content > KEY_MOST)
		return e3_fail(err, "a key that is not a short text");
	const uint8_t *name = view_bytes_at(b, from + key.head, (size_t)key.content);
	unsigned is = name ? array_named(name, (size_t)key.content) : 0;
	uint64_t value = from + key.head + key.content;
	if (value >= end || !(*at = step_over(b, value, end)))
		return e3_fail(err, "a value that ends outside of the message");
	*arrays |= is;
	if (is || *at - value > KEPT_MOST)
		return 0;
	return copy(b, from, *at, out, err) ? -1 : 1;
}

int view_light(view_bytes *from, uint64_t at, uint64_t len, e3_buf *out, unsigned *arrays, e3_err *err)
{
	const uint8_t *envelope = len > ENVELOPE ? view_bytes_at(from, at, ENVELOPE) : NULL;
	shape map;
	uint64_t end = at + len, next = at + ENVELOPE;
	uint8_t head[ENVELOPE + 3] = {0xc9};
	uint32_t kept = 0;
	out->len = 0, *arrays = 0;
	if (!envelope)
		return e3_fail(err, "a message of %" PRIu64 " bytes", len);
	head[5] = envelope[5], head[6] = 0xde;
	const uint8_t *first = view_bytes_at(from, next, 1);
	bool is_map = first && ((*first & 0xf0) == 0x80 || *first == 0xde || *first == 0xdf);
	if (!is_map || !look(from, next, &map))
		return e3_fail(err, "its body is not a map");
	if (e3_buf_add(out, head, sizeof head, err))
		return -1;
	next += map.head;
	for (uint64_t k = 0; k < map.values / 2; k++) {
		int rc = next < end ? take_pair(from, &next, end, out, arrays, err) : e3_fail(err, "fewer fields than it says");
		if (rc < 0)
			return -1;
		kept += (uint32_t)rc;
	}
	if (next != end)
		return e3_fail(err, "more bytes than its fields");
	uint8_t *to = (uint8_t *)out->data;
	e3_put_be32(to + 1, (uint32_t)(out->len - ENVELOPE));
	to[7] = (uint8_t)(kept >> 8), to[8] = (uint8_t)kept;
	return kept > UINT16_MAX ? e3_fail(err, "too many fields") : e3_body_check(to + ENVELOPE, out->len - ENVELOPE, err);
}

/* --- what is left, decoded --- */

typedef struct body {
	const uint8_t *at;
	size_t n;
} body;

static bool real_of(body b, const char *key, double *x)
{
	e3_value v;
	if (!e3_body_find(b.at, b.n, key, &v, NULL) || (v.type != E3_V_REAL && v.type != E3_V_INT))
		return false;
	*x = v.type == E3_V_INT ? (double)v.i : v.x;
	return isfinite(*x);
}

static double real_or_0(body b, const char *key)
{
	double x;
	return real_of(b, key, &x) ? x : 0;
}

static int need_int(body b, const char *key, int64_t min, int64_t max, int64_t *to, e3_err *err)
{
	e3_value v;
	if (!e3_body_find(b.at, b.n, key, &v, NULL) || v.type != E3_V_INT || v.i < min || v.i > max)
		return e3_fail(err, "%s: expected an integer from %" PRId64 " to %" PRId64, key, min, max);
	*to = v.i;
	return 0;
}

static int pose_of(body b, e3_pred *x, e3_err *err)
{
	e3_value v;
	e3_cursor at;
	e3_array a;
	float length = 0;
	if (!e3_body_find(b.at, b.n, "pose", &v, &at))
		return 0;
	if (e3_array_read(&at, &a, err) || a.dtype != E3_ARRAY_F32 || a.count != 9)
		return e3_fail(err, "pose: expected f32[9]");
	for (size_t k = 0; k < 9; k++) {
		x->pose[k] = (float)e3_array_at(&a, k);
		length += k > 2 && k < 7 ? x->pose[k] * x->pose[k] : 0;
		if (!isfinite(x->pose[k]))
			return e3_fail(err, "pose: not finite");
	}
	if (!(length > 0))
		return e3_fail(err, "pose: its quaternion is zero");
	x->has_pose = true;
	return 0;
}

int view_light_decode(const e3_msg *msg, e3_pred *x, e3_err *err)
{
	int64_t i, w, h, segment = 0;
	e3_pred_release(x);
	if (msg->len <= ENVELOPE)
		return e3_fail(err, "an empty message");
	body b = {msg->bytes + ENVELOPE, msg->len - ENVELOPE};
	if (need_int(b, "i", 0, (int64_t)1 << 53, &i, err) || need_int(b, "w", 1, 65535, &w, err) ||
		need_int(b, "h", 1, 65535, &h, err) || pose_of(b, x, err))
		return -1;
	x->s.i = i, x->w = (int)w, x->h = (int)h;
	if (!real_of(b, "pts", &x->s.pts))
		return e3_fail(err, "pts: expected a finite number");
	x->s.t_capture = real_or_0(b, "t_capture"), x->ms = real_or_0(b, "ms"), x->latency = real_or_0(b, "latency");
	e3_value v;
	x->has_segment = e3_body_find(b.at, b.n, "segment", &v, NULL) &&
		need_int(b, "segment", 0, (int64_t)1 << 53, &segment, NULL) == 0;
	x->segment = segment;
	return 0;
}

int e3_view_lighten(const e3_msg *msg, e3_buf *out, e3_err *err)
{
	unsigned arrays;
	if (msg->kind != E3_PRED && msg->kind != E3_FRAME)
		return 0;
	view_bytes from = {.memory = msg->bytes, .fd = -1, .size = msg->len};
	return view_light(&from, 0, msg->len, out, &arrays, err) ? -1 : 1;
}
