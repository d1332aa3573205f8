/* wire: whether a message is what e3-stream(5) says of its kind. */
#ifndef E3_WIRE_SOUND_H
#define E3_WIRE_SOUND_H

#include "kinds.h"

/* Refuses what the decoder of the message's kind refuses, and in keys that no decoder knows what holds for all: keys
 * are text, none occurs twice in its map, text is UTF-8 without a zero byte. Its structure was checked. Every reader
 * calls this for every message, also one that only passes it on: so all refuse the same. */
int e3_sound_check(const e3_msg *msg, e3_err *err);

#endif
