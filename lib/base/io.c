/* base: descriptors: full reads and writes, memory maps, directories, spools. */
#include "e3/io.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	(void)poll(&p, 1, -1);
}

ssize_t e3_read_full(int fd, void *to, size_t n)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = read(fd, (char *)to + got, n - got);
		if (r > 0)
			got += (size_t)r;
		else if (r == 0)
			break;
		else if (errno == EAGAIN)
			wait_for(fd, POLLIN);
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t)got;
}

int e3_write_full(int fd, const void *from, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = write(fd, (const char *)from + done, n - done);
		if (r >= 0)
			done += (size_t)r;
		else if (errno == EAGAIN)
			wait_for(fd, POLLOUT);
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

int e3_open_input(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return fd;
}

FILE *e3_spool(e3_err *err)
{
	const char *set = getenv("TMPDIR"), *dir = set && *set ? set : "/tmp";
	char path[4096];
	snprintf(path, sizeof path, "%s/e3-spool-XXXXXX", dir);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		e3_fail_sys(err, "creating a temporary file in %s (TMPDIR chooses where)", dir);
		return NULL;
	}
	unlink(path);
	FILE *f = fdopen(fd, "w+");
	if (!f) {
		e3_fail_sys(err, "creating a temporary file in %s (TMPDIR chooses where)", dir);
		close(fd);
	}
	return f;
}

int e3_spool_write(FILE *f, const void *from, size_t n, e3_err *err)
{
	return fwrite(from, 1, n, f) == n ? 0 : e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
}

int e3_spool_read(FILE *f, void *to, size_t n, e3_err *err)
{
	if (fread(to, 1, n, f) == n)
		return 0;
	return ferror(f) ? e3_fail_sys(err, "reading a temporary file")
					 : e3_fail(err, "reading a temporary file: it ends early");
}

int e3_spool_cut(FILE *f, uint64_t n, e3_err *err)
{
	__fpurge(f); /* it would be written again, and fail again */
	clearerr(f);
	return ftruncate(fileno(f), (off_t)n) || fseeko(f, (off_t)n, SEEK_SET)
		? e3_fail_sys(err, "shortening a temporary file")
		: 0;
}

int e3_map_open(e3_map *map, const char *path, e3_err *err)
{
	struct stat st;
	*map = (e3_map){0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return e3_fail_sys(err, "opening: %s", path);
	int rc = 0;
	if (fstat(fd, &st))
		rc = e3_fail_sys(err, "reading the size: %s", path);
	else if (!S_ISREG(st.st_mode))
		rc = e3_fail(err, "opening: %s: not a regular file", path);
	else if (st.st_size > 0) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			rc = e3_fail_sys(err, "mapping: %s", path);
		else
			*map = (e3_map){p, (size_t)st.st_size};
	}
	close(fd);
	return rc;
}

void e3_map_close(e3_map *map)
{
	if (map->data)
		munmap((void *)(uintptr_t)map->data, map->size);
	*map = (e3_map){0};
}

int e3_refuse_terminal(int fd, e3_err *err)
{
	if (isatty(fd))
		return e3_fail(err, "writing: standard output: is a terminal; send the binary stream to a pipe or a file");
	return 0;
}
