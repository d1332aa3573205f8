/* wire: interruptible reads and writes on descriptors. Owns the waiting; e3_stop_signal ends a wait within E3_WAIT_MS. */
#include "fd.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20, STUCK_SECONDS = 5 };

void e3_fd_enlarge(int fd)
{
#ifdef F_SETPIPE_SZ
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* not a pipe, or not allowed: works as it is */
#endif
}

ssize_t e3_fd_read(int fd, bool regular, void *to, size_t n)
{
	size_t got = 0;
	while (got < n) {
		if (!regular) {
			struct pollfd p = {.fd = fd, .events = POLLIN};
			int ready = poll(&p, 1, E3_WAIT_MS);
			if (e3_stop_signal()) {
				errno = EINTR;
				return -1;
			}
			if (ready <= 0)
				continue;
		}
		ssize_t r = read(fd, (char *)to + got, n - got);
		if (r > 0)
			got += (size_t)r;
		else if (r == 0)
			break;
		else if (errno != EINTR && errno != EAGAIN)
			return -1;
	}
	return (ssize_t)got;
}

/* After a stop signal: at most what fits without blocking, when the reader takes something in time. */
static ssize_t write_little(int fd, const struct iovec *part)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	double until = e3_now() + STUCK_SECONDS;
	while (poll(&p, 1, E3_WAIT_MS) <= 0)
		if (e3_now() > until) {
			errno = EINTR;
			return -1;
		}
	return write(fd, part->iov_base, part->iov_len < PIPE_BUF ? part->iov_len : PIPE_BUF);
}

int e3_fd_write(int fd, struct iovec *part, int n)
{
	while (n > 0) {
		if (part->iov_len == 0) {
			part++, n--;
			continue;
		}
		bool stopping = e3_stop_signal() != 0;
		ssize_t r = stopping ? write_little(fd, part) : writev(fd, part, n);
		if (r < 0) {
			if (errno == EAGAIN) {
				struct pollfd p = {.fd = fd, .events = POLLOUT};
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
