/* wire: endpoint names. Owns which side binds, which addresses are allowed and which are encrypted; refuses TCP beyond
 * loopback without keys and without `insecure`. */
#include "endpoint.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_HOST = 256 };

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

/* Keys that are given have to be enough, where the stream leaves this machine; and they are not passed over in silence
 * elsewhere. */
static int check_reach(const char *host, const e3_endpoint *ep, const e3_stream_options *o, e3_err *err)
{
	const char *other = ep->bind ? o->curve_allow : o->curve_server;
	if (other && !o->curve_key)
		return e3_fail(err,
			"endpoint %s: %s is not enough: 'curve_key' names this side's own secret key, which 'keygen' makes",
			ep->text, ep->bind ? "'curve_allow'" : "'curve_server'");
	bool alone = o->curve_key && !o->curve_allow && !o->curve_server;
	if (!alone && (ep->curve || is_loopback(host) || o->insecure))
		return 0;
	if (o->curve_key)
		return e3_fail(err, "endpoint %s: 'curve_key' alone is not enough: where this side %s", ep->text,
			ep->bind ? "listens, 'curve_allow' says whose keys may connect"
					 : "connects, 'curve_server' says whom to expect");
	return e3_fail(err,
		"endpoint %s: %s reaches beyond this machine, and the stream is neither encrypted nor authenticated; use "
		"'curve_key' (keys: 'keygen'), 127.0.0.1, a tunnel (ssh -L), or 'insecure' on a network you trust",
		ep->text, host);
}

/* "host:port" taken apart: -1 with what is wrong. */
static int split(const char *rest, char host[MAX_HOST], const char **port, e3_err *err)
{
	const char *colon = strrchr(rest, ':');
	size_t n = colon ? (size_t)(colon - rest) : 0;
	if (n == 0 || n >= MAX_HOST || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return e3_fail(err, "expected tcp://host:port");
	memcpy(host, rest, n);
	host[n] = 0;
	if (host[0] != '[' && strchr(host, ':'))
		return e3_fail(err, "expected tcp://host:port, an IPv6 address in brackets: tcp://[::1]:5555");
	long number = strlen(colon) > 6 ? 0 : strtol(colon + 1, NULL, 10);
	if (number < 1 || number > 65535)
		return e3_fail(err, "a port is 1 to 65535, not %s", colon + 1);
	*port = colon;
	return 0;
}

/* The other side by its name: whether there is one of that name at all, and whether it has none but IPv6 addresses. A
 * name server that does not answer may do so later. */
static int look_up(const char *host, bool *ipv6, e3_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int rc = getaddrinfo(host, NULL, &hints, &list);
	if (rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_FAIL)
		return e3_fail(err, "%s: %s", host, gai_strerror(rc));
	*ipv6 = list != NULL;
	for (const struct addrinfo *at = list; at; at = at->ai_next)
		*ipv6 = *ipv6 && at->ai_family == AF_INET6;
	if (list)
		freeaddrinfo(list);
	return 0;
}

/* rest = "host:port". "localhost" becomes its number: libzmq takes names of interfaces where it binds, and a name may
 * be resolved to another machine, or not at all. */
static int parse_tcp(const char *rest, const e3_stream_options *o, e3_endpoint *out, e3_err *err)
{
	char host[MAX_HOST];
	const char *colon = "";
	if (split(rest, host, &colon, err))
		return e3_fail_in(err, "endpoint %s", out->text);
	if (strcmp(host, "*") == 0)
		out->bind = true;
	out->curve = o->curve_key && (out->bind ? o->curve_allow : o->curve_server);
	if (check_reach(host, out, o, err))
		return -1;
	struct in_addr number;
	bool local = strcmp(host, "localhost") == 0;
	out->ipv6 = host[0] == '[';
	if (!out->bind && !out->ipv6 && !local && inet_pton(AF_INET, host, &number) != 1 && look_up(host, &out->ipv6, err))
		return e3_fail_in(err, "endpoint %s", out->text);
	const char *name = local ? "127.0.0.1" : host;
	snprintf(out->addr, sizeof out->addr, "tcp://%s%s", name, colon);
	return 0;
}

/* Does a process listen there? Connecting a socket of another type finds out without disturbing that process. */
static bool is_listened_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	bool is = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EPROTOTYPE;
	close(fd);
	return is;
}

/* libzmq removes any file at a path that it binds: only a socket may be there, and one on which no process listens.
 * Where it connects, it would wait for a folder that does not exist. */
static int parse_ipc(const char *path, e3_endpoint *out, e3_err *err)
{
	struct stat st;
	char folder[101] = ".";
	const char *slash = strrchr(path, '/');
	if (!*path || strlen(path) > 100 || strcmp(path, "*") == 0)
		return e3_fail(err, "endpoint %s: expected ipc://PATH with a path of 1 to 100 bytes", out->text);
	bool there = lstat(path, &st) == 0;
	if (out->bind && there && !S_ISSOCK(st.st_mode))
		return e3_fail(err, "endpoint %s: %s exists and is not a socket", out->text, path);
	if (out->bind && there && is_listened_to(path))
		return e3_fail(err, "endpoint %s: another process listens there", out->text);
	if (slash)
		snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (stat(folder, &st))
		return e3_fail_sys(err, "endpoint %s: %s", out->text, folder);
	snprintf(out->addr, sizeof out->addr, "ipc://%s", path);
	return 0;
}

int e3_endpoint_parse(const char *text, bool reading, const e3_stream_options *o, e3_endpoint *out, e3_err *err)
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
		return e3_fail(err,
			"endpoint %s: %s with zmq:%s:ADDRESS or zmq:%s:ADDRESS, an address being tcp://host:port or ipc://path",
			text, reading ? "read" : "write", reading ? "pull" : "push", reading ? "sub" : "pub");
	out->bind = out->kind == E3_ZMQ_PULL || out->kind == E3_ZMQ_PUB;
	if (starts(&p, "@"))
		out->bind = true;
	else if (starts(&p, ">"))
		out->bind = false;
	if (starts(&p, "tcp://"))
		return parse_tcp(p, o, out, err);
	if (starts(&p, "ipc://"))
		return parse_ipc(p, out, err);
	return e3_fail(err, "endpoint %s: expected tcp:// or ipc:// after the kind of socket", text);
}
