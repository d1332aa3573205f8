/* base: asks a person at the terminal before an output takes the place of a file. Owns when there is a person: never
 * for a script, a pipeline without a terminal, or a job in the background. */
#include "ask.h"
#include "e3/io.h"
#include "e3/tool.h"
#include "line.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* The terminal, or -1. A person typed the command: standard error is the terminal of this session, this process is in
 * its foreground, and an interactive shell made a process group for the command. A script's commands share the group
 * of their parent. Standard input does not matter, it may be the stream. */
static int person(void)
{
	pid_t session = getsid(0), parent = getppid();
	if (!isatty(STDERR_FILENO) || tcgetsid(STDERR_FILENO) != session || getsid(parent) != session ||
		getpgid(parent) == getpgrp())
		return -1;
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && tcgetpgrp(fd) != getpgrp()) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One process of a pipeline asks at a time: the lock is beyond those of the line of progress. It is on the terminal's
 * own device, as theirs: /dev/tty is one file for all terminals of the machine. Without a device that may be opened, as
 * after su, nobody waits. Returns what holds the lock, or -1. */
static int take_turn(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 1};
	char name[256];
	int fd = ttyname_r(STDERR_FILENO, name, sizeof name) ? -1 : open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	while (fd >= 0 && fcntl(fd, F_OFD_SETLKW, &l) < 0 && errno == EINTR && !e3_stop_signal())
		;
	return fd;
}

int e3_ask_replace(const char *what)
{
	char text[1200], answer[64] = "", c = 0;
	int fd = person();
	if (fd < 0)
		return 1;
	int turn = take_turn();
	snprintf(text, sizeof text, "%s: %.1000s", e3_tool_name(), what);
	e3_text_clean(text);
	(void)!write(fd, e3_line_clear(), strlen(e3_line_clear()));
	(void)e3_write_full(fd, text, strlen(text));
	(void)e3_write_full(fd, "? [y/N] ", 8);
	ssize_t n = 0;
	for (size_t k = 0; !e3_stop_signal() && (n = read(fd, &c, 1)) > 0 && c != '\n'; k++)
		if (k + 1 < sizeof answer)
			answer[k] = c, answer[k + 1] = 0;
	if (n <= 0)
		(void)e3_write_full(fd, "\n", 1);
	close(fd);
	if (turn >= 0)
		close(turn);
	return answer[0] == 'y' || answer[0] == 'Y';
}
