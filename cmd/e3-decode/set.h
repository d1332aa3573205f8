/* e3-decode: data sets: its options, and the loop over sequences. */
#ifndef E3_DECODE_SET_H
#define E3_DECODE_SET_H

#include "decode.h"
#include "e3/sets.h"

typedef struct set_request {
	int set; /* e3_set_id; -1: no data set */
	const char *root, *sequence, *annotations;
	int task, co3d_size; /* e3_task, -1: the usual one; 1: 518 */
	int64_t stride, repeat, draw, seed, min_frames;
	bool list, json, reject_invalid, fast_eval;
} set_request;

#define SET_REQUEST_NONE \
	{ \
		.set = -1, .task = -1 \
	}

/* The rows of the option table that fill `r`. */
#define SET_OPTIONS(r) \
	E3_OPT_TITLE("Data sets: e3-datasets(7)"), \
		E3_OPT_CHOICE("dataset", &(r).set, "NAME", E3_SET_NAMES, \
			"read this data set, with its truth, instead of INPUT: one of\n" E3_SET_WORDS), \
		E3_OPT_TEXT("root", &(r).root, "DIR", "where it lies"), \
		E3_OPT_TEXT("sequence", &(r).sequence, "PATTERN", \
			"which sequences, as the shell matches names; several\nneed -o with a %s, which becomes the name"), \
		E3_OPT_FLAG("list", &(r).list, "say what is there and what is missing, and exit"), \
		E3_OPT_FLAG("json", &(r).json, "with --list: as JSON"), \
		E3_OPT_CHOICE("task", &(r).task, "TASK", E3_TASK_NAMES, \
			"what the frames are for: depth, video-depth, recon, pose\nor pairs (default: what the data set is used for)"), \
		E3_OPT_INT("stride", &(r).stride, "N", 1, 1e9, "every Nth frame (default: as the papers do)"), \
		E3_OPT_INT("repeat", &(r).repeat, "N", 1, 1000, \
			"send the sequence N times over in one stream, with truth\nthe last time only: what is scored has been seen before"), \
		E3_OPT_FLAG("reject-invalid", &(r).reject_invalid, \
			"7scenes: depth registered here, without the invalid code\nthe reference takes for 65.5 m"), \
		E3_OPT_TEXT("annotations", &(r).annotations, "DIR", "co3d: where the .jgz files lie (default: the root)"), \
		E3_OPT_CHOICE("co3d-size", &(r).co3d_size, "N", "224|518", \
			"co3d: squeezed to 224 x 224 as the reference does it\n(default), or 518 wide in proportion"), \
		E3_OPT_INT("draw", &(r).draw, "N", 2, 1e4, "co3d: frames drawn of each sequence (default 10)"), \
		E3_OPT_INT("min-frames", &(r).min_frames, "N", 2, 1e6, "co3d: shorter sequences are left out (default 50)"), \
		E3_OPT_INT("seed", &(r).seed, "N", 0, 4294967295.0, "co3d: of the draws (default 0)"), \
		E3_OPT_FLAG("fast-eval", &(r).fast_eval, "co3d: ten sequences of each category")

/* Ends the tool when the options do not go together; n operands were given. */
void set_check(const set_request *r, const decode_options *o, int n);
/* Lists, or sends one stream a sequence. */
int set_run(const set_request *r, const decode_options *o, e3_err *err);

#endif
