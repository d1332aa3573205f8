/* wire: where bytes of a stream go: standard output, a file, a FIFO, a ZeroMQ socket. Blocking; one thread at a time.
 */
#ifndef E3_WIRE_SINK_H
#define E3_WIRE_SINK_H

#include "e3/io.h"
#include "endpoint.h"
#include "zmq.h"

typedef struct e3_sink {
	char *name; /* for messages */
	int fd;
	e3_file file; /* paths; closed for standard output */
	e3_zmq *zmq;  /* or this */
	char *fifo;   /* opened when it has a reader (e3_sink_open_copy); NULL then */
	bool pipe;    /* fd is a pipe or a socket: its reader can go away */
	bool broken;  /* a message was cut short: nothing more can be said here */
	atomic_bool reader_gone;
	const atomic_bool *give_up; /* NULL: waits as long as it takes */
} e3_sink;

/* `copy`: a FIFO without a reader does not hold up opening, but the first write. */
int e3_sink_open(e3_sink *s, const e3_endpoint *ep, bool copy, e3_err *err);
/* Ends waits from another thread, once the flag is set. */
void e3_sink_give_up_on(e3_sink *s, const atomic_bool *flag);
/* One message of n parts (which are changed). -1: "writing: name: reason", and the sink is broken. */
int e3_sink_send(e3_sink *s, struct iovec *part, int n, e3_err *err);
/* The same for an abort: short waits, no SIGPIPE, no error. */
void e3_sink_send_quietly(e3_sink *s, struct iovec *part, int n);
/* After the last message: checked; a file appears under its name. */
int e3_sink_finish(e3_sink *s, e3_err *err);
/* Has its reader gone? 0 or -1; a pipe's is also remembered in reader_gone. From any thread. */
int e3_sink_lost(e3_sink *s, e3_err *err);
/* A pipe whose reader still has something to take: what is written now waits behind that. */
bool e3_sink_unread(const e3_sink *s);
/* Closes; a file that is not finished does not appear. */
void e3_sink_release(e3_sink *s);

#endif
