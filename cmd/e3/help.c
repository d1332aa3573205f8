/* e3: `e3 help TOOL`: the manual page where there is one, else what the tool says of itself. */
#include "e3/opt.h"
#include "e3/tool.h"
#include "e3/word.h"
#include "one.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int section;
} pages[] = {{"e3", 1}, {"e3-align", 1}, {"e3-cat", 1}, {"e3-clips", 1}, {"e3-decode", 1}, {"e3-dump", 1},
	{"e3-eval", 1}, {"e3-evict-stats", 1}, {"e3-export", 1}, {"e3-infer", 1}, {"e3-mask", 1}, {"e3-model", 1},
	{"e3-scene", 1}, {"e3-view", 1}, {"e3-cache", 5}, {"e3-stream", 5}, {"e3-datasets", 7}, {"e3-pipelines", 7}};
enum { PAGES = sizeof pages / sizeof *pages };

/* "infer" and "e3-infer" alike. */
static int find(const char *word)
{
	for (int k = 0; k < PAGES; k++)
		if (strcmp(word, pages[k].name) == 0 || (k > 0 && strcmp(word, pages[k].name + strlen("e3-")) == 0))
			return k;
	return -1;
}

_Noreturn static void refuse(const char *word)
{
	int best = -1, least = -1;
	for (int k = 0; k < PAGES; k++) {
		int far = e3_word_distance(word, pages[k].name), part = e3_word_distance(word, pages[k].name + (k ? 3 : 0));
		far = far < 0 || (part >= 0 && part < far) ? part : far;
		if (far >= 0 && (least < 0 || far < least))
			best = k, least = far;
	}
	if (best >= 0)
		e3_usage_error("help: there is no '%s': is %s meant?", word, pages[best].name);
	e3_usage_error(
		"help: there is no '%s': e3, decode, infer, align, mask, export, evict-stats, cat, dump, model, eval, scene",
		word);
}

/* The page in the source tree, beside the programs, or as it is installed. */
static bool page_beside(int k, char to[PATH_MAX])
{
	static const char *const places[] = {"../../man", "../share/man/man1", "../share/man/man5", "../share/man/man7"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	for (size_t p = 0; slash && p < sizeof places / sizeof *places; p++) {
		snprintf(to, PATH_MAX, "%.*s/%s/%s.%d", (int)(slash - self), self, places[p], pages[k].name, pages[k].section);
		if (access(to, R_OK) == 0)
			return true;
	}
	return false;
}

int one_help(int argc, char **argv)
{
	char page[PATH_MAX], man[] = "man", file[] = "-l";
	e3_err err = {""};
	if (argc > 1)
		e3_usage_error("help: expected one name, got '%s' too", argv[1]);
	int k = argc ? find(argv[0]) : 0;
	if (k < 0)
		refuse(argv[0]);
	if (page_beside(k, page))
		execvp(man, (char *[]){man, file, page, NULL});
	else
		execvp(man, (char *[]){man, (char *)(uintptr_t)pages[k].name, NULL});
	/* There is no man here. */
	if (pages[k].section != 1) {
		e3_fail(&err, "showing %s(%d): the program man is not installed", pages[k].name, pages[k].section);
		return e3_tool_exit(-1, &err);
	}
	char *path = one_tool_path(pages[k].name, &err), help[] = "--help";
	if (path)
		execvp(path, (char *[]){path, help, NULL});
	if (path)
		e3_fail_sys(&err, "starting %s", path);
	free(path);
	return e3_tool_exit(-1, &err);
}
