/* e3-view: its options. */
#include "e3/opt.h"
#include "e3/io.h"
#include "e3/tool.h"
#include "view.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the table parses it; options_parse makes `options` of it. */
static struct {
	options o;
	const char *output, *token_file;
	int64_t points, clients;
} given = {.o.stage = E3_STAGE_INIT, .o.server.listen = "127.0.0.1:8033", .clients = 32};

static const e3_opt table[] = {
	E3_OPT_TITLE("Page"),
	E3_OPT_NEEDS("!html"),
	E3_OPT_TEXT("listen", &given.o.server.listen, "HOST:PORT",
		"where the page is (127.0.0.1:8033); port 0: any that is free"),
	E3_OPT_TEXT("token", &given.o.server.token, "TEXT", "let in only who knows TEXT (16 characters or more)"),
	E3_OPT_READS("token-file", &given.token_file, "FILE", "the same, with TEXT as the first line of FILE"),
	E3_OPT_READS("tls-cert", &given.o.server.tls_cert, "FILE", "encrypt: certificates (PEM)"),
	E3_OPT_READS("tls-key", &given.o.server.tls_key, "FILE", "and their key (PEM)"),
	E3_OPT_INT("clients", &given.clients, "N", 1, 1000, "at most N browsers at once (32)"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_INT("points", &given.points, "N", 1000, 1e9,
		"points to hold of all frames together (10000000; in a file\n1000000)"),
	E3_OPT_NEEDS("!html"),
	E3_OPT_FLAG("open", &given.o.open, "open the page in the browser of this machine"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_WRITES("html", &given.o.html, "FILE", "no server: write the page with all data into FILE"),
	E3_OPT_TITLE("Stream"),
	E3_OPT_FLAG("pass", &given.o.pass, "forward the stream to standard output; end with it"),
	E3_OPT_SENDS("output,o", &given.output, "ENDPOINT", "forward it to ENDPOINT"),
	E3_OPT_NEEDS("!html"),
	E3_OPT_FLAG("stay", &given.o.stay, "serve on after the end of the stream, until Ctrl-C"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &given.o.stage.stream),
	E3_OPT_END,
};

static const e3_opts opts = {
	.tool = "e3-view",
	.usage = "[options] [INPUT [SECOND]]",
	.summary = "Shows a reconstruction in a browser while it grows, or a recording.",
	.table = table,
	.streams = true,
	.tail = "INPUT is a recording, '-' (standard input, the default), or a zmq: endpoint. SECOND is a recording to\n"
			"compare with.\n",
};

static bool is_path(const char *path) { return strcmp(path, "-") != 0 && strncmp(path, "zmq:", 4) != 0; }

static bool is_file(const char *path)
{
	struct stat st;
	return is_path(path) && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* What is not there at all is no stream: its name is that of a recording, misspelt. */
static bool is_stream(const char *path) { return !is_path(path) || (!is_file(path) && access(path, F_OK) == 0); }

static void read_token(options *o)
{
	int fd = open(given.token_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : e3_read_full(fd, o->token, sizeof o->token - 1);
	if (n < 0)
		e3_usage_error("option --token-file: %s: %s", given.token_file, strerror(errno));
	close(fd);
	o->token[n] = 0;
	o->token[strcspn(o->token, "\r\n")] = 0;
	o->server.token = o->token;
}

static void check(options *o)
{
	if (o->server.token && given.token_file)
		e3_usage_error("--token and --token-file: expected one of them");
	if (!o->server.tls_cert != !o->server.tls_key)
		e3_usage_error("--tls-cert and --tls-key: expected both");
	if (o->html && o->pass)
		e3_usage_error("--html and %s: a file is written after the end of the stream: expected one of them",
			given.output ? "--output" : "--pass");
	if (o->runs > 1 && !is_file(o->run[1]))
		e3_usage_error("%s: expected a recording: a file", o->run[1]);
}

options *options_parse(int argc, char **argv)
{
	options *o = &given.o;
	int at = e3_opts_parse(&opts, argc, argv);
	if (argc - at > E3_VIEW_RUNS)
		e3_usage_error("expected one or two recordings, got a third: '%s'", argv[at + E3_VIEW_RUNS]);
	o->pass = o->pass || given.output;
	for (; at < argc; at++)
		o->run[o->runs++] = argv[at];
	if (o->runs > 1 && o->pass)
		e3_usage_error("%s forwards one stream, not two recordings", given.output ? "--output" : "--pass");
	check(o);
	o->stage.input = o->runs ? o->run[0] : "-";
	if (o->runs == 1 && (o->pass || is_stream(o->run[0])))
		o->runs = 0;
	if (o->runs > 1 && !is_file(o->run[0]))
		e3_usage_error("%s: expected a recording: a file", o->run[0]);
	o->stage.output = given.output ? given.output : "-";
	if (o->pass && !given.output)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = "-", .by = "--pass"});
	if (given.token_file)
		read_token(o);
	o->stage.needs = E3_STAGE_PREDICTIONS;
	o->view.points = given.points ? given.points : o->html ? E3_VIEW_HTML_POINTS : 0;
	o->view.bytes = o->html ? E3_VIEW_HTML_BYTES : 0;
	o->server.clients = (int)given.clients;
	return o;
}
