/* base: checked input and output on descriptors and files.
 *
 * EINTR and short counts are handled here, once. Output files appear whole or not at all: they are written under a
 * temporary name in the same directory and renamed by e3_file_commit.
 */
#ifndef E3_IO_H
#define E3_IO_H

#include "e3/err.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Reads until n bytes or end of file: the count read (< n only at end of file), or -1 with errno set. */
ssize_t e3_read_full(int fd, void *to, size_t n);
/* Writes all n bytes: 0, or -1 with errno set. */
int e3_write_full(int fd, const void *from, size_t n);

/* An output file that appears under its name when it is complete. Owner: the caller; zero-initialised is closed. */
typedef struct e3_file {
	FILE *f;    /* write here; seeking allowed. NULL when closed */
	int fd;     /* the descriptor under f, for writing without stdio */
	char *path; /* final name; "-" is standard output (nothing is renamed, no seeking promised) */
	char *temp; /* name while writing; NULL for standard output */
} e3_file;

/* Opens PATH.tmp.PID beside PATH. e3_file_commit gives it its name; e3_file_discard removes it. */
int e3_file_open(e3_file *file, const char *path, e3_err *err);
/* The same after e3_file_sweep, for files that are useless when incomplete. */
int e3_file_renew(e3_file *file, const char *path, e3_err *err);
/* Removes the PATH.tmp.PID files that killed processes left. A file that a process is writing is locked, and stays. */
void e3_file_sweep(const char *path);
/* Removes the temporary files of all open e3_files: for a signal handler that ends the process (async-signal-safe). */
void e3_file_remove_unfinished(void);
/* Flushes, closes (both checked: a full disk is an error) and renames. On failure nothing is left behind. */
int e3_file_commit(e3_file *file, e3_err *err);
/* The same, and both the bytes and the name are on disk when it returns: even a power failure leaves either the old
 * file or the whole new one. */
int e3_file_commit_durable(e3_file *file, e3_err *err);
/* Closes and removes; safe on a closed file. */
void e3_file_discard(e3_file *file);
/* fwrite of n bytes, checked, naming the path. */
int e3_file_write(e3_file *file, const void *from, size_t n, e3_err *err);

/* A nameless temporary file (in $TMPDIR, else /tmp) for spooling; closed by fclose. NULL on failure. */
FILE *e3_spool(e3_err *err);
/* fwrite and fread of n bytes of it, checked. */
int e3_spool_write(FILE *f, const void *from, size_t n, e3_err *err);
int e3_spool_read(FILE *f, void *to, size_t n, e3_err *err);

/* A read-only memory map of a whole regular file. An empty file maps to data = NULL, size = 0. */
typedef struct e3_map {
	const uint8_t *data;
	size_t size;
} e3_map;

int e3_map_open(e3_map *map, const char *path, e3_err *err);
void e3_map_close(e3_map *map);

/* Creates a directory and its parents; one that exists is fine. */
int e3_mkdirs(const char *path, e3_err *err);

/* 0 when standard output may carry binary data; -1 "is a terminal" otherwise. */
int e3_refuse_terminal(int fd, e3_err *err);

#endif
