/* video: pictures whose names a pattern states: img%04d.png for numbers, 'img*.png' as in a shell. A file of that very
 * name is no pattern. Missing numbers are told and end nothing. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/picture.h"
#include "video/input.h"
#include <dirent.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "before%0Nd.after": what comes before and after the number, and how many digits it has at least. */
typedef struct numbered {
	size_t before; /* bytes of the name */
	const char *after;
	size_t digits;
} numbered;

static bool parse(const char *name, numbered *out)
{
	const char *percent = strchr(name, '%');
	if (!percent)
		return false;
	size_t n = strspn(percent + 1, "0123456789");
	*out = (numbered){(size_t)(percent - name), percent + 2 + n, n ? (size_t)strtoul(percent + 1, NULL, 10) : 1};
	return percent[1 + n] == 'd' && !strchr(out->after, '%');
}

/* As printf writes numbers: more digits than asked for do not begin with 0. */
static bool fits(const numbered *p, const char *pattern, const char *name)
{
	if (strncmp(name, pattern, p->before) != 0)
		return false;
	const char *digits = name + p->before;
	size_t n = strspn(digits, "0123456789");
	return n >= p->digits && (n == p->digits || *digits != '0') && strcmp(digits + n, p->after) == 0;
}

static void tell_gaps(const e3_picture_list *list, const char *pattern, size_t before)
{
	unsigned long long last = 0, gap = 0;
	int gaps = 0;
	for (size_t k = 0; k < list->n; k++) {
		unsigned long long number = strtoull(list->path[k] + before, NULL, 10);
		if (k && number > last + 1 && gaps++ == 0)
			gap = last + 1;
		last = number;
	}
	if (gaps)
		e3_tell(E3_TELL_NOTE, "reading: %s: numbers are missing, the first: %llu", pattern, gap);
}

static int add_numbered(e3_picture_list *list, const char *pattern, bool lexical, e3_err *err)
{
	const char *slash = strrchr(pattern, '/'), *name = slash ? slash + 1 : pattern;
	size_t folder = (size_t)(name - pattern);
	numbered p;
	if (!parse(name, &p))
		return 0;
	char *dir = folder ? strndup(pattern, folder) : strdup(".");
	DIR *d = dir ? opendir(dir) : NULL;
	int rc = 0;
	for (struct dirent *e; d && !rc && (e = readdir(d));)
		if (fits(&p, name, e->d_name))
			rc = input_list_add(list, folder ? dir : NULL, e->d_name, err);
	free(dir);
	if (!d)
		return 0;
	closedir(d);
	if (!rc && list->n == 0)
		return e3_fail(err, "reading: %s: no file has such a name", pattern);
	input_list_sort(list, 0, pattern, lexical);
	tell_gaps(list, pattern, folder + p.before);
	return rc;
}

static int add_matching(e3_picture_list *list, const char *pattern, bool lexical, e3_err *err)
{
	glob_t found = {.gl_pathc = 0};
	int rc = 0;
	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t k = 0; !rc && k < found.gl_pathc; k++)
			rc = input_list_add(list, NULL, found.gl_pathv[k], err);
	globfree(&found);
	if (list->n)
		input_list_sort(list, 0, pattern, lexical);
	return rc;
}

int input_list_pattern(e3_picture_list *list, const char *pattern, bool lexical, e3_err *err)
{
	struct stat st;
	*list = (e3_picture_list){0};
	if (e3_picture_kind_by_name(pattern) == E3_IMAGE_NONE || lstat(pattern, &st) == 0)
		return 0;
	if (strpbrk(pattern, "*?["))
		return add_matching(list, pattern, lexical, err);
	return add_numbered(list, pattern, lexical, err);
}
