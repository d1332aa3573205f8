/* Fuzz target: what comes from a browser. The first byte chooses: a client's message; Host, Origin and token of a
 * request; or the bytes of a connection to a server, with which a handshake and frames may be in the input. */
#include "e3/view_server.h"
#include "view/ask.h"
#include "view/plan.h"
#include "view/rules.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(const uint8_t *data, size_t size)
{
	view_ask ask;
	view_plan plan;
	e3_buf out = {0};
	e3_err err;
	if (view_ask_parse((const char *)data, size, &ask, &err))
		return;
	e3_view_store *v = e3_view_open(&(e3_view_options){0}, &err);
	if (!v)
		abort();
	view_plan_init(&plan, view_source_of(v));
	if (ask.has_want)
		view_plan_want(&plan, &ask);
	if (view_plan_next(&plan, &out, &err))
		abort(); /* there is nothing in it */
	view_plan_release(&plan);
	e3_buf_release(&out);
	e3_view_close(v);
}

/* Three lines: Host, Origin, token. */
static void request(const uint8_t *data, size_t size)
{
	static const char token[] = "0123456789abcdef";
	char text[1024], *line[3] = {NULL}, *at = text;
	view_rules r = {.listen = "scan.example"}, guarded = r;
	size_t n = size < sizeof text ? size : sizeof text - 1;
	memcpy(text, data, n);
	text[n] = 0;
	for (int k = 0; k < 3 && at; k++)
		line[k] = strsep(&at, "\n");
	if (view_rules_token(&guarded, token, NULL))
		abort();
	const char *host = view_rules_host(&r, line[0]), *origin = view_rules_origin(line[0], line[1]);
	if (!host && (!line[0] || view_rules_host(&guarded, line[0])))
		abort(); /* who gets in without a token has a Host that is one */
	if (!origin && line[1] && (!line[0] || !strcasestr(line[1], line[0])))
		abort();
	if (!view_rules_check_token(&guarded, line[2]) != (line[2] && strcmp(line[2], token) == 0))
		abort();
}

static int port;

static void open_once(void)
{
	static e3_view_store *v;
	e3_err err;
	if (port)
		return;
	v = e3_view_open(&(e3_view_options){0}, &err);
	e3_view_server *s = v ? e3_view_server_open(&(e3_view_server_options){.listen = "127.0.0.1:0"}, v, &err) : NULL;
	if (!s)
		abort();
	port = atoi(strrchr(e3_view_server_url(s), ':') + 1);
}

/* Half of the connection is closed, so the server has nothing to wait for. */
static void connection(const uint8_t *data, size_t size)
{
	open_once();
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char answer[4096];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		abort();
	if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
		if (errno != EADDRNOTAVAIL) /* ports of closed connections stay taken for a minute */
			abort();                /* it is up */
	} else {
		(void)!write(fd, data, size);
		shutdown(fd, SHUT_WR);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		while (poll(&p, 1, 2000) > 0 && read(fd, answer, sizeof answer) > 0)
			;
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 8192)
		return 0;
	if (*data == 'N')
		connection(data + 1, size - 1);
	else if (*data & 1)
		message(data + 1, size - 1);
	else
		request(data + 1, size - 1);
	return 0;
}
