/* e3-evict-stats: what its files share: the options, and what a report is made of. */
#ifndef E3_EVICT_STATS_H
#define E3_EVICT_STATS_H

#include "e3/mem.h"
#include "e3/stage.h"
#include "e3/trace.h"
#include "e3/trace_draw.h"

enum { MAX_SHOTS = 64 };

/* --- options.c --- */

typedef struct options {
	e3_stage stage; /* its input; its output with --pass */
	bool json, check, pass;
	const char *output, *tsv; /* NULL: standard output; no tables */
	const char *sheet, *png, *attn;
	int columns; /* frames on the contact sheet */
	e3_sheet_look look;
	e3_trace_attn_look attn_look;
} options;

/* Ends the tool on a usage error. The options stay valid until the tool ends. */
options *options_parse(int argc, char **argv);

/* --- text.c, json.c, tsv.c --- */

typedef struct report {
	e3_trace_run run;
	const e3_trace_check *check;
	const e3_trace_latency *latency;
	bool with_check; /* list violations, or say that there are none */
	bool interrupted;
} report;

/* For people: at most 25 lines when no rule is violated. */
int report_text(const report *x, e3_buf *to, e3_err *err);
/* For programs: one JSON object on one line. */
int report_json(const report *x, e3_buf *to, e3_err *err);
/* Tables and the JSON object, as files in DIR. */
int report_tsv(const report *x, const char *dir, e3_err *err);

#endif
