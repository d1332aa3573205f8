/* e3-align: what its files share: the options, and the report. */
#ifndef E3_ALIGN_TOOL_H
#define E3_ALIGN_TOOL_H

#include "e3/aligner.h"
#include "e3/known.h"
#include "e3/stage.h"

enum { KNOWN_FILES = 2, DISTANCES_MOST = 256 };

/* --- options.c --- */

typedef struct align_options {
	e3_stage stage;
	e3_aligner_options aligner;
	bool final, json;
	const char *report, *edges; /* NULL: none */
	e3_known known[KNOWN_FILES];
	const char *known_path[KNOWN_FILES];
	e3_aligner_distance distance[DISTANCES_MOST];
} align_options;

/* Ends the tool on a usage error. The options stay valid until the tool ends. */
align_options *align_parse(int argc, char **argv);
/* Reads the files that the options name. */
int align_load(align_options *o, e3_err *err);
/* Is there anything that could move a prediction? */
bool align_wanted(const align_options *o);

/* --- report.c --- */

/* Can the files be written? Asked before the stream is read, because it may not come a second time. */
int align_report_check(const align_options *o, e3_err *err);
/* What was done, where the options say. */
int align_report(const align_options *o, const e3_aligner_facts *f, e3_err *err);
/* What the user should know: nothing that is known fits the stream. */
void align_warn(const align_options *o, const e3_aligner_facts *f);

#endif
