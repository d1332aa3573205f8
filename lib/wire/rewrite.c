/* wire: messages with one field changed. Fields that this version does not know stay. */
#include "rewrite.h"
#include "e3/num.h"
#include "e3/value.h"
#include "kinds.h"
#include "pack.h"
#include <stdlib.h>
#include <string.h>

int e3_msg_with_frames(const e3_msg *msg, int64_t frames, e3_msg *out, e3_err *err)
{
	const uint8_t *body = msg->bytes + E3_ENVELOPE, *end = msg->bytes + msg->len;
	e3_cursor at;
	e3_value v;
	*out = (e3_msg){.kind = msg->kind};
	if (!e3_body_find(body, msg->len - E3_ENVELOPE, "frames", &v, &at))
		return e3_fail(err, "%s: frames: missing", e3_kind_name(msg->kind));
	e3_cursor after = at;
	if (e3_value_skip(&after) || !(out->bytes = malloc(msg->len + 9)))
		return e3_fail(err, "out of memory");
	size_t before = (size_t)(at.at - msg->bytes), rest = (size_t)(end - after.at), n;
	memcpy(out->bytes, msg->bytes, before);
	n = before + e3_pack_count(out->bytes + before, frames);
	memcpy(out->bytes + n, after.at, rest);
	out->len = n + rest;
	e3_put_be32(out->bytes + 1, (uint32_t)(out->len - E3_ENVELOPE));
	return 0;
}
