/* wire: endpoint names. Owns which side binds, which addresses are allowed and which are encrypted; refuses TCP beyond loopback
 * without keys and without --insecure. */
#include "endpoint.h"
#include "e3/stream.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool starts(const char **text, const char *with)
{
	size_t n = strlen(with);
	if (strncmp(*text, with, n))
		return false;
	*text += n;
	return true;
}

static bool is_loopback(const char *host)
{
	struct in_addr a;
	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       (inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

/* Keys that are given have to be enough, where the stream leaves this machine. */
static int check_reach(const char *host, const e3_endpoint *ep, e3_err *err)
{
	if (ep->curve || is_loopback(host) || e3_stream_set.insecure)
		return 0;
	if (e3_stream_set.curve_key)
		return e3_fail(err, "endpoint %s: --curve-key alone is not enough: where this side %s", ep->text,
		               ep->bind ? "listens, --curve-allow says whose keys may connect" : "connects, --curve-server says whom to expect");
	return e3_fail(err, "endpoint %s: %s reaches beyond this machine, and the stream is neither encrypted nor authenticated; use "
	               "--curve-key (keys: e3-cat --keygen), 127.0.0.1, a tunnel (ssh -L), or --insecure on a network you trust",
	               ep->text, host);
}

/* rest = "host:port". "localhost" becomes its number: libzmq takes names of interfaces where it binds, and a name may be
 * resolved to another machine, or not at all. */
static int parse_tcp(const char *rest, e3_endpoint *out, e3_err *err)
{
	char host[256];
	const char *colon = strrchr(rest, ':');
	size_t n = colon ? (size_t)(colon - rest) : 0;
	if (n == 0 || n >= sizeof host || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return e3_fail(err, "endpoint %s: expected tcp://host:port", out->text);
	memcpy(host, rest, n);
	host[n] = 0;
	if (strcmp(host, "*") == 0)
		out->bind = true;
	out->curve = e3_stream_set.curve_key && (out->bind ? e3_stream_set.curve_allow : e3_stream_set.curve_server);
	if (check_reach(host, out, err))
		return -1;
	out->ipv6 = host[0] == '[';
	const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
	snprintf(out->addr, sizeof out->addr, "tcp://%s%s", name, colon);
	return 0;
}

/* libzmq removes whatever stands at a path it binds: only a socket may be there. */
static int parse_ipc(const char *path, e3_endpoint *out, e3_err *err)
{
	struct stat st;
	if (!*path || strlen(path) > 100)
		return e3_fail(err, "endpoint %s: expected ipc://PATH with a path of 1 to 100 bytes", out->text);
	if (out->bind && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return e3_fail(err, "endpoint %s: %s exists and is not a socket", out->text, path);
	snprintf(out->addr, sizeof out->addr, "ipc://%s", path);
	return 0;
}

int e3_endpoint_parse(const char *text, bool reading, e3_endpoint *out, e3_err *err)
{
	*out = (e3_endpoint){.text = text};
	const char *p = text;
	if (strcmp(text, "-") == 0) {
		out->type = E3_EP_STD;
		return 0;
	}
	bool named = starts(&p, "zmq:");
	if (!named && strncmp(p, "ipc://", 6) != 0 && strncmp(p, "tcp://", 6) != 0) {
		out->type = E3_EP_PATH;
		return *text ? 0 : e3_fail(err, "endpoint: empty name");
	}
	out->type = E3_EP_ZMQ;
	out->kind = reading ? E3_ZMQ_PULL : E3_ZMQ_PUSH;
	if (named && starts(&p, reading ? "sub:" : "pub:"))
		out->kind = reading ? E3_ZMQ_SUB : E3_ZMQ_PUB;
	else if (named && !starts(&p, reading ? "pull:" : "push:"))
		return e3_fail(err, "endpoint %s: %s with zmq:%s:ADDRESS or zmq:%s:ADDRESS, an address being tcp://host:port or ipc://path",
		               text, reading ? "read" : "write", reading ? "pull" : "push", reading ? "sub" : "pub");
	out->bind = out->kind == E3_ZMQ_PULL || out->kind == E3_ZMQ_PUB;
	if (starts(&p, "@"))
		out->bind = true;
	else if (starts(&p, ">"))
		out->bind = false;
	if (starts(&p, "tcp://"))
		return parse_tcp(p, out, err);
	if (starts(&p, "ipc://"))
		return parse_ipc(p, out, err);
	return e3_fail(err, "endpoint %s: expected tcp:// or ipc:// after the kind of socket", text);
}
