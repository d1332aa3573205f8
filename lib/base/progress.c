/* base: the line of progress, and the same for a program that runs the tool. Owns which of the processes that share a
 * terminal may write the line.
 *
 * One process owns the terminal's line, by a lock on the terminal's device; when it ends another one takes over. The
 * last stage of a pipeline goes before those that write into a pipe: it knows what has arrived. A lock belongs to an
 * open file description, so that the terminal is opened anew: those of standard error are shared by all processes. */
#include "e3/num.h"
#include "e3/tool.h"
#include "line.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OF_LAST, OF_OTHERS }; /* bytes of the device that are locked: by a last stage, by one that writes into a pipe */

#define CLEAR "\r\033[K"

static struct {
	bool terminal;
	int fd; /* the terminal, or -1: without locks everybody may write */
	int byte;
} line = {false, -1, OF_LAST};
static pthread_once_t looked = PTHREAD_ONCE_INIT;
static atomic_bool owned, shown; /* messages come from several threads */
static double last_drawn, last_asked;

static void look(void)
{
	struct stat st;
	char name[256];
	line.terminal = isatty(STDERR_FILENO);
	if (!line.terminal)
		return;
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
		line.byte = OF_OTHERS;
	if (ttyname_r(STDERR_FILENO, name, sizeof name) == 0)
		line.fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

static bool lock(int command, int byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(line.fd, command, &l) == 0 && (command != F_OFD_GETLK || l.l_type == F_UNLCK);
}

void e3_progress_claim(void)
{
	pthread_once(&looked, look);
	if (line.terminal && !e3_quiet && !owned)
		owned = line.fd < 0 || lock(F_OFD_SETLK, line.byte);
}

/* May this process write the line now? */
static bool may_write(void)
{
	e3_progress_claim();
	return owned && (line.fd < 0 || line.byte == OF_LAST || lock(F_OFD_GETLK, OF_LAST));
}

bool e3_progress_due(void)
{
	enum { PER_SECOND = 10 };
	double now = e3_now();
	pthread_once(&looked, look);
	if (!line.terminal || e3_quiet || now - last_drawn < 1.0 / PER_SECOND || now - last_asked < 1.0 / PER_SECOND)
		return false;
	if (may_write())
		return true;
	last_asked = now;
	return false;
}

void e3_progress(const char *fmt, ...)
{
	if (!e3_progress_due())
		return;
	char text[512] = CLEAR;
	size_t n = strlen(text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(text + n, sizeof text - n, fmt, args);
	va_end(args);
	e3_text_clean(text + n);
	(void)!write(STDERR_FILENO, text, strlen(text));
	shown = true;
	last_drawn = e3_now();
}

void e3_progress_end(void)
{
	if (atomic_exchange(&shown, false))
		(void)!write(STDERR_FILENO, CLEAR, strlen(CLEAR));
}

const char *e3_line_clear(void)
{
	pthread_once(&looked, look);
	shown = false;
	return line.terminal ? CLEAR : "";
}

/* The descriptor that $E3_STATUS names: a socket or a pipe of the program that started this one. What cannot be taken
 * at once is left out; a newer line follows. */
static struct {
	int fd;
	double last;
	char line[512];
	size_t n; /* of a line that was not sent yet */
} status = {.fd = -1};

void e3_status_init(void)
{
	const char *name = getenv("E3_STATUS");
	int64_t fd;
	if (name && e3_parse_i64(name, STDERR_FILENO + 1, 1 << 20, &fd, NULL) == 0 && fcntl((int)fd, F_GETFD) >= 0) {
		status.fd = (int)fd;
		(void)fcntl(status.fd, F_SETFD, FD_CLOEXEC);
	}
}

bool e3_status_wanted(void) { return status.fd >= 0; }

void e3_status_flush(void)
{
	if (!status.n)
		return;
	if (send(status.fd, status.line, status.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		(void)!write(status.fd, status.line, status.n);
	status.n = 0;
	status.last = e3_now();
}

void e3_status(const char *fmt, ...)
{
	enum { PER_SECOND = 10 };
	if (status.fd < 0)
		return;
	int n = snprintf(status.line, sizeof status.line, "%s\t", e3_tool_name());
	va_list args;
	va_start(args, fmt);
	vsnprintf(status.line + n, sizeof status.line - (size_t)n - 1, fmt, args);
	va_end(args);
	for (char *p = status.line; *p; p++)
		if (*p == '\n')
			*p = ' ';
	status.n = strlen(status.line);
	status.line[status.n++] = '\n';
	if (e3_now() - status.last >= 1.0 / PER_SECOND)
		e3_status_flush();
}
