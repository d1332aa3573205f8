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
	{.type = E3_OPT_TITLE, .help = "Data sets: e3-datasets(7)"}, \
		{.type = E3_OPT_CHOICE, \
			.name = "dataset", \
			.to = &(r).set, \
			.arg = "NAME", \
			.choices = E3_SET_NAMES, \
			.help = "read this data set, with its truth, instead of INPUT: one of\n" E3_SET_WORDS}, \
		{.type = E3_OPT_TEXT, .name = "root", .to = &(r).root, .arg = "DIR", .help = "where it lies"}, \
		{.type = E3_OPT_TEXT, \
			.name = "sequence", \
			.to = &(r).sequence, \
			.arg = "PATTERN", \
			.help = \
				"which sequences, as the shell matches names; several\nneed -o with a %s, which becomes the name"}, \
		{.type = E3_OPT_FLAG, \
			.name = "list", \
			.to = &(r).list, \
			.help = "say what is there and what is missing, and exit"}, \
		{.type = E3_OPT_FLAG, .name = "json", .to = &(r).json, .help = "with --list: as JSON"}, \
		{.type = E3_OPT_CHOICE, \
			.name = "task", \
			.to = &(r).task, \
			.arg = "TASK", \
			.choices = E3_TASK_NAMES, \
			.help = \
				"what the frames are for: depth, video-depth, recon, pose\nor pairs (default: what the data set is used for)"}, \
		{.type = E3_OPT_INT, \
			.name = "stride", \
			.to = &(r).stride, \
			.arg = "N", \
			.min = 1, \
			.max = 1e9, \
			.help = "every Nth frame (default: as the papers do)"}, \
		{.type = E3_OPT_INT, \
			.name = "repeat", \
			.to = &(r).repeat, \
			.arg = "N", \
			.min = 1, \
			.max = 1000, \
			.help = \
				"send the sequence N times over in one stream, with truth\nthe last time only: what is scored has been seen before"}, \
		{.type = E3_OPT_FLAG, \
			.name = "reject-invalid", \
			.to = &(r).reject_invalid, \
			.help = "7scenes: depth registered here, without the invalid code\nthe reference takes for 65.5 m"}, \
		{.type = E3_OPT_TEXT, \
			.name = "annotations", \
			.to = &(r).annotations, \
			.arg = "DIR", \
			.help = "co3d: where the .jgz files lie (default: the root)"}, \
		{.type = E3_OPT_CHOICE, \
			.name = "co3d-size", \
			.to = &(r).co3d_size, \
			.arg = "N", \
			.choices = "224|518", \
			.help = "co3d: squeezed to 224 x 224 as the reference does it\n(default), or 518 wide in proportion"}, \
		{.type = E3_OPT_INT, \
			.name = "draw", \
			.to = &(r).draw, \
			.arg = "N", \
			.min = 2, \
			.max = 1e4, \
			.help = "co3d: frames drawn of each sequence (default 10)"}, \
		{.type = E3_OPT_INT, \
			.name = "min-frames", \
			.to = &(r).min_frames, \
			.arg = "N", \
			.min = 2, \
			.max = 1e6, \
			.help = "co3d: shorter sequences are left out (default 50)"}, \
		{.type = E3_OPT_INT, \
			.name = "seed", \
			.to = &(r).seed, \
			.arg = "N", \
			.min = 0, \
			.max = 4294967295.0, \
			.help = "co3d: of the draws (default 0)"}, \
	{ \
		.type = E3_OPT_FLAG, .name = "fast-eval", .to = &(r).fast_eval, .help = "co3d: ten sequences of each category" \
	}

/* Ends the tool when the options do not go together; n operands were given. */
void set_check(const set_request *r, const decode_options *o, int n);
/* Lists, or sends one stream a sequence. */
int set_run(const set_request *r, const decode_options *o, e3_err *err);

#endif
