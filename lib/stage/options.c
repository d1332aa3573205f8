/* stage: settings of a stream on the command line: parsing, and how error texts name them. */
#include "e3/num.h"
#include "e3/stage.h"
#include "wrong.h"
#include <string.h>

/* "N" or "N,SIZE". */
static int parse_queue(void *to, const char *arg, e3_err *err)
{
	e3_queue_limit *q = to;
	const char *comma = strchr(arg, ',');
	char number[32];
	size_t n = comma ? (size_t)(comma - arg) : strlen(arg);
	if (n >= sizeof number)
		return e3_fail(err, "expected N or N,SIZE, got '%.40s'", arg);
	memcpy(number, arg, n);
	number[n] = 0;
	if (e3_parse_i64(number, 1, 1 << 20, &q->messages, err))
		return -1;
	return comma ? e3_parse_bytes(comma + 1, &q->bytes, err) : 0;
}

const e3_opt e3_stage_endpoint_rows[] = {
	E3_OPT_READS("curve-key", E3_OPT_AT(e3_stream_options, curve_key), "FILE",
		"encrypt TCP with this secret key (e3-cat --keygen)"),
	E3_OPT_READS("curve-server", E3_OPT_AT(e3_stream_options, curve_server), "FILE",
		"public key of the side that listens, to connect to it"),
	E3_OPT_READS_IN("curve-allow", E3_OPT_AT(e3_stream_options, curve_allow), "PATH", "*.pub",
		"public keys that may connect: a file, or a folder of *.pub"),
	E3_OPT_FLAG("insecure", E3_OPT_AT(e3_stream_options, insecure),
		"allow TCP beyond this machine: unencrypted, open to anyone"),
	E3_OPT_REAL("timeout", E3_OPT_AT(e3_stream_options, timeout), "SEC", 0, 1e9,
		"fail after SEC seconds without a peer or a message;\n0: never (default: 60 without a peer)"),
	E3_OPT_END,
};

const e3_opt e3_stage_queue_rows[] = {
	E3_OPT_CHOICE("drop", E3_OPT_AT(e3_stream_options, drop), "WHICH", "none|oldest|newest",
		"frames to drop for a slow reader: none (default),\noldest or newest"),
	E3_OPT_CALL("queue", E3_OPT_AT(e3_stream_options, queue), "N", parse_queue,
		"at most N messages wait for a slow reader; N,SIZE: and\nSIZE bytes (default 64,16M; to drop from 64,64M)"),
	E3_OPT_END,
};

/* What lib/wire's texts call a setting, and what sets it. */
static const e3_err_name names[] = {
	{"'curve_key'", "--curve-key"},
	{"'curve_server'", "--curve-server"},
	{"'curve_allow'", "--curve-allow"},
	{"'insecure'", "--insecure"},
	{"'timeout'", "--timeout"},
	{"'keygen'", "e3-cat --keygen"},
	{NULL, NULL},
};

void e3_stage_explain(e3_err *err)
{
	e3_err_rename(err, names);
	stage_explain_foreign(err);
}
