/* view: names and addresses to a listening socket. Refuses what is no HOST:PORT. */
#include "view/listen.h"
#include "e3/num.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128, PORT_MAX = 65535 };

int view_listen_parse(const char *text, char host[VIEW_HOST], int *port, e3_err *err)
{
	const char *colon = strrchr(text, ':'), *from = text, *end = colon;
	int64_t number;
	if (colon && *text == '[' && colon > text + 1 && colon[-1] == ']')
		from++, end--;
	else if (colon && memchr(text, ':', (size_t)(colon - text)))
		colon = NULL; /* an address of IPv6 without brackets */
	if (!colon || end == from || end - from >= VIEW_HOST || e3_parse_i64(colon + 1, 0, PORT_MAX, &number, NULL))
		return e3_fail(err, "listening: %.80s: expected HOST:PORT, [ADDRESS]:PORT for IPv6, the port from 0 to %d",
			text, PORT_MAX);
	memcpy(host, from, (size_t)(end - from));
	host[end - from] = 0;
	*port = (int)number;
	return 0;
}

static struct addrinfo *look_up(const char *host, int port, e3_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
	char service[16];
	snprintf(service, sizeof service, "%d", port);
	int rc = getaddrinfo(host, service, &hints, &found);
	if (rc) {
		e3_fail(err, "listening: %s: %s", host, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
		return NULL;
	}
	return found;
}

static bool is_local(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
	return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

int view_listen_local(const char *host, bool *local, e3_err *err)
{
	struct addrinfo *found = look_up(host, 0, err);
	if (!found)
		return -1;
	*local = true;
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		*local = *local && is_local(a->ai_addr);
	freeaddrinfo(found);
	return 0;
}

static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;
	if (getsockname(fd, (struct sockaddr *)&a, &n))
		return 0;
	return ntohs(
		a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
}

static int open_at(const struct addrinfo *a)
{
	const int on = 1;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || bind(fd, a->ai_addr, a->ai_addrlen) ||
		listen(fd, BACKLOG)) {
		int why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

int view_listen(const char *host, int *port, e3_err *err)
{
	struct addrinfo *found = look_up(host, *port, err);
	int fd = -1;
	if (!found)
		return -1;
	for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = open_at(a);
	int why = errno;
	freeaddrinfo(found);
	errno = why;
	if (fd < 0)
		return e3_fail_sys(err, "listening: %s:%d", host, *port);
	*port = port_of(fd);
	return fd;
}

int view_accept(int fd, char *address, size_t size)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;
	const int on = 1;
	char host[64], service[16];
	int got = accept4(fd, (struct sockaddr *)&a, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (got < 0)
		return -1;
	setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (getnameinfo((struct sockaddr *)&a, n, host, sizeof host, service, sizeof service,
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(address, size, "?");
	else
		snprintf(address, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, service);
	return got;
}
