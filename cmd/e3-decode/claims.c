/* decode: which files the inputs are, so that no output takes their place: pictures, folders of them, videos, and the
 * names that FFmpeg takes apart itself. */
#include "decode.h"
#include "e3/mem.h"
#include "e3/opt.h"
#include "e3/picture.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void claim(const char *path, const char *patterns)
{
	e3_opts_claim(&(e3_claim){.use = E3_READS, .path = path, .what = "the input", .holds = patterns});
}

static void claim_folder(const char *path)
{
	e3_buf patterns = {0};
	int rc = 0;
	for (int k = 0; e3_picture_suffixes(k); k++)
		for (const char *p = e3_picture_suffixes(k); !rc && *p;) {
			size_t n = strcspn(p, " ");
			rc = e3_buf_printf(&patterns, NULL, "%s*.%.*s", patterns.len ? "|" : "", (int)n, p);
			p += n + (p[n] == ' ');
		}
	if (!rc)
		claim(path, patterns.data);
	e3_buf_release(&patterns);
}

/* "pics/%06d.png" and "pics/[ab]*.png": pictures that FFmpeg finds in a folder. */
static void claim_pattern(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	e3_buf folder = {0}, pattern = {0};
	int rc = slash ? e3_buf_add(&folder, path, (size_t)(name - path), NULL) : e3_buf_printf(&folder, NULL, ".");
	for (const char *p = name; !rc && *p; p++) {
		size_t digits = *p == '%' ? strspn(p + 1, "0123456789") : 0;
		bool number = *p == '%' && p[1 + digits] == 'd';
		rc = e3_buf_add(&pattern, number ? "*" : p, 1, NULL);
		p += number ? digits + 1 : 0;
	}
	if (!rc)
		claim(folder.data, pattern.data);
	e3_buf_release(&folder);
	e3_buf_release(&pattern);
}

/* FFmpeg's quoting: 'as it is', and a backslash before one character. */
static void unquote(char *text)
{
	bool quoted = false;
	char *to = text;
	for (const char *p = text; *p && (quoted || !strchr(" \t", *p)); p++)
		if (*p == '\'')
			quoted = !quoted;
		else
			*to++ = !quoted && *p == '\\' && p[1] ? *++p : *p;
	*to = 0;
}

/* What a line of a list names, in the line; NULL: nothing. */
static char *named_in(char *line, bool concat)
{
	static const char word[] = "file";
	size_t n = strlen(word);
	line[strcspn(line, "\r\n")] = 0;
	line += strspn(line, " \t");
	if (!concat)
		return *line && *line != '#' && !strstr(line, "://") ? line : NULL;
	if (strncmp(line, word, n) != 0 || !strchr(" \t", line[n]))
		return NULL;
	line += n + strspn(line + n, " \t");
	unquote(line);
	return *line ? line : NULL;
}

/* A list of videos (ffconcat) or of the pieces of one (m3u8): what it names is read too. */
static void claim_listed(const char *list)
{
	static const char concat[] = "ffconcat version", pieces[] = "#EXTM3U";
	const char *slash = strrchr(list, '/');
	int dir = slash ? (int)(slash + 1 - list) : 0;
	char begin[sizeof concat] = "", *line = NULL, *name, path[PATH_MAX];
	size_t size = 0;
	FILE *f = fopen(list, "r");
	size_t n = f ? fread(begin, 1, sizeof begin - 1, f) : 0;
	bool several = strcmp(begin, concat) == 0, is_list = several || strncmp(begin, pieces, strlen(pieces)) == 0;
	if (n)
		rewind(f);
	while (is_list && getline(&line, &size, f) > 0)
		if ((name = named_in(line, several))) {
			snprintf(path, sizeof path, "%.*s%s", *name == '/' ? 0 : dir, list, name);
			claim(path, NULL);
		}
	free(line);
	if (f)
		fclose(f);
}

static void claim_file(const char *path)
{
	struct stat st;
	bool there = stat(path, &st) == 0;
	if (!there && strpbrk(path, "%*?["))
		claim_pattern(path);
	else if (there && S_ISDIR(st.st_mode))
		claim_folder(path);
	else
		claim(path, NULL);
	if (there && S_ISREG(st.st_mode))
		claim_listed(path);
}

/* The parts of FFmpeg's "concat:a|b". */
static void claim_parts(const char *parts)
{
	char path[PATH_MAX];
	for (const char *p = parts; *p;) {
		size_t n = strcspn(p, "|");
		snprintf(path, sizeof path, "%.*s", (int)(n < PATH_MAX ? n : PATH_MAX - 1), p);
		claim_file(path);
		p += n + (p[n] == '|');
	}
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

void options_claim_inputs(const e3_input_options *in)
{
	static const char file[] = "file:", several[] = "concat:";
	struct stat st;
	for (int k = 0; k < in->n; k++) {
		const char *input = in->operand[k];
		bool there = strcmp(input, "-") == 0 || stat(input, &st) == 0;
		if (!there && begins(input, file))
			claim_file(input + strlen(file));
		else if (!there && begins(input, several))
			claim_parts(input + strlen(several));
		else if (there || e3_input_kind_of(input) == E3_INPUT_FILE)
			claim_file(input);
	}
}
