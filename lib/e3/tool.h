/* base: how every e3 tool behaves towards its user: messages, progress, signals, exit status (doc/design.md 8, e3(7)).
 *
 * Only code in cmd/ calls this. Exit status: 0 done, 1 failure, 2 usage, 130/143 after SIGINT/SIGTERM.
 */
#ifndef E3_TOOL_H
#define E3_TOOL_H

#include "e3/err.h"
#include <stdbool.h>
#include <stdint.h>

#define E3_VERSION "0.1.0"

/* First line of every main: the name for messages, C locale, SIGPIPE ends us quietly, temporary files removed,
 * SIGINT and SIGTERM to a flag. A second SIGINT or SIGTERM ends the process at once, temporary files removed. */
void e3_tool_init(const char *name);
const char *e3_tool_name(void);

/* Set by -q and -v (e3_opts_parse). */
extern bool e3_quiet, e3_verbose;

/* "tool: text\n" on standard error, in one write, control characters replaced. */
void e3_warn(const char *fmt, ...) E3_PRINTF(1, 2);
void e3_note(const char *fmt, ...) E3_PRINTF(1, 2);   /* unless --quiet */
void e3_detail(const char *fmt, ...) E3_PRINTF(1, 2); /* only with --verbose */

/* The signal that asked us to stop (SIGINT or SIGTERM), or 0. It is what libraries are given as their `stop` callback:
 * they give up waiting when it returns non-zero. */
int e3_stop_signal(void);
/* The reader of our output went away: ends the process by SIGPIPE, as writing to a pipe would; returns when that is
 * ignored. From any thread. */
void e3_tool_broken_pipe(void);

/* The exit status of main: `rc` (0 or -1) with its error printed; after a signal 130 or 143, its work having been
 * finished. */
int e3_tool_exit(int rc, const e3_err *err);

/* One line on standard error, rewritten in place, at most ten times a second, only when that is a terminal and not
 * --quiet. Pass the finished line without newline. e3_progress_end clears it; e3_warn clears it first too. */
void e3_progress(const char *fmt, ...) E3_PRINTF(1, 2);
void e3_progress_end(void);
/* true when e3_progress would show something now: ask before doing work only for it. */
bool e3_progress_due(void);

/* Temporary files to remove if a second signal or an abnormal exit ends the process (used by lib/base/file.c). */
void e3_cleanup_add(const char *path);
void e3_cleanup_drop(const char *path);

#endif
