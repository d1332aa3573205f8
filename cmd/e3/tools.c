/* e3: the stages as programs. Owns where they are found, and what they say of their options. */
#include "e3/tool.h"
#include "one.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int one_words_add(one_words *w, const char *word, e3_err *err)
{
	char **grown = realloc(w->at, ((size_t)w->n + 2) * sizeof *grown);
	if (grown)
		w->at = grown, w->at[w->n + 1] = NULL, w->at[w->n] = strdup(word);
	if (!grown || !w->at[w->n])
		return e3_fail(err, "a command line: out of memory");
	w->n++;
	return 0;
}

int one_words_printf(one_words *w, e3_err *err, const char *fmt, ...)
{
	char *text;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		return e3_fail(err, "a command line: out of memory");
	int rc = one_words_add(w, text, err);
	free(text);
	return rc;
}

void one_words_release(one_words *w)
{
	for (int k = 0; k < w->n; k++)
		free(w->at[k]);
	free(w->at);
	*w = (one_words){0};
}

const char *one_tool_name(int stage)
{
	static const char *const names[ONE_STAGES] = {"e3-decode", "e3-mask", "e3-infer", "e3-align", "e3-cat",
		"e3-evict-stats", "e3-view", "e3-export"};
	return names[stage];
}

/* The first in PATH; false: none. */
static bool in_path(const char *name, char to[PATH_MAX])
{
	for (const char *p = getenv("PATH"); p && *p;) {
		size_t n = strcspn(p, ":");
		snprintf(to, PATH_MAX, "%.*s%s%s", (int)n, p, n ? "/" : "", name);
		struct stat st;
		if (access(to, X_OK) == 0 && stat(to, &st) == 0 && S_ISREG(st.st_mode))
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *one_tool_path(const char *name, e3_err *err)
{
	char beside[PATH_MAX + 64] = "", path[PATH_MAX], self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n > 0) {
		self[n] = 0;
		snprintf(beside, sizeof beside, "%.*s/%s", (int)(strrchr(self, '/') - self), self, name);
	}
	bool found = in_path(name, path), here = access(beside, X_OK) == 0;
	char *to = here && !(found && same_file(beside, path)) ? strdup(beside) : here || found ? strdup(name) : NULL;
	if (!here && !found)
		e3_fail(err, "starting %s: it is neither beside e3 nor in PATH: is e3 installed whole?", name);
	else if (!to)
		e3_fail(err, "starting %s: out of memory", name);
	return to;
}

static void become(char *const argv[], int out, bool both)
{
	dup2(out, STDOUT_FILENO);
	if (both)
		dup2(out, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

int one_tool_ask(char *const argv[], bool both, char *to, size_t size, e3_err *err)
{
	int fd[2], status = 0;
	size_t n = 0;
	char rest[4096];
	*to = 0;
	if (pipe(fd))
		return e3_fail_sys(err, "starting %s", argv[0]);
	pid_t pid = fork();
	if (pid == 0)
		become(argv, fd[1], both);
	close(fd[1]);
	for (ssize_t r = 1; pid > 0 && r != 0;) {
		bool full = n + 1 >= size;
		r = read(fd[0], full ? rest : to + n, full ? sizeof rest : size - 1 - n);
		if (r < 0 && errno != EINTR)
			break;
		n += !full && r > 0 ? (size_t)r : 0;
	}
	to[n] = 0;
	close(fd[0]);
	if (pid < 0)
		return e3_fail_sys(err, "starting %s", argv[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* "name<tab>letter<tab>argument<tab>..." */
static void take_line(const char *line, one_option *o)
{
	const char *tab = strchr(line, '\t'), *next = tab ? strchr(tab + 1, '\t') : NULL;
	*o = (one_option){0};
	if (!next)
		return;
	snprintf(o->name, sizeof o->name, "%.*s", (int)(tab - line), line);
	o->letter = tab[1] == '-' ? 0 : tab[1];
	o->takes = strncmp(next + 1, "-\t", 2) != 0;
}

const one_option *one_tool_options(int stage, int *n, e3_err *err)
{
	enum { MOST = 128, BYTES = 1 << 16 };
	static one_option list[ONE_STAGES][MOST];
	static int count[ONE_STAGES];
	*n = count[stage];
	if (*n)
		return list[stage];
	char *path = one_tool_path(one_tool_name(stage), err), *text = path ? malloc(BYTES) : NULL;
	char *const argv[] = {path, (char *)(uintptr_t) "--list-options", NULL};
	*n = -1;
	int rc = text ? one_tool_ask(argv, false, text, BYTES, err) : -1;
	if (rc == 0) {
		*n = 0;
		for (char *save, *line = strtok_r(text, "\n", &save); line && *n < MOST; line = strtok_r(NULL, "\n", &save))
			take_line(line, &list[stage][(*n)++]);
		count[stage] = *n;
	} else if (path) {
		e3_fail(err,
			e3_stop_signal() ? "starting %s: interrupted"
				: rc == 127  ? "starting %s: it does not run: is a library missing, or a limit too low (ulimit -a)?"
							 : "starting %s: it does not list its options: is it of another version?",
			path);
	}
	free(path), free(text);
	return list[stage];
}
