/* base: how e3 reports failure.
 *
 * Every function that can fail takes an `e3_err *` as its last argument and returns 0 or -1 (or a pointer or NULL). The
 * text reads "doing what: object: reason", in words a user can act on; a tool prints it after its own name. The library
 * neither prints nor exits. The error may be NULL when only success matters.
 */
#ifndef E3_ERR_H
#define E3_ERR_H

typedef struct e3_err {
	char text[1024]; /* NUL-terminated, one line, control characters replaced by '?' */
} e3_err;

#if defined(__GNUC__)
#define E3_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define E3_PRINTF(f, a)
#endif

/* Sets the text and returns -1, so that `return e3_fail(err, ...)` is one line. */
int e3_fail(e3_err *err, const char *fmt, ...) E3_PRINTF(2, 3);

/* The same, with ": strerror(errno)" after it. Reads errno before anything else. */
int e3_fail_sys(e3_err *err, const char *fmt, ...) E3_PRINTF(2, 3);

/* Puts "context: " before the text already there; returns -1. */
int e3_fail_in(e3_err *err, const char *fmt, ...) E3_PRINTF(2, 3);

/* What the library calls a setting, and what the user knows it by: {"'timeout'", "--timeout"}. */
typedef struct e3_err_name {
	const char *setting, *name;
} e3_err_name;

/* Puts names for settings wherever the text has them. The last row of the table has no setting. What no longer fits is
 * cut off at the end of the text. */
void e3_err_rename(e3_err *err, const e3_err_name *table);

/* Reports an event while work continues (a peer went away, a client was refused): one line, from any thread. The
 * function given to e3_tell_to gets it; without one it is dropped. e3_tool_init gives one for the tools. */
typedef enum e3_tell_level { E3_TELL_DETAIL, E3_TELL_NOTE, E3_TELL_WARN } e3_tell_level;
void e3_tell(e3_tell_level level, const char *fmt, ...) E3_PRINTF(2, 3);
void e3_tell_to(void (*listener)(e3_tell_level level, const char *text)); /* NULL: none */

/* Replaces control bytes by '?', in place: for text from a file or a peer that is going to be printed. */
void e3_text_clean(char *text);

#endif
