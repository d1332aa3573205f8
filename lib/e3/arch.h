/* model: the architectures: one table, one row a family of networks.
 *
 * The networks share their parts (a ViT, blocks in turn over one frame and over all, a camera head, dense heads); a row
 * says what differs between them, and the model code asks the row, never for a name. Shapes are not in here: they come
 * from the checkpoint (e3/config.h). A further family is a row in lib/model/arch.c; only a structure that no row has
 * yet needs code (HACKING.md). Mathematics: doc/network.md, 14 for what differs.
 */
#ifndef E3_ARCH_H
#define E3_ARCH_H

#include <stdbool.h>
#include <stddef.h>

enum { E3_ARCH_TOKENS = 4, E3_ARCH_AXES = 3 };

/* A token has two variants. The first one is for: */
typedef enum e3_arch_first {
	E3_FIRST_FRAME, /* frame 0 alone */
	E3_FIRST_START  /* the frames of the start */
} e3_arch_first;

/* Special tokens, in front of the patches. */
typedef struct e3_arch_token {
	const char *tensor; /* aggregator.NAME [1][2 variants][count][embed]; NULL closes the list */
	bool registers;     /* as many as the tensor has; else one */
	e3_arch_first first;
} e3_arch_token;

/* How queries and keys of the global blocks are rotated (frame blocks: always E3_ROPE_GRID). */
typedef enum e3_arch_rope {
	E3_ROPE_GRID, /* row and column, as in the frame blocks (doc/network.md 5.3) */
	E3_ROPE_TIME  /* time, row and column, in neighbouring channels (doc/network.md 14.2) */
} e3_arch_rope;

enum { E3_HEAD_DEPTH = 1, E3_HEAD_POINTS = 2 };

typedef struct e3_arch {
	const char *name;  /* of `e3.arch`, in metadata and streams */
	const char *title; /* as its authors write it */
	const char *mark;  /* a tensor that only this one has; NULL: what no mark is found in */
	e3_arch_token token[E3_ARCH_TOKENS];
	e3_arch_rope rope;
	/* Of E3_ROPE_TIME: channels of a head that turn with time, row, column; base of the frequencies. */
	int axis[E3_ARCH_AXES];
	double base;
	/* Key frames that the rotation was made for: one past has no more. 0: any number. */
	int times;
	/* Frames that the network sees together at the beginning, before one follows the other; 1: none. `joint`: more than
	 * one is possible. */
	int start;
	bool joint;
	bool to_world; /* the camera head gives world from camera; a session gives camera from world in any case */
	int heads;     /* dense heads that it may have: E3_HEAD_* */
	/* What it runs with if nothing is said: a policy of e3/policy.h, and the newest key frames that stay whole (0: the
	 * policy's budget says). */
	const char *policy;
	int window;
	/* Of the weights that its authors released: the licence, and where it is written. */
	const char *license, *source;
} e3_arch;

/* A row without a name closes the table. The first is what a checkpoint without metadata and without marks is. */
extern const e3_arch e3_archs[];

/* The place of a row in the table; -1 when there is none. */
int e3_arch_find(const char *name);
/* "a or b": the names, for messages. */
const char *e3_arch_names(char *to, size_t size);

#endif
