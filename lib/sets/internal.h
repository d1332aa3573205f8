/* sets: private to lib/sets/: what a data set and a sequence are made of, and what the layouts share. */
#ifndef E3_SETS_INTERNAL_H
#define E3_SETS_INTERNAL_H

#include "e3/io.h"
#include "e3/sets.h"

/* A file of n bytes that appears whole. */
int sets_save(const char *path, const void *bytes, size_t n, e3_err *err);
/* n floats, little-endian. */
void sets_put_floats(uint8_t *to, const float *v, size_t n);
/* "the matrix is no rotation ..." when rows or handedness are off by 1 %. */
int sets_check_rotation(const double m[12], e3_err *err);
/* raw [h][w] to metres, in a map of that size. */
int sets_depth16(const uint16_t *raw, e3_depth16 kind, e3_depth *out, e3_err *err);

/* --- folder.c: names and folders --- */

typedef struct sets_names {
	char **v;
	size_t n;
} sets_names;

void sets_names_release(sets_names *x);
int sets_names_add(sets_names *x, const char *name, e3_err *err);
bool sets_names_have(const sets_names *sorted, const char *name);
/* What a folder holds whose names begin and end so, sorted by bytes; hidden ones left out. A suffix may be several, as
 * in ".png|.jpg", and its case does not matter. With `folders` only folders, else only what is none. -1 when it cannot
 * be read. */
typedef struct sets_pattern {
	const char *prefix, *suffix;
	bool folders;
} sets_pattern;
int sets_folder(const char *path, sets_pattern want, sets_names *out, e3_err *err);
bool sets_is_folder(const char *path);
bool sets_is_file(const char *path);
/* An allocated path; NULL without memory. */
char *sets_path(e3_err *err, const char *fmt, ...) E3_PRINTF(2, 3);
/* "reading: PATH: WHAT: ..." when the file is not there. */
int sets_need(const char *path, const char *what, e3_err *err);
/* Where the suffix of `name` begins that fits one of `suffixes`; NULL: none does. */
const char *sets_suffix_of(const char *name, const char *suffixes);

/* --- a sequence --- */

typedef enum sets_map { SETS_NO_DEPTH, SETS_DPT, SETS_NPY, SETS_PNG16, SETS_SCENES7 } sets_map;

typedef struct sets_frame {
	char *image, *depth; /* paths; depth NULL: none */
	size_t at, size;     /* of the picture inside the sequence's pack; size 0: the whole file `image` */
	double stamp;        /* seconds, or the index */
	int64_t index;       /* the data set's own number */
	bool has_pose;
	double pose[12]; /* world from camera */
	e3_intrinsics k; /* of a picture of k.w × k.h, 0: of its own size; fx 0: unknown */
} sets_frame;

struct e3_seq {
	const e3_set *set;
	char *name;
	sets_frame *frame;
	size_t n, cap;
	e3_seq_counts counts; /* without frames: that is n */
	bool strided;         /* the layout has taken its stride already */
	e3_map pack;          /* the file that frames with a size lie in */
};

/* Adds a frame, numbered `index`; `image` is taken over, NULL fails. The pointer is good until the next. */
sets_frame *sets_add(e3_seq *q, char *image, int64_t index, e3_err *err);

/* What a loader takes for a picture, as a suffix below. */
#define SETS_PICTURES ".png|.jpg|.jpeg"

/* The file that belongs to file `name` (a picture's, say): DIR/STEM SUFFIX, the stem being `name` without its ending;
 * the case of the ending does not matter. -1 names it when it is not among `there` (sorted), with how many there are of
 * each. */
typedef struct sets_beside {
	const char *dir, *suffix; /* of the file looked for; the suffix may have alternatives, as in a pattern */
	const sets_names *there;
	const sets_names *from; /* what `name` is one of ... */
	const char *what;       /* ... and what those are: "pictures" */
} sets_beside;
char *sets_find_beside(const sets_beside *b, const char *name, e3_err *err);
/* -1 names the first of b->there to which none of b->from belongs. */
int sets_need_all(const sets_beside *b, e3_err *err);
/* The first number in a name; -1 when it has none. */
int64_t sets_number(const char *name);
/* What lies in a folder, all of it needed: -1 also when nothing does, saying `what` was expected. */
int sets_listing(const char *path, sets_pattern want, const char *what, sets_names *out, e3_err *err);

/* --- a data set --- */

typedef struct sets_entry {
	char *name;
	bool published, found;
} sets_entry;

enum { SETS_HOMES = 6 };

#define SETS_MAY(t) (1u << E3_TASK_##t)

/* A data set: its row is in its own file, set_IDENTIFIER.c. Functions that are NULL have nothing to do. */
typedef struct sets_row {
	e3_set_info info;
	/* Where it lies: names of its folder under the root ("": the root itself; case does not matter), and what such a
	 * folder holds. */
	const char *homes[SETS_HOMES];
	sets_pattern folder;              /* such a folder ... */
	const char *inside;               /* ... with this in it; NULL: nothing in particular */
	const char *expected;             /* the same in words */
	bool (*is_home)(const e3_set *s); /* instead of `folder` and `inside`: whether it lies in s->base */
	/* -1 when the root holds the data set in a form that cannot be read: says what to do. */
	int (*refuse)(const e3_set *s, e3_err *err);
	/* What is read. */
	sets_map map;
	e3_depth16 kind; /* of SETS_PNG16 */
	const char *unit;
	int (*list)(e3_set *s, e3_err *err);                                    /* adds its sequences: sets_entry_add */
	int (*open)(const e3_set *s, const char *name, e3_seq *q, e3_err *err); /* adds the frames of one: sets_add */
	void (*release)(e3_set *s);                                             /* s->own */
	/* What is written. */
	const char *form; /* of a sequence's name, in words */
	const char *mark; /* the file or folder that shows that a sequence exists, below the root; %s is its name */
	int (*put)(e3_set_writer *w, const e3_set_shot *shot, e3_err *err); /* a frame */
	int (*finish)(e3_set_writer *w, e3_err *err);                       /* what belongs to the whole sequence */
	void (*writer_release)(e3_set_writer *w);                           /* w->own */
} sets_row;

#define SETS_DECLARE(ident, name) extern const sets_row sets_##ident;
E3_SETS(SETS_DECLARE)
const sets_row *sets_row_of(e3_set_id id);

struct e3_set {
	e3_set_options o;
	const sets_row *row;
	const char *name;
	e3_task task;
	char *base; /* the data set's folder, with its slash */
	sets_entry *entry;
	size_t n, cap;
	void *own; /* what the data set keeps for itself */
};

/* --- home.c --- */

/* Finds s->base from the root. -1 says what was expected, what is there, and, where it lies near by, which folder to
 * give. */
int sets_find_home(e3_set *s, e3_err *err);

/* --- entries.c --- */

/* The entry of that name, made when it is new; marks are added. */
int sets_entry_add(e3_set *s, const char *name, bool published, bool found, e3_err *err);
/* `published` (ends with NULL) and the folders of `path` that look so, their prefix and suffix taken off. */
int sets_list_folders(e3_set *s, const char *path, sets_pattern want, const char *const *published, e3_err *err);

#endif
