/* view: a listening TCP socket. */
#ifndef VIEW_LISTEN_H
#define VIEW_LISTEN_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>

enum { VIEW_HOST = 256 };

/* "HOST:PORT" or "[ADDRESS]:PORT" in its two parts. */
int view_listen_parse(const char *text, char host[VIEW_HOST], int *port, e3_err *err);
/* Does the name lead to this machine alone? -1: it leads nowhere. */
int view_listen_local(const char *host, bool *local, e3_err *err);
/* A socket that listens, does not block and is closed on exec; *port: the one it has. -1. */
int view_listen(const char *host, int *port, e3_err *err);
/* The next connection, does not block, closed on exec, and whose it is; -1: none now (errno). */
int view_accept(int fd, char *address, size_t size);

#endif
