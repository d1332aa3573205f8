/* export: a folder of outputs that appear together (outdir.c). */
#ifndef E3_EXPORT_OUTDIR_H
#define E3_EXPORT_OUTDIR_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is closed. */
typedef struct e3_outdir {
	char *path, *temp;
	int lock;   /* of the hidden folder, as long as it is open; -1: none */
	bool made;  /* e3_outdir_open created the folder */
	char **old; /* [n_old] files that vanish when the new ones appear */
	size_t n_old;
} e3_outdir;

/* Also removes the hidden folders that killed processes left. */
int e3_outdir_open(e3_outdir *d, const char *path, e3_err *err);
/* The path to write NAME to. -1 when it is longer than `size`. */
int e3_outdir_name(const e3_outdir *d, const char *name, char *to, size_t size, e3_err *err);
/* Makes a folder in it, "sparse/0": files may be written to "sparse/0/NAME". */
int e3_outdir_sub(const e3_outdir *d, const char *name, e3_err *err);
/* The file NAME of an earlier run vanishes when the new ones appear, unless one of them takes its place. */
int e3_outdir_replace(e3_outdir *d, const char *name, e3_err *err);
/* What the files of frames in a folder are called, and how they begin. */
typedef struct e3_outdir_kind {
	const char *holds; /* a pattern. Names have a number of at least four digits before their ending: "000012.png" */
	/* Did this program write a file with such a name? n bytes of its beginning, at most E3_OUTDIR_HEAD, and its size.
	 * NULL: its beginning has "e3-export". */
	bool (*ours)(const uint8_t *head, size_t n, uint64_t size);
} e3_outdir_kind;

enum { E3_OUTDIR_HEAD = 1024 };

/* e3_outdir_replace for all such files that this program wrote. Refuses a directory with the name of one. */
int e3_outdir_claim(e3_outdir *d, const e3_outdir_kind *kind, e3_err *err);
/* How many files and folders it has by now. */
int64_t e3_outdir_count(const e3_outdir *d);
/* The files appear in the folder; closes. Names that end with a number of at least four digits, before their ending,
 * get as many digits as the longest of these numbers has, so that they sort. whole: the files to be replaced vanish;
 * how many is reported (e3_tell). */
int e3_outdir_commit(e3_outdir *d, bool whole, e3_err *err);
/* Removes what was not committed, the folder too if it was created; closes. Safe on a closed one. */
void e3_outdir_discard(e3_outdir *d);

#endif
