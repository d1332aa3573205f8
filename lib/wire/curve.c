/* wire: key files for ZeroMQ's CURVE. Owns their text; refuses damaged keys, secrets that others may read, and to
 * overwrite one. */
#include "curve.h"
#include "e3/io.h"
#include "e3/stream.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { MAX_FILE = 1 << 16, MAX_LINES = 1024 };

#define PUBLIC "curve-public"
#define SECRET "curve-secret"

/* A line of a key file: word, key, and what follows it (the name). 1, 0 for a line without a key, -1 damaged. */
static int parse_line(char *line, const char *word, const char **key, const char **name, e3_err *err)
{
	char *rest = NULL, *first = strtok_r(line, " \t\r", &rest);
	if (!first || first[0] == '#')
		return 0;
	if (strcmp(first, word) != 0) {
		if (strcmp(first, PUBLIC) == 0 || strcmp(first, SECRET) == 0)
			return e3_fail(err, "holds a %s key where a %s key is needed", strcmp(first, PUBLIC) ? "secret" : "public",
				strcmp(word, PUBLIC) ? "secret" : "public");
		return e3_fail(err, "expected a line '%s KEY'; 'keygen' makes such files", word);
	}
	*key = strtok_r(NULL, " \t\r", &rest);
	uint8_t raw[32];
	if (!*key || strlen(*key) != E3_CURVE_TEXT - 1 || !zmq_z85_decode(raw, *key))
		return e3_fail(err, "damaged key: expected %d characters of Z85 after '%s'", E3_CURVE_TEXT - 1, word);
	explicit_bzero(raw, sizeof raw);
	while (rest && (*rest == ' ' || *rest == '\t'))
		rest++;
	*name = rest ? rest : "";
	return 1;
}

typedef int line_fn(void *to, const char *key, const char *name, e3_err *err);

/* Calls `each` for every key of the text; the number of keys, or -1. */
static int parse_text(char *text, const char *word, line_fn *each, void *to, e3_err *err)
{
	int keys = 0, number = 0;
	char *rest = NULL;
	const char *key = NULL, *name = NULL;
	for (char *line = text, *end; line; line = rest) {
		end = strchr(line, '\n');
		rest = end ? end + 1 : NULL;
		if (end)
			*end = 0;
		number++;
		int rc = parse_line(line, word, &key, &name, err);
		if (rc < 0 || (rc && each(to, key, name, err)))
			return e3_fail_in(err, "line %d", number);
		keys += rc;
		if (keys > MAX_LINES)
			return e3_fail(err, "more than %d keys", MAX_LINES);
	}
	return keys;
}

/* The whole file as text into `text` (MAX_FILE + 1 bytes). */
static int load(const char *path, bool secret, char *text, e3_err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	if (fd < 0)
		return e3_fail_sys(err, "cannot be opened");
	if (fstat(fd, &st))
		rc = e3_fail_sys(err, "cannot be read");
	else if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE)
		rc = e3_fail(err, "is not a key file");
	ssize_t n = rc ? 0 : e3_read_full(fd, text, MAX_FILE);
	if (n < 0)
		rc = e3_fail_sys(err, "cannot be read");
	else
		text[n] = 0;
	if (!rc && strlen(text) != (size_t)n)
		rc = e3_fail(err, "is not a key file: it has a zero byte");
	if (!rc && secret && (st.st_mode & 077) &&
		strstr(text, SECRET)) /* without a secret the error is another one, reported elsewhere */
		rc = e3_fail(err, "mode %04o lets others read a secret key; chmod 600 it", (unsigned)(st.st_mode & 07777));
	close(fd);
	return rc;
}

static int read_keys(const char *path, const char *word, line_fn *each, void *to, e3_err *err)
{
	char *text = malloc(MAX_FILE + 1);
	if (!text)
		return e3_fail(err, "reading the key: %s: out of memory", path);
	int keys = load(path, strcmp(word, SECRET) == 0, text, err);
	if (!keys)
		keys = parse_text(text, word, each, to, err);
	explicit_bzero(text, MAX_FILE + 1);
	free(text);
	return keys < 0 ? e3_fail_in(err, "reading the key: %s", path) : keys;
}

static int keep_key(void *to, const char *key, const char *name, e3_err *err)
{
	char *kept = to;
	if (kept[0])
		return e3_fail(err, "a second key; expected one");
	memcpy(kept, key, E3_CURVE_TEXT);
	return 0;
}

