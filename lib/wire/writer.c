/* wire: where bytes of a stream go. Owns the descriptor, file or socket; refuses terminals. */
#include "writer.h"
#include "fd.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int use_fd(e3_writer *s, int fd, e3_err *err)
{
	struct stat st;
	s->fd = fd;
	if (e3_refuse_terminal(fd, err))
		return -1;
	s->pipe = fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
	e3_fd_enlarge(fd);
	return 0;
}

static int open_path(e3_writer *s, const char *path, bool copy, e3_err *err)
{
	struct stat st;
	if (copy && stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) {
		s->fifo = strdup(path);
		return s->fifo ? 0 : e3_fail(err, "opening: %s: out of memory", path);
	}
	return e3_file_open_within(&s->file, path, e3_message_timeout(&s->o), err) || use_fd(s, s->file.fd, err) ? -1 : 0;
}

int e3_writer_open(e3_writer *s, const e3_endpoint *ep, const e3_stream_options *o, bool copy, e3_err *err)
{
	*s = (e3_writer){.fd = -1, .o = *o};
	s->name = strdup(ep->type == E3_EP_STD ? "standard output" : ep->text);
	if (!s->name)
		return e3_fail(err, "opening: %s: out of memory", ep->text);
	if (ep->type == E3_EP_STD)
		return use_fd(s, STDOUT_FILENO, err);
	if (ep->type == E3_EP_PATH)
		return open_path(s, ep->text, copy, err);
	s->zmq = e3_zmq_open(ep, o, false, err);
	return s->zmq ? 0 : e3_fail_in(err, "opening: %s", s->name);
}

void e3_writer_give_up_on(e3_writer *s, const atomic_bool *flag)
{
	s->give_up = flag;
	if (s->zmq)
		e3_zmq_give_up_on(s->zmq, flag);
}

/* A FIFO is opened once it has a reader; until then a non-blocking open fails with ENXIO. */
static int open_fifo(e3_writer *s, e3_err *err)
{
	int probe;
	while ((probe = open(s->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
		if (errno != ENXIO)
			return e3_fail_sys(err, "opening: %s", s->name);
		if (e3_stop_asked(&s->o) || (s->give_up && atomic_load(s->give_up)))
			return e3_fail(err, "opening: %s: no process reads it", s->name);
		(void)poll(NULL, 0, E3_WAIT_MS / 4);
	}
	int rc = e3_file_open(&s->file, s->fifo, err) || use_fd(s, s->file.fd, err) ? -1 : 0;
	close(probe);
	free(s->fifo);
	s->fifo = NULL;
	return rc;
}

static int send_zmq(e3_writer *s, const struct iovec *part, int n, int wait_ms, e3_err *err)
{
	if (e3_zmq_send(s->zmq, part, n, wait_ms, err) == 0)
		return 0;
	s->broken = true;
	return e3_fail_in(err, "writing: %s", s->name);
}

int e3_writer_send(e3_writer *s, struct iovec *part, int n, e3_err *err)
{
	off_t bytes = 0;
	if (s->zmq)
		return send_zmq(s, part, n, -1, err);
	if (s->fifo && open_fifo(s, err)) {
		s->broken = true;
		return -1;
	}
	for (int k = 0; k < n; k++)
		bytes += (off_t)part[k].iov_len;
	if (e3_fd_write(&(e3_fd){.fd = s->fd, .o = &s->o, .give_up = s->give_up}, part, n) == 0) {
		s->whole += bytes;
		return 0;
	}
	s->broken = true;
	s->reader_gone = errno == EPIPE;
	if (errno == EINTR)
		return e3_fail(err, "writing: %s: interrupted while the reader accepts no data", s->name);
	if (errno == ETIMEDOUT)
		return e3_fail(err, "writing: %s: the reader accepts no data ('timeout')", s->name);
	return e3_fail_sys(err, "writing: %s", s->name);
}

/* The caller reports its own error: a lost reader must not end the process, nor delay it for long. */
void e3_writer_send_quietly(e3_writer *s, struct iovec *part, int n)
{
	enum { SEND_MS = 1000, TAKE_MS = 5000 };
	sigset_t pipe_set, before;
	if (s->broken || s->fifo)
		return; /* no reader yet */
	if (s->zmq) {
		if (send_zmq(s, part, n, SEND_MS, NULL) == 0)
			e3_zmq_finish(s->zmq, TAKE_MS, NULL);
		return;
	}
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
	e3_writer_send(s, part, n, NULL);
	if (s->reader_gone && !sigismember(&before, SIGPIPE))
		(void)sigtimedwait(&pipe_set, NULL, &(struct timespec){0});
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Standard output is not ours to close, but closing a copy of it reports what writing left unsaid. */
int e3_writer_finish(e3_writer *s, e3_err *err)
{
	if (s->zmq)
		return e3_zmq_finish(s->zmq, -1, err) ? e3_fail_in(err, "closing: %s", s->name) : 0;
	if (s->file.f)
		return e3_file_commit(&s->file, err);
	int copy = dup(s->fd);
	if (copy < 0 || close(copy))
		return e3_fail_sys(err, "closing: %s", s->name);
	return 0;
}

bool e3_writer_appears(const e3_writer *s) { return s->file.temp; }

int e3_writer_back(e3_writer *s)
{
	s->broken = ftruncate(s->fd, s->whole) || lseek(s->fd, s->whole, SEEK_SET) < 0;
	return s->broken ? -1 : 0;
}

int e3_writer_keep(e3_writer *s, char **name, e3_err *err) { return e3_file_keep(&s->file, name, err); }

bool e3_writer_unread(const e3_writer *s) { return s->pipe && !s->fifo && e3_fd_unread(s->fd); }

int e3_writer_lost(e3_writer *s, e3_err *err)
{
	if (s->zmq)
		return e3_zmq_lost(s->zmq, err) ? e3_fail_in(err, "writing: %s", s->name) : 0;
	if (!s->pipe || !e3_fd_hung_up(s->fd))
		return 0;
	s->reader_gone = true;
	errno = EPIPE;
	return e3_fail_sys(err, "writing: %s", s->name);
}

void e3_writer_release(e3_writer *s)
{
	e3_zmq_close(s->zmq);
	e3_file_discard(&s->file);
	free(s->fifo);
	free(s->name);
	*s = (e3_writer){.fd = -1};
}
