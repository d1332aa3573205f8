/* base: what a run reads and what it writes, so that no output takes the place of an input, or of another output.
 *
 * Every file and folder of a run is claimed before anything is opened. Files are compared by device and inode, so that
 * links and other spellings of a name do not matter; those that do not exist yet by their folder and their name in it.
 * Devices, pipes and sockets can be read and written at once, and never clash. Options claim by themselves (e3/opt.h);
 * tools claim the rest with e3_opts_claim: operands, files found by default.
 */
#ifndef E3_CLAIM_H
#define E3_CLAIM_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>

enum {
	E3_READS = 1,
	E3_WRITES = 2,
	E3_STREAM = 4, /* an endpoint: names with "zmq:" are no files */
	E3_MAYBE = 8,  /* standard output as such, whether the run writes to it or not: only its file counts */
	E3_ASKED = 16  /* an output: the person at the terminal was asked already, about the folder that it is in */
};

typedef struct e3_claim {
	unsigned use;      /* E3_READS or E3_WRITES, and more */
	const char *path;  /* as given; "-" is standard input or output */
	const char *by;    /* the option, "--output"; NULL: none */
	const char *what;  /* for messages: "the stream that is read"; needed where `by` is NULL and the file is read */
	const char *holds; /* where `path` is a folder: the files in it that count, as patterns with '|' between them:
						* "*.png|frames.tsv"; with "**" and a slash before, also those in folders of it. NULL: none */
	const char *back;  /* of an output: the option whose file it may replace, since that is read whole before */
} e3_claim;

/* -1 when it clashes with an earlier claim; the text names both. `what` and `back` are borrowed for good. */
int e3_claim_add(const e3_claim *c, e3_err *err);
/* How many files that exist an output would replace: itself, or those in its folder that it `holds`; *name is the
 * first's. Devices, pipes and standard output are not counted. */
int e3_claim_replaces(const e3_claim *c, char *name, size_t size);
/* Is it a file that the run reads? For the library's own names, which nobody claims. */
bool e3_claim_reads(const char *path);
/* Forgets all claims: for tests. */
void e3_claims_clear(void);

#endif
