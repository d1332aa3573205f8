/* sets: private: the structure of a data set and of a sequence, and what the readers share. */
#ifndef E3_SETS_INTERNAL_H
#define E3_SETS_INTERNAL_H

#include "e3/io.h"
#include "e3/sets.h"

/* The ending of a plural in messages. */
#define SETS_S(n) ((n) == 1 ? "" : "s")

/* Writes a file of n bytes; it appears only when it is complete. */
int sets_save(const char *path, const void *bytes, size_t n, e3_err *err);
/* Writes n floats in little-endian order. */
void sets_put_floats(uint8_t *to, const float *v, size_t n);
/* -1 "the matrix is not a rotation ..." when rows or handedness are off by 1 %. */
int sets_check_rotation(const double m[12], e3_err *err);
/* Converts raw [h][w] to metres; `out` has that size. */
int sets_depth16(const uint16_t *raw, e3_depth16 kind, e3_depth *out, e3_err *err);

/* --- folder.c: names and folders --- */

typedef struct sets_names {
	char **v;
	size_t n;
} sets_names;

void sets_names_release(sets_names *x);
int sets_names_add(sets_names *x, const char *name, e3_err *err);
bool sets_names_have(const sets_names *sorted, const char *name);
/* Lists the files or folders of `path` that match, sorted by bytes, without hidden ones. The suffix may have
 * alternatives, as in ".png|.jpg", and ignores case. -1 when the folder cannot be read. */
typedef struct sets_pattern {
	const char *prefix, *suffix;
	bool folders;
} sets_pattern;
int sets_folder(const char *path, sets_pattern want, sets_names *out, e3_err *err);
bool sets_is_folder(const char *path);
bool sets_is_file(const char *path);
/* An allocated path; NULL when out of memory. */
char *sets_path(e3_err *err, const char *fmt, ...) E3_PRINTF(2, 3);
/* -1 "reading: PATH: WHAT: ..." when the file is missing. */
int sets_need(const char *path, const char *what, e3_err *err);
/* The position in `name` of a suffix that matches one of `suffixes`; NULL when none does. */
const char *sets_suffix_of(const char *name, const char *suffixes);

/* --- a sequence --- */

typedef enum sets_map { SETS_NO_DEPTH, SETS_DPT, SETS_NPY, SETS_PNG16, SETS_SCENES7 } sets_map;

typedef struct sets_frame {
	char *image, *depth; /* paths; depth NULL: none */
	size_t at, size;     /* position of the picture inside the sequence's pack; size 0: the whole file `image` */
	double stamp;        /* seconds, or the index where the files state no time */
	int64_t index;       /* its number in the data set */
	bool has_pose;
	double pose[12]; /* world from camera */
	e3_intrinsics k; /* for a picture of k.w × k.h (0: its own size); fx 0: unknown */
} sets_frame;

struct e3_seq {
	const e3_set *set;
	char *name;
	sets_frame *frame;
	size_t n, cap;
	e3_seq_counts counts; /* `frames` is not used: it is n */
	bool strided;         /* the reader of the data set has applied the stride already */
	e3_map pack;          /* the file that contains the frames whose `size` is not 0 */
};

/* Adds a frame with number `index`. Takes ownership of `image`; fails when that is NULL. The pointer is valid until the
 * next call. */
sets_frame *sets_add(e3_seq *q, char *image, int64_t index, e3_err *err);

/* The endings of picture files, as a suffix below. */
#define SETS_PICTURES ".png|.jpg|.jpeg"

/* The path of the file that belongs to the file `name`: DIR/STEM SUFFIX, where STEM is `name` without its ending.
 * Ignores the case of the ending. -1 names the file when it is not among `there` (sorted), with the counts of both
 * kinds. */
typedef struct sets_beside {
	const char *dir, *suffix; /* of the file looked for; the suffix may have alternatives, as in a pattern */
	const sets_names *there;
	const sets_names *from; /* the files that `name` is one of ... */
	const char *what;       /* ... and what they are: "pictures" */
} sets_beside;
char *sets_find_beside(const sets_beside *b, const char *name, e3_err *err);
/* -1 names the first file of b->there that has no partner in b->from. */
int sets_need_all(const sets_beside *b, e3_err *err);
/* The first number in a name; -1 when it has none. */
int64_t sets_number(const char *name);
/* Lists a folder that must not be empty: -1 when nothing matches, saying that `what` was expected. */
int sets_listing(const char *path, sets_pattern want, const char *what, sets_names *out, e3_err *err);

/* --- a data set --- */

typedef struct sets_entry {
	char *name;
	bool published, found;
} sets_entry;

enum { SETS_HOMES = 6 };

#define SETS_MAY(t) (1u << E3_TASK_##t)

/* A data set. Its row is in its own file, set_IDENTIFIER.c. A function may be NULL where the data set has nothing to
 * do. */
typedef struct sets_row {
	e3_set_info info;
	/* Names of its folder below the root ("": the root itself; case is ignored), and what such a folder contains: */
	const char *homes[SETS_HOMES];
	sets_pattern folder;              /* such a folder ... */
	const char *inside;               /* ... with this in it; NULL: nothing in particular */
	const char *expected;             /* the same in words, for messages */
	bool (*is_home)(const e3_set *s); /* replaces `folder` and `inside`: whether the data set is in s->base */
	/* -1 when the data set is at the root in a form that cannot be read; the message says what to do. */
	int (*refuse)(const e3_set *s, e3_err *err);
	/* Reading. */
	sets_map map;
	e3_depth16 kind; /* of SETS_PNG16 */
	const char *unit;
	int (*list)(e3_set *s, e3_err *err); /* adds its sequences with sets_entry_add */
	int (*open)(const e3_set *s, const char *name, e3_seq *q,
		e3_err *err);           /* adds the frames of a sequence with sets_add */
	void (*release)(e3_set *s); /* frees s->own */
	/* Writing. */
	const char *form; /* of a sequence's name, in words */
	const char *mark; /* the file or folder that shows that a sequence exists, below the root; %s is its name */
	int (*put)(e3_set_writer *w, const e3_set_shot *shot, e3_err *err); /* writes a frame */
	int (*finish)(e3_set_writer *w, e3_err *err);                       /* writes the files of the whole sequence */
	void (*writer_release)(e3_set_writer *w);                           /* frees w->own */
} sets_row;

#define SETS_DECLARE(ident, name) extern const sets_row sets_##ident;
E3_SETS(SETS_DECLARE)
const sets_row *sets_row_of(e3_set_id id);

struct e3_set {
	e3_set_options o;
	const sets_row *row;
	const char *name;
	e3_task task;
	char *base; /* the data set's folder; ends in a slash */
	sets_entry *entry;
	size_t n, cap;
	void *own; /* private to the data set */
};

/* --- home.c --- */

/* Finds s->base, starting from the root. -1 says what was expected, what is there and, if the data set is close by,
 * which folder to give. */
int sets_find_home(e3_set *s, e3_err *err);

/* --- entries.c --- */

/* Adds an entry of that name, or adds the marks to an existing one. */
int sets_entry_add(e3_set *s, const char *name, bool published, bool found, e3_err *err);
/* Adds `published` (which ends with NULL) and the folders of `path` that match, named without their prefix and suffix.
 */
int sets_list_folders(e3_set *s, const char *path, sets_pattern want, const char *const *published, e3_err *err);

#endif
