/* e3-model: a file while it comes. Owns PATH.partial and what is known about it, so that a download goes on where it
 * stopped, in this process or in a later one; never mixes two files, and gives the name only to one that is complete.
 */
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "fetch.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int fail_at(const fetch_part *p, e3_err *err) { return e3_fail_sys(err, "writing: %s", p->partial); }

/* --- one process at a time --- */

static void wait_a_moment(void) { nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL); }

/* Is the locked file still the one of that name? Whoever had it may have finished. */
static bool is_named(const fetch_part *p)
{
	struct stat mine, named;
	return fstat(p->fd, &mine) == 0 && stat(p->partial, &named) == 0 && mine.st_dev == named.st_dev &&
		mine.st_ino == named.st_ino;
}

static int lock(fetch_part *p, int (*stop)(void), e3_err *err)
{
	bool told = false;
	for (;;) {
		p->fd = open(p->partial, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (p->fd < 0)
			return fail_at(p, err);
		while (flock(p->fd, LOCK_EX | LOCK_NB)) {
			if (errno != EWOULDBLOCK && errno != EINTR)
				return e3_fail_sys(err, "locking: %s", p->partial);
			if (!told)
				e3_note("%s: another process is fetching it: waiting", p->path);
			told = true;
			if (stop && stop())
				return e3_fail(err, "interrupted");
			wait_a_moment();
		}
		if (is_named(p))
			return told && access(p->path, F_OK) == 0;
		close(p->fd);
	}
}

/* --- what is known about it --- */

static void read_about(fetch_part *p)
{
	FILE *f = fopen(p->about, "r");
	if (!f || fscanf(f, "e3-model fetch 1\nsha256 %64[0-9a-f]\ntag %255[^\n]", p->sha256, p->tag) < 1 ||
		strlen(p->sha256) != 64)
		p->sha256[0] = p->tag[0] = 0;
	if (f)
		fclose(f);
}

static int write_about(const fetch_part *p, e3_err *err)
{
	e3_file f;
	char text[512];
	int n = snprintf(text, sizeof text, "e3-model fetch 1\nsha256 %s\ntag %s\n", p->sha256, p->tag);
	if (e3_file_open(&f, p->about, err))
		return -1;
	if (e3_file_write(&f, text, (size_t)n, err)) {
		e3_file_discard(&f);
		return -1;
	}
	return e3_file_commit(&f, err);
}

int fetch_part_open(fetch_part *p, const char *path, int (*stop)(void), e3_err *err)
{
	struct stat st;
	*p = (fetch_part){.fd = -1};
	if (!(p->path = strdup(path)) || asprintf(&p->partial, "%s.partial", path) < 0 ||
		asprintf(&p->about, "%s.partial.about", path) < 0)
		return e3_fail(err, "fetching: out of memory");
	int rc = lock(p, stop, err);
	if (rc)
		return rc;
	if (fstat(p->fd, &st))
		return fail_at(p, err);
	p->have = st.st_size;
	read_about(p);
	return 0;
}

int fetch_part_restart(fetch_part *p, e3_err *err)
{
	if (ftruncate(p->fd, 0) || lseek(p->fd, 0, SEEK_SET) < 0)
		return fail_at(p, err);
	p->have = 0;
	e3_sha256_init(&p->sum);
	return 0;
}

/* Leaves the descriptor at the end of what is there. */
static int sum_up(fetch_part *p, int (*stop)(void), e3_err *err)
{
	static uint8_t part[1 << 20];
	int64_t all = p->have;
	e3_sha256_init(&p->sum);
	if (lseek(p->fd, 0, SEEK_SET) < 0)
		return fail_at(p, err);
	for (p->have = 0; p->have < all;) {
		ssize_t n = e3_read_full(p->fd, part, sizeof part);
		if (n < 0)
			return e3_fail_sys(err, "reading: %s", p->partial);
		if (n == 0)
			break;
		if (stop && stop())
			return e3_fail(err, "interrupted");
		e3_sha256_add(&p->sum, part, (size_t)n);
		p->have += n;
		e3_progress("checking what is there: %.0f of %.0f MB", 1e-6 * (double)p->have, 1e-6 * (double)all);
	}
	return 0;
}

int fetch_part_expect(fetch_part *p, const fetch_facts *f, int (*stop)(void), e3_err *err)
{
	bool same = strcmp(p->sha256, f->sha256) == 0 && p->have <= f->size;
	if (same && p->sum.n == (uint64_t)p->have && p->have)
		return 0; /* of this process */
	if (same && p->have)
		return sum_up(p, stop, err);
	if (p->have)
		e3_note("%s: is part of another file than the server has now: beginning anew", p->partial);
	memcpy(p->sha256, f->sha256, sizeof p->sha256);
	p->tag[0] = 0;
	return fetch_part_restart(p, err) || write_about(p, err) ? -1 : 0;
}

int fetch_part_tag(fetch_part *p, const char *tag, e3_err *err)
{
	if (strcmp(p->tag, tag) == 0)
		return 0;
	snprintf(p->tag, sizeof p->tag, "%s", tag);
	return write_about(p, err);
}

int fetch_part_add(fetch_part *p, const void *bytes, size_t n, e3_err *err)
{
	if (e3_write_full(p->fd, bytes, n)) {
		e3_err why;
		fail_at(p, &why);
		/* what was written of it counts only with its sum */
		if (ftruncate(p->fd, p->have) || lseek(p->fd, p->have, SEEK_SET) < 0)
			p->sha256[0] = 0;
		return e3_fail(err, "%s", why.text);
	}
	e3_sha256_add(&p->sum, bytes, n);
	p->have += (int64_t)n;
	return 0;
}

int fetch_part_finish(fetch_part *p, const fetch_facts *f, e3_err *err)
{
	char sum[65];
	if (p->have != f->size)
		return e3_fail(err, "%s: %" PRId64 " bytes came, expected %" PRId64, p->partial, p->have, f->size);
	e3_sha256_text(&p->sum, sum);
	if (strcmp(sum, f->sha256) != 0) {
		unlink(p->partial), unlink(p->about);
		return e3_fail(err, "%s: SHA-256 %s, the server says %s: it was damaged on the way, and was removed", p->path,
			sum, f->sha256);
	}
	if (fsync(p->fd) || rename(p->partial, p->path))
		return e3_fail_sys(err, "writing: %s", p->path);
	unlink(p->about);
	return 0;
}

void fetch_part_close(fetch_part *p)
{
	if (p->fd >= 0) {
		if (p->have == 0 && is_named(p)) /* nothing came */
			unlink(p->partial), unlink(p->about);
		close(p->fd);
	}
	free(p->path), free(p->partial), free(p->about);
	*p = (fetch_part){.fd = -1};
}
