/* e3: what the stages say while they run. */
#ifndef E3_CMD_WATCH_H
#define E3_CMD_WATCH_H

#include "one.h"

/* A line of a stage: its level (e3(7), E3_LEVELS), 0 for one of a library or the loader. */
typedef struct one_line {
	char *text;
	int level;
	double at; /* when it came */
	bool shown;
} one_line;

typedef struct one_process {
	pid_t pid;
	bool running;
	int state; /* of waitpid */
	int said;  /* its standard error; 0: closed */
	e3_buf rest;
	one_line *line;
	size_t n;
} one_process;

typedef struct one_watch {
	one_process process[ONE_STAGES];
	int status; /* where their progress comes in */
	double began, start, seconds;
	/* As told by the stages. */
	int64_t frames, total;
	double cache, budget; /* bytes; below 0: none */
	char device[64], state[64];
	double first; /* when the first frame was done */
	int64_t first_frames;
	bool failed;
	bool live; /* it may run for long: all warnings are shown when they come */
} one_watch;

/* Takes what has come. */
void one_watch_read(one_watch *w);
/* Shows the line of progress, and warnings of the first stages: a moment later, since a stage may be about to fail. */
void one_watch_show(one_watch *w);
/* When all have ended: says why the first of them failed, if one did, or the warnings that are left. Returns the exit
 * status. */
int one_watch_verdict(one_watch *w, const one_plan *p);
void one_watch_close(one_watch *w);

#endif
