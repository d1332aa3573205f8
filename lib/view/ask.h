/* view: what a client says: one JSON object in a text message, at most VIEW_ASK_MAX bytes (e3-view(5), CLIENT). */
#ifndef VIEW_ASK_H
#define VIEW_ASK_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VIEW_ASK_MAX = 4096, VIEW_ALSO_MOST = 32 };

typedef struct view_ask {
	bool has_ack, has_want, has_limit, has_ping, has_painted;
	uint32_t ack; /* every record up to this number has arrived */
	struct {
		int run;
		int64_t from, to;             /* -1: not said */
		int64_t at;                   /* -1: the newest */
		int64_t look;                 /* another frame whose pictures are shown; -1: none */
		int64_t also[VIEW_ALSO_MOST]; /* frames whose small pictures are shown, [n_also] */
		int n_also;
		bool again; /* what was sent of these frames is forgotten there */
	} want;
	int64_t points; /* limit */
	double ping;
	struct {
		int run;
		int64_t n;
		double clock;
	} painted;
} view_ask;

/* Keys that it does not know are skipped. -1: no such object, or a value of the wrong kind. */
int view_ask_parse(const char *text, size_t len, view_ask *out, e3_err *err);

#endif
