/* wire: where bytes of a stream go: standard output, a file, a FIFO, a ZeroMQ socket. Blocking; one thread at a time.
 */
#ifndef E3_WIRE_WRITER_H
#define E3_WIRE_WRITER_H

#include "e3/io.h"
#include "endpoint.h"
#include "zmq.h"

typedef struct e3_writer {
	char *name; /* for messages */
	e3_stream_options o;
	int fd;
	e3_file file; /* paths; closed for standard output */
	off_t whole;  /* of such a file: bytes of whole messages */
	e3_zmq *zmq;  /* or this */
	char *fifo;   /* opened when it has a reader (e3_writer_open_copy); NULL then */
	bool pipe;    /* fd is a pipe or a socket: its reader can go away */
	bool broken;  /* a message was cut short: nothing more can be said here */
	atomic_bool reader_gone;
	const atomic_bool *give_up; /* NULL: waits as long as it takes */
} e3_writer;

/* `copy`: a FIFO without a reader does not hold up opening, but the first write. */
int e3_writer_open(e3_writer *s, const e3_endpoint *ep, const e3_stream_options *o, bool copy, e3_err *err);
/* Ends waits from another thread, once the flag is set. */
void e3_writer_give_up_on(e3_writer *s, const atomic_bool *flag);
/* One message of n parts (which are changed). -1: "writing: name: reason", and the writer is broken. */
int e3_writer_send(e3_writer *s, struct iovec *part, int n, e3_err *err);
/* The same for an abort: short waits, no SIGPIPE, no error. */
void e3_writer_send_quietly(e3_writer *s, struct iovec *part, int n);
/* After the last message: checked; a file appears under its name. */
int e3_writer_finish(e3_writer *s, e3_err *err);
/* A regular file, which appears when it is finished. */
bool e3_writer_appears(const e3_writer *s);
/* Of such a file: takes back what was written of a message that failed, so that another can be written. 0 or -1. */
int e3_writer_back(e3_writer *s);
/* Of such a file: closes it under the name of a file that is cut short, which is *name, to be freed. */
int e3_writer_keep(e3_writer *s, char **name, e3_err *err);
/* Has its reader gone? 0 or -1; a pipe's is also remembered in reader_gone. From any thread. */
int e3_writer_lost(e3_writer *s, e3_err *err);
/* A pipe whose reader still has something to take: what is written now waits behind that. */
bool e3_writer_unread(const e3_writer *s);
/* Closes; a file that is not finished does not appear. */
void e3_writer_release(e3_writer *s);

#endif
