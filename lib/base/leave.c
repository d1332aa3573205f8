/* base: how a process ends. Owns what happens when a library ends it (exit, abort), when a file would become larger
 * than allowed, and that no library's code runs when main has returned.
 *
 * Libraries answer a lack of memory, descriptors or threads in ways of their own: OpenBLAS calls exit, or waits for
 * ever in its destructor; libzmq and the C++ library abort. The user of a tool sees a message and exit status 1 in all
 * cases. A fault of the program itself ends it as it would anyway, but it says so and leaves no unfinished file. */
#include "leave.h"
#include "e3/io.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* they report when the process ends, and start before everything else */
#else
enum { SANITIZED = 0 };
#endif

static char text[192];
static volatile sig_atomic_t leaving;

static void say_of_itself(const char *why)
{
	(void)!write(STDERR_FILENO, text, strcspn(text, ":"));
	(void)!write(STDERR_FILENO, why, strlen(why));
}

/* The soft limit of CPU time; at the hard one the kernel kills. */
static void on_cpu_limit(int sig)
{
	(void)sig;
	say_of_itself(": ended: the limit of CPU time is reached (ulimit -t)\n");
	e3_file_leave_unfinished();
	_exit(1);
}

static void say(void) { (void)!write(STDERR_FILENO, text, strlen(text)); }

static void on_abort(int sig)
{
	(void)sig;
	say();
	e3_file_leave_unfinished();
	_exit(1);
}

/* A mapped file that was cut while it is read is the only one of these that is not a fault of the program. */
static void on_fault(int sig, siginfo_t *info, void *none)
{
	(void)none;
	bool cut = sig == SIGBUS && info->si_code == BUS_ADRERR;
	say_of_itself(cut
			? ": ended: a file that is being read, such as the model, was replaced or cut, or its disk failed\n"
			: ": ended by a fault of the program: please report what it was doing\n");
	e3_file_leave_unfinished();
	if (cut)
		_exit(1);
	raise(sig); /* SA_RESETHAND: the default action */
}

static void handle_faults(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	static char stack[1 << 16];
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND)};
	sigaltstack(&own, NULL);
	for (size_t k = 0; k < sizeof signals / sizeof *signals; k++)
		sigaction(signals[k], &fault, NULL);
}

/* Runs before the destructors of libraries. Another thread may hold a stream for as long as its reader takes no data:
 * what was written through it is not this thread's to flush. */
static void on_end(int status, void *none)
{
	(void)none;
	if (!leaving && status != 2) { /* 2: an error of the command line */
		say();
		e3_file_leave_unfinished();
		status = 1;
	}
	FILE *const ours[] = {stdout, stderr};
	for (int k = 0; k < 2; k++)
		if (ftrylockfile(ours[k]) == 0) {
			(void)fflush(ours[k]);
			funlockfile(ours[k]);
		}
	_exit(status);
}

void e3_leave_init(const char *tool)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, aborted = {.sa_handler = on_abort},
					 late = {.sa_handler = on_cpu_limit};
	sigaction(SIGXFSZ, &ignore, NULL); /* write reports it */
	snprintf(text, sizeof text,
		"%s: ended by a library, whose message may be above: out of memory, descriptors or threads (ulimit -a)?\n",
		tool);
	sigaction(SIGXCPU, &late, NULL);
	if (SANITIZED)
		return;
	handle_faults();
	sigaction(SIGABRT, &aborted, NULL);
	on_exit(on_end, NULL);
}

void e3_leave_now(void) { leaving = 1; }

/* OpenBLAS, which FFmpeg and SuiteSparse bring too, starts a thread for each processor when it is loaded. They never
 * run, since e3 has a pool of its own; and where threads or memory are limited, OpenBLAS sends the process SIGINT
 * before main begins. Only its variable prevents them. So the variable is in the environment while libraries are
 * loaded, in the place of one that no library reads then; there is no other place, and nothing can be allocated so
 * early. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static char one_thread[] = "OPENBLAS_NUM_THREADS=1";
static char *hidden;

static void before_libraries(int argc, char **argv, char **envp)
{
	static const char *const unread[] = {"_=", "OLDPWD=", "SHLVL=", "PWD=", "HOSTNAME=", "INVOCATION_ID=", "LOGNAME=",
		"SHELL=", "HOME=", "PATH="};
	char **place = NULL;
	(void)argc, (void)argv;
	for (char **e = envp; *e; e++)
		if (strncmp(*e, one_thread, sizeof one_thread - 2) == 0)
			return;
	for (size_t k = 0; !place && k < sizeof unread / sizeof *unread; k++)
		for (char **e = envp; !place && *e; e++)
			place = strncmp(*e, unread[k], strlen(unread[k])) == 0 ? e : NULL;
	if (!place)
		return;
	hidden = *place;
	*place = one_thread;
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = before_libraries;

__attribute__((constructor)) static void after_libraries(void)
{
	for (char **e = environ; hidden && e && *e; e++)
		if (*e == one_thread)
			*e = hidden;
}
#endif
