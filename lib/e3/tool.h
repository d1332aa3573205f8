/* base: how every e3 tool behaves towards its user: messages, progress, signals, exit status (doc/design.md 8, e3(7)).
 *
 * For main and the other files of a tool; of the library only lib/base and lib/stage include this. Exit status: 0 done,
 * 1 failure, 2 usage, 130/143/129 after SIGINT/SIGTERM/SIGHUP.
 */
#ifndef E3_TOOL_H
#define E3_TOOL_H

#include "e3/err.h"
#include "e3/version.h"
#include <stdbool.h>
#include <stdint.h>

/* Call first in main. Sets the name for messages and the C locale; shows what the library reports (e3_tell). SIGINT,
 * SIGTERM and SIGHUP (unless that was ignored, as under nohup) set e3_stop_signal; more of them within a second are the
 * same request, a later one ends the process at once. SIGPIPE, SIGQUIT, SIGALRM, SIGUSR1 and SIGUSR2 end it without a
 * message, a fault (SIGSEGV and the like) with one. All settle the unfinished files first (e3_file_leave_unfinished).
 */
void e3_tool_init(const char *name);
const char *e3_tool_name(void);
/* Messages of this thread begin with it, after the tool's name; NULL: with what they say. Borrowed. */
void e3_tool_about(const char *what);
const char *e3_tool_about_what(void);

/* Set by -q, -v and -y (e3_opts_parse). e3_yes: what a person would be asked is agreed to. */
extern bool e3_quiet, e3_verbose, e3_yes;

/* "tool: text\n" on standard error, in one write, control characters replaced. */
void e3_warn(const char *fmt, ...) E3_PRINTF(1, 2);
void e3_note(const char *fmt, ...) E3_PRINTF(1, 2);   /* unless --quiet */
void e3_detail(const char *fmt, ...) E3_PRINTF(1, 2); /* only with --verbose */

/* The signal that asked the tool to stop (SIGINT, SIGTERM or SIGHUP), or 0. Tools give it to the library as the `stop`
 * callback: waits end when it returns non-zero. */
int e3_stop_signal(void);
/* For when the reader of the output went away: ends the process by SIGPIPE, as writing to a pipe would; returns when
 * that is ignored. From any thread. */
void e3_tool_broken_pipe(void);

/* The exit status of main for `rc` (0 or -1); prints the error. After a signal 128 + its number, whether or not the
 * work was completed. */
int e3_tool_exit(int rc, const e3_err *err);

/* One line on standard error, rewritten in place, at most ten times a second; nothing when standard error is no
 * terminal, with --quiet, or while another process owns the terminal's line. Pass the line without newline.
 * e3_progress_end clears it; so do e3_warn, e3_note and e3_detail. */
void e3_progress(const char *fmt, ...) E3_PRINTF(1, 2);
void e3_progress_end(void);
/* true when e3_progress would show something now: ask before doing work only for it. */
bool e3_progress_due(void);
/* Asks for the terminal's line before there is progress, so that stages before this one in a pipeline leave it alone.
 */
void e3_progress_claim(void);

/* How far the work is, for the program that started this one and gave it a descriptor (E3_STATUS of e3(7)): words
 * NAME=VALUE with tabs between them, a line of its own, at most ten times a second; the last one is sent when the tool
 * ends, or by e3_status_flush. Nothing without such a program. From one thread. */
void e3_status(const char *fmt, ...) E3_PRINTF(1, 2);
bool e3_status_wanted(void);
void e3_status_flush(void);

#endif
