/* e3-dump: what is in a stream: a line or a JSON object for every message, with the range of every array.
 *
 * It walks the msgpack values themselves, so fields it does not know are shown too; a damaged stream is shown up to the
 * damage. */
#include "dump.h"
#include "e3/opt.h"
#include "e3/stage.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdio.h>

typedef struct dump {
	e3_stage stage;
	bool json;
	dump_look look;
	e3_buf line;
	int64_t messages;
} dump;

static int show(dump *d, const e3_msg *msg, e3_err *err)
{
	d->line.len = 0;
	d->messages++;
	if ((d->json ? dump_json : dump_text)(&d->look, msg, &d->line, err))
		return e3_fail_in(err, "showing message %" PRId64, d->messages);
	if (fwrite(d->line.data, 1, d->line.len, stdout) != d->line.len || fflush(stdout))
		return e3_fail_sys(err, "writing: standard output");
	return 0;
}

static void parse(dump *d, int argc, char **argv)
{
	const e3_opt table[] = {
		E3_OPT_TITLE("Output"),
		E3_OPT_FLAG("json,j", &d->json, "one JSON object a line"),
		E3_OPT_FLAG("arrays,a", &d->look.arrays, "the values of arrays of up to 64 elements"),
		E3_OPT_FLAG("full", &d->look.full, "the values of all arrays, and long texts whole"),
		E3_OPT_TITLE("Network"),
		E3_OPT_ROWS(e3_stage_endpoint_rows, &d->stage.stream),
		E3_OPT_END,
	};
	const e3_opts opts = {
		"e3-dump",
		"[options] [INPUT]",
		"Show what is in an e3 stream, a line for every message.",
		table,
		"INPUT: -, a path, or zmq:pull:ADDR with ADDR tcp://host:port or ipc://path.\n",
		.streams = true,
	};
	int at = e3_opts_parse(&opts, argc, argv);
	if (at < argc)
		d->stage.input = argv[at++];
	if (at < argc)
		e3_usage_error("too many operands: %s; e3-dump reads one stream", argv[at]);
}

static int loop(dump *d, e3_err *err)
{
	e3_msg msg;
	int more;
	while ((more = e3_stage_next(&d->stage, &msg, err)) > 0)
		if (show(d, &msg, err))
			return -1;
	/* An abort is a message too: shown, then reported. */
	e3_err failed = {""};
	if (e3_in_abort(d->stage.in) && show(d, &msg, &failed))
		*err = failed;
	return more;
}

int main(int argc, char **argv)
{
	dump d = {.stage = E3_STAGE_INIT};
	e3_err err = {""};
	e3_tool_init("e3-dump");
	parse(&d, argc, argv);
	d.stage.stream.all = true; /* what is there is shown */
	int rc = e3_stage_open_input(&d.stage, &err) || loop(&d, &err) ? -1 : 0;
	rc = e3_stage_finish(&d.stage, rc, &err);
	e3_stage_close(&d.stage);
	e3_buf_release(&d.line);
	return e3_tool_exit(rc, &err);
}
