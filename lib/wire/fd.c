/* wire: interruptible reads and writes on descriptors. Owns the waiting. */
#include "fd.h"
#include "e3/num.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20, STUCK_SECONDS = 5 };

void e3_fd_enlarge(int fd)
{
#ifdef F_SETPIPE_SZ
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* not a pipe, or not allowed: works as it is */
#endif
}

bool e3_fd_hung_up(int fd)
{
	struct pollfd p = {.fd = fd};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

bool e3_fd_unread(int fd)
{
	int unread = 0;
	return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0 && !e3_fd_hung_up(fd);
}

bool e3_fd_ready(int fd)
{
	enum { MS = 20 };
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, MS) > 0;
}

/* Until there is something to read: 0, or -1 with errno. */
static int wait_bytes(const e3_fd *f)
{
	double timeout = e3_message_timeout(f->o);
	for (double start = e3_now();;) {
		struct pollfd p = {.fd = f->fd, .events = POLLIN};
		int ready = poll(&p, 1, E3_WAIT_MS), why = 0;
		if (e3_stop_asked(f->o))
			why = EINTR;
		else if (ready > 0)
			return 0;
		else if (timeout > 0 && e3_now() - start > timeout)
			why = ETIMEDOUT;
		else if (e3_output_lost(f->o, NULL))
			why = EPIPE;
		if (why) {
			errno = why;
			return -1;
		}
	}
}

ssize_t e3_fd_read(const e3_fd *f, void *to, size_t n)
{
	size_t got = 0;
	while (got < n) {
		if (!f->regular && wait_bytes(f))
			return -1;
		ssize_t r = read(f->fd, (char *)to + got, n - got);
		if (r > 0)
			got += (size_t)r;
		else if (r == 0)
			break;
		else if (errno != EINTR && errno != EAGAIN)
			return -1;
	}
	return (ssize_t)got;
}

/* Until the reader takes something: 0, or -1 with errno. */
static int wait_taken(const e3_fd *f)
{
	struct pollfd p = {.fd = f->fd, .events = POLLOUT};
	double start = e3_now(), timeout = e3_message_timeout(f->o), stop = 0;
	while (poll(&p, 1, E3_WAIT_MS) <= 0) {
		double now = e3_now();
		int why = 0;
		if (stop == 0 && e3_stop_asked(f->o))
			stop = now;
		if (stop > 0 && now - stop > STUCK_SECONDS)
			why = EINTR;
		else if ((timeout > 0 && now - start > timeout) || (f->give_up && atomic_load(f->give_up)))
			why = ETIMEDOUT;
		if (why) {
			errno = why;
			return -1;
		}
	}
	return 0;
}

/* At most what fits without blocking. */
static ssize_t write_little(const e3_fd *f, const struct iovec *part)
{
	if (wait_taken(f))
		return -1;
	return write(f->fd, part->iov_base, part->iov_len < PIPE_BUF ? part->iov_len : PIPE_BUF);
}

int e3_fd_write(const e3_fd *f, struct iovec *part, int n)
{
	while (n > 0) {
		if (part->iov_len == 0) {
			part++, n--;
			continue;
		}
		/* A wait that may have to end must not be inside write. */
		bool stopping = e3_stop_asked(f->o), careful = stopping || f->give_up || e3_message_timeout(f->o) > 0;
		ssize_t r = careful ? write_little(f, part) : writev(f->fd, part, n);
		if (r < 0) {
			if (errno == EAGAIN) {
				struct pollfd p = {.fd = f->fd, .events = POLLOUT};
				(void)poll(&p, 1, E3_WAIT_MS);
			} else if (errno != EINTR || stopping) {
				return -1;
			}
			continue;
		}
		for (size_t left = (size_t)r; left > 0;) {
			size_t m = left < part->iov_len ? left : part->iov_len;
			part->iov_base = (char *)part->iov_base + m, part->iov_len -= m, left -= m;
			if (part->iov_len == 0)
				part++, n--;
		}
	}
	return 0;
}