static int read_one(const char *path, const char *word, char key[E3_CURVE_TEXT], e3_err *err)
{
	key[0] = 0;
	int n = read_keys(path, word, keep_key, key, err);
	return n == 0 ? e3_fail(err, "reading the key: %s: has no key", path) : n < 0 ? -1 : 0;
}

int e3_curve_secret(const char *path, e3_curve_pair *pair, e3_err *err)
{
	if (read_one(path, SECRET, pair->secret, err))
		return -1;
	return zmq_curve_public(pair->public_key, pair->secret)
		? e3_fail(err, "reading the key: %s: %s", path, zmq_strerror(zmq_errno()))
		: 0;
}

int e3_curve_public(const char *path, char key[E3_CURVE_TEXT], e3_err *err) { return read_one(path, PUBLIC, key, err); }

typedef struct search {
	const char *key;
	char *name;
	bool found;
} search;

static int compare_key(void *to, const char *key, const char *name, e3_err *err)
{
	search *s = to;
	if (!s->found && strcmp(key, s->key) == 0) {
		s->found = true;
		snprintf(s->name, E3_CURVE_NAME, "%s", name);
	}
	return 0;
}

static int is_public_file(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return n > 4 && e->d_name[0] != '.' && strcmp(e->d_name + n - 4, ".pub") == 0;
}

int e3_curve_allowed(const char *path, const char *key, char name[E3_CURVE_NAME], e3_err *err)
{
	struct stat st;
	struct dirent **list = NULL;
	search s = {key, name, false};
	char file[4096];
	int keys = 0;
	name[0] = 0;
	if (stat(path, &st))
		return e3_fail_sys(err, "reading the allowed keys: %s", path);
	if (!S_ISDIR(st.st_mode)) {
		keys = read_keys(path, PUBLIC, compare_key, &s, err);
	} else {
		int n = scandir(path, &list, is_public_file, alphasort);
		if (n < 0)
			return e3_fail_sys(err, "reading the allowed keys: %s", path);
		for (int k = 0; k < n; k++) {
			snprintf(file, sizeof file, "%s/%s", path, list[k]->d_name);
			int more = keys < 0 ? -1 : read_keys(file, PUBLIC, compare_key, &s, err);
			keys = more < 0 ? -1 : keys + more;
			free(list[k]);
		}
		free(list);
	}
	if (keys == 0)
		return e3_fail(err, "reading the allowed keys: %s: has no public key%s", path,
			S_ISDIR(st.st_mode) ? " (a file *.pub)" : "");
	return keys < 0 ? -1 : s.found;
}

/* A new file with this text; one that exists stays as it is. */
static int write_new(const char *path, mode_t mode, const char *text, e3_err *err)
{
	if (e3_mkdirs_for(path, err))
		return -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return e3_fail_sys(err, "writing the key: %s", path);
	int rc = e3_write_full(fd, text, strlen(text)) || fsync(fd) ? e3_fail_sys(err, "writing the key: %s", path) : 0;
	if (close(fd) && !rc)
		rc = e3_fail_sys(err, "writing the key: %s", path);
	if (rc)
		unlink(path);
	return rc;
}

int e3_curve_keygen(const char *path, e3_err *err)
{
	e3_curve_pair pair;
	char host[64] = "", text[512], public_path[4096];
	if ((size_t)snprintf(public_path, sizeof public_path, "%s.pub", path) >= sizeof public_path)
		return e3_fail(err, "writing the key: %.60s: name too long", path);
	if (zmq_curve_keypair(pair.public_key, pair.secret))
		return e3_fail(err, "making a key: %s", zmq_strerror(zmq_errno()));
	if (gethostname(host, sizeof host - 1))
		host[0] = 0;
	const char *base = strrchr(path, '/');
	snprintf(text, sizeof text, "# e3: secret key. It stays on this machine.\n" SECRET " %s\n", pair.secret);
	int rc = write_new(path, 0600, text, err);
	explicit_bzero(text, sizeof text);
	explicit_bzero(pair.secret, sizeof pair.secret);
	if (rc)
		return -1;
	snprintf(text, sizeof text,
		"# e3: public key, for the other side (curve-server, curve-allow).\n" PUBLIC " %s %.60s@%s\n", pair.public_key,
		base ? base + 1 : path, host);
	if (write_new(public_path, 0644, text, err)) {
		unlink(path);
		return -1;
	}
	return 0;
}
