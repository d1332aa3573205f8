/* wire: reads and writes on descriptors that return when the caller asks to stop. */
#ifndef E3_WIRE_FD_H
#define E3_WIRE_FD_H

#include "settings.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* A larger pipe, where the system has one: fewer switches between the stages. */
void e3_fd_enlarge(int fd);
/* A descriptor and how waiting for it ends. */
typedef struct e3_fd {
	int fd;
	const e3_stream_options *o;
	bool regular;               /* a file: reading does not wait */
	const atomic_bool *give_up; /* writing ends when this is set; NULL for none */
} e3_fd;

/* Up to n bytes, fewer only at end of file; -1 with errno: EINTR when asked to stop, ETIMEDOUT after the timeout
 * without a byte, EPIPE when the output was lost meanwhile (e3_output_lost). */
ssize_t e3_fd_read(const e3_fd *f, void *to, size_t n);
/* All parts (which are changed): 0, or -1 with errno. Once asked to stop, a reader that takes nothing for 5 s ends it
 * (EINTR); the timeout without taking a byte, and *give_up, end it with ETIMEDOUT. */
int e3_fd_write(const e3_fd *f, struct iovec *part, int n);
/* Is there something to read, or will there be in a moment? */
bool e3_fd_ready(int fd);
/* Has the reader of a pipe or socket gone? */
bool e3_fd_hung_up(int fd);
/* A pipe's reader is there and has not taken all that was written; false for what is no pipe. */
bool e3_fd_unread(int fd);

#endif
