/* base: what all tools do alike: messages, signals, exit status. */
#include "e3/tool.h"
#include "e3/io.h"
#include "leave.h"
#include "line.h"
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool e3_quiet, e3_verbose, e3_yes;

static const char *tool = "e3";
static _Thread_local const char *about; /* what this thread works on */
static volatile sig_atomic_t stop_signal;
static struct timespec stop_time; /* written before stop_signal, by the handler only */
static bool levels;               /* messages say theirs */

/* A request often comes as several signals at once: timeout(1) sends one to its child and one to the group, a terminal
 * that closes sends its own beside the shell's. Within a second they are one request. */
static void on_signal(int sig)
{
	struct timespec now = {0};
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!stop_signal) {
		stop_time = now;
		stop_signal = sig;
		return;
	}
	double passed = (double)(now.tv_sec - stop_time.tv_sec) + 1e-9 * (double)(now.tv_nsec - stop_time.tv_nsec);
	if (passed < 1)
		return;
	e3_file_leave_unfinished();
	_exit(128 + sig);
}

static void handle_stop_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction stop = {.sa_handler = on_signal}, before; /* no SA_RESTART: blocking reads return */
	for (int k = 0; k < 3; k++)
		sigaddset(&stop.sa_mask, signals[k]);
	for (int k = 0; k < 3; k++)
		if (signals[k] != SIGHUP || (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)) /* nohup */
			sigaction(signals[k], &stop, NULL);
}

/* The reader of standard output went away, somebody typed Ctrl-\, or a scheduler or a timer ends the process in its own
 * way. SA_RESETHAND has restored the default action, so raising the signal again ends the process without a message. */
static void on_end(int sig)
{
	e3_file_leave_unfinished();
	raise(sig);
}

/* A shell that starts a command with & lets it ignore SIGQUIT; SIGPIPE is never ignored. */
static void handle_end_signals(void)
{
	static const int signals[] = {SIGPIPE, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2};
	struct sigaction end = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND}, before;
	for (size_t k = 0; k < sizeof signals / sizeof *signals; k++)
		if (signals[k] == SIGPIPE || (sigaction(signals[k], NULL, &before) == 0 && before.sa_handler != SIG_IGN))
			sigaction(signals[k], &end, NULL);
}

static void on_tell(e3_tell_level level, const char *text)
{
	if (level == E3_TELL_WARN)
		e3_warn("%s", text);
	else if (level == E3_TELL_NOTE)
		e3_note("%s", text);
	else
		e3_detail("%s", text);
}

/* A parent may start the tool without standard input, output or error. The next file opened would get that number, and
 * messages or data would be written into it. /dev/null takes the number instead, opened so that using it fails. */
static void occupy_standard(void)
{
	static const int wrong_way[] = {O_WRONLY, O_RDONLY, O_WRONLY};
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", wrong_way[fd]);
}

void e3_tool_init(const char *name)
{
	tool = name;
	levels = getenv("E3_LEVELS") != NULL;
	occupy_standard();
	e3_status_init();
	e3_tell_to(on_tell);
	setlocale(LC_ALL, "C");
	handle_end_signals();
	e3_leave_init(name);
	handle_stop_signals();
	e3_file_stop_by(e3_stop_signal);
}

const char *e3_tool_name(void) { return tool; }

void e3_tool_about(const char *what) { about = what; }

const char *e3_tool_about_what(void) { return about; }

int e3_stop_signal(void) { return stop_signal; }

void e3_tool_broken_pipe(void)
{
	struct sigaction now;
	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler != SIG_IGN) {
		e3_progress_end();
		kill(getpid(), SIGPIPE); /* the process, not this thread, which may block it */
	}
}

/* The level as sd-daemon(3) has it, for programs that start tools and read their messages. */
enum level { LEVEL_WARNING = 4, LEVEL_NOTE = 5, LEVEL_DETAIL = 7 };

static void say(enum level level, const char *fmt, va_list args)
{
	char line[2048];
	int n = snprintf(line, sizeof line, "%s", e3_line_clear()), from;
	if (levels)
		n += snprintf(line + n, sizeof line - (size_t)n, "<%d>", level);
	from = n;
	n += snprintf(line + n, sizeof line - (size_t)n, "%s: %.400s%s", tool, about ? about : "", about ? ": " : "");
	vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, args);
	e3_text_clean(line + from);
	size_t len = strlen(line);
	line[len++] = '\n';
	(void)!write(STDERR_FILENO, line, len);
}

#define SAY_IF(condition, level) \
	va_list args; \
	if (!(condition)) \
		return; \
	va_start(args, fmt); \
	say(level, fmt, args); \
	va_end(args)

void e3_warn(const char *fmt, ...) { SAY_IF(true, LEVEL_WARNING); }
void e3_note(const char *fmt, ...) { SAY_IF(!e3_quiet, LEVEL_NOTE); }
void e3_detail(const char *fmt, ...) { SAY_IF(e3_verbose && !e3_quiet, LEVEL_DETAIL); }

/* Who stopped it knows that it was interrupted. */
static bool is_known(const e3_err *err)
{
	static const char end[] = ": interrupted";
	size_t n = strlen(err->text), m = sizeof end - 1;
	return stop_signal && n > m && strcmp(err->text + n - m, end) == 0;
}

int e3_tool_exit(int rc, const e3_err *err)
{
	e3_progress_end();
	e3_status_flush();
	if (rc && !is_known(err))
		e3_warn("%s", err->text);
	if (rc || stop_signal)
		e3_folders_leave();
	e3_leave_now();
	if (stop_signal)
		return 128 + stop_signal;
	return rc ? 1 : 0;
}
