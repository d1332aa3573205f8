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

/* Opens for reading, a FIFO without waiting for its writer: poll waits for that too, and can be ended. -1 with errno.
 */
int e3_open_input(const char *path);

/* An output file that appears under its name when it is complete. Owner: the caller; zero-initialised is closed. */
typedef struct e3_file {
	FILE *f;              /* write here; seeking allowed. NULL when closed */
	int fd;               /* the descriptor under f, for writing without stdio */
	char *path;           /* as it was asked for; "-" is standard output (nothing is renamed, no seeking promised) */
	char *target;         /* the file that path leads to through links; NULL when it is written in place */
	char *temp, *partial; /* target.tmp.PID while writing, target.partial if only a part stays; NULL in place */
	struct e3_unfinished *listed; /* for e3_file_leave_unfinished */
} e3_file;

/* Opens TARGET.tmp.PID beside TARGET, the file that PATH leads to: a link stays a link. e3_file_commit gives it its
 * name; e3_file_discard removes it. Waits while another process writes the same temporary file, and says so; ends by
 * e3_file_stop_by. Pipes and devices are written in place; a folder is refused. Missing folders are created. */
int e3_file_open(e3_file *file, const char *path, e3_err *err);
/* The same; waits `seconds` at most, 0: as long as it takes. */
int e3_file_open_within(e3_file *file, const char *path, double seconds, e3_err *err);
/* What ends the wait: not 0 when the process was asked to stop (e3_tool_init gives it). */
void e3_file_stop_by(int (*stop)(void));
/* e3_file_open after e3_file_sweep, for files that are useless when incomplete. */
int e3_file_renew(e3_file *file, const char *path, e3_err *err);
/* Removes the PATH.tmp.PID files that killed processes left. A file that a process is writing is locked, and stays. */
void e3_file_sweep(const char *path);

/* From now on what was written is worth something without the rest: e3_file_leave_unfinished keeps it. */
void e3_file_worth(e3_file *file);
/* Closes a file that will not be complete and keeps it as TARGET.partial, in place of an earlier one (if that cannot be
 * replaced: under its temporary name). *name is its name then, to be freed. -1: nothing is left behind. Not for files
 * that are written in place. */
int e3_file_keep(e3_file *file, char **name, e3_err *err);
/* All e3_files that are open, when a signal handler ends the process (async-signal-safe): those worth it become
 * TARGET.partial, the others are removed. */
void e3_file_leave_unfinished(void);
/* Flushes, closes (both checked: a full disk is an error) and renames. On failure nothing is left behind. */
int e3_file_commit(e3_file *file, e3_err *err);
/* The same, and both the bytes and the name are on disk when it returns: even a power failure leaves either the old
 * file or the whole new one. */
int e3_file_commit_durable(e3_file *file, e3_err *err);
/* Closes and removes; safe on a closed file. */
void e3_file_discard(e3_file *file);
/* Room on the disk for what is going to be written, where the size is known: a full disk, quota or limit is an error
 * now and not at the end. Where that cannot be told, nothing happens. */
int e3_file_reserve(e3_file *file, uint64_t bytes, e3_err *err);
/* The path, or "standard output": for messages. */
const char *e3_file_name(const e3_file *file);
/* fwrite of n bytes, checked, naming the path. */
int e3_file_write(e3_file *file, const void *from, size_t n, e3_err *err);

/* A nameless temporary file (in $TMPDIR, else /tmp) for spooling; closed by fclose. NULL on failure. */
FILE *e3_spool(e3_err *err);
/* fwrite and fread of n bytes of it, checked. */
int e3_spool_write(FILE *f, const void *from, size_t n, e3_err *err);
int e3_spool_read(FILE *f, void *to, size_t n, e3_err *err);
/* After a write that failed: what is after the first n bytes, which are on disk, is gone, and f can be used again. */
int e3_spool_cut(FILE *f, uint64_t n, e3_err *err);

/* A read-only memory map of a whole regular file. An empty file maps to data = NULL, size = 0. */
typedef struct e3_map {
	const uint8_t *data;
	size_t size;
} e3_map;

int e3_map_open(e3_map *map, const char *path, e3_err *err);
void e3_map_close(e3_map *map);

/* --- folders.c --- */

/* Creates a directory and its parents; one that exists is fine, and so is a link to one, or to one that is missing and
 * created. */
int e3_mkdirs(const char *path, e3_err *err);
/* The same for the folder that a file is to be in; one that this process made before and that is gone is an error. */
int e3_mkdirs_for(const char *path, e3_err *err);
/* Removes the folders that this process created and that are empty: for a run that failed or was ended
 * (async-signal-safe). */
void e3_folders_leave(void);

/* cache_dir.c: the path of a file in the user's cache folder ($XDG_CACHE_HOME/e3, else ~/.cache/e3), or that folder for
 * NULL. Need not exist. To be freed. */
int e3_cache_path(const char *name, char **path, e3_err *err);

/* 0 when standard output may carry binary data; -1 "is a terminal" otherwise. */
int e3_refuse_terminal(int fd, e3_err *err);

#endif
