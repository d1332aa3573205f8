/* e3-view: its options. */
#ifndef VIEW_H
#define VIEW_H

#include "e3/stage.h"
#include "e3/view_server.h"

typedef struct options {
	e3_stage stage;                /* of a stream; with an output where it is passed on */
	const char *run[E3_VIEW_RUNS]; /* recordings */
	int runs;                      /* 0: a stream is read */
	e3_view_options view;
	e3_view_server_options server;
	char token[256]; /* from a file */
	const char *html;
	bool pass, stay, open;
} options;

options *options_parse(int argc, char **argv);

#endif
