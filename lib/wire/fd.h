/* wire: descriptors that can be interrupted: reads and writes that return when a signal asked to stop. */
#ifndef E3_WIRE_FD_H
#define E3_WIRE_FD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { E3_WAIT_MS = 200 }; /* longest time before a stop signal is noticed */

/* A larger pipe, where the system has one: fewer switches between the stages. */
void e3_fd_enlarge(int fd);
/* Up to n bytes, fewer only at end of file; -1 with errno: EINTR when a signal asked to stop, ETIMEDOUT after --timeout
 * without a byte, EPIPE when an output was lost meanwhile (e3_out_lost). `regular` files need no waiting. */
ssize_t e3_fd_read(int fd, bool regular, void *to, size_t n);
/* All parts (which are changed): 0, or -1 with errno. After a stop signal a reader that takes nothing for 5 s ends it
 * (EINTR);
 * --timeout without taking a byte, and *give_up (NULL for none), end it with ETIMEDOUT. */
int e3_fd_write(int fd, struct iovec *part, int n, const atomic_bool *give_up);
/* Has the reader of a pipe or socket gone? */
bool e3_fd_hung_up(int fd);
/* A pipe's reader is there and has not taken all that was written; false for what is no pipe. */
bool e3_fd_unread(int fd);

#endif
