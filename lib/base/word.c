/* base: words of a command line. Owns how many slips of the finger still name a word, the quoting for a shell, and the
 * order of names. */
#include "e3/word.h"
#include <stdbool.h>
#include <string.h>

enum { LONGEST = 40 };

static int least(int a, int b) { return a < b ? a : b; }

/* Letters missing, added, changed, or swapped with their neighbour. */
static int edits(const char *a, int n, const char *b, int m)
{
	int d[LONGEST + 1][LONGEST + 1];
	for (int i = 0; i <= n; i++)
		d[i][0] = i;
	for (int j = 0; j <= m; j++)
		d[0][j] = j;
	for (int i = 1; i <= n; i++)
		for (int j = 1; j <= m; j++) {
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

/* Is it one of the parts that hyphens separate? */
static bool is_part(const char *word, size_t n, const char *of)
{
	for (const char *at = strstr(of, word); at && n > 2; at = strstr(at + 1, word))
		if ((at == of || at[-1] == '-') && (at[n] == 0 || at[n] == '-'))
			return true;
	return false;
}

int e3_word_distance(const char *word, const char *right)
{
	size_t n = strlen(word), m = strlen(right);
	if (n == 0 || m == 0 || n > LONGEST || m > LONGEST)
		return -1;
	if (is_part(word, n, right))
		return 1;
	int far = edits(word, (int)n, right, (int)m), most = n < 3 ? 0 : n < 6 ? 1 : n < 9 ? 2 : 3;
	return far <= most ? far : -1;
}

int e3_word_quote(e3_buf *to, const char *word, e3_err *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%=";
	size_t n = strlen(word);
	if (to->len && e3_buf_add(to, " ", 1, err))
		return -1;
	if (n && strspn(word, plain) == n)
		return e3_buf_add(to, word, n, err);
	int rc = e3_buf_add(to, "'", 1, err);
	for (const char *p = word; !rc && *p; p++)
		rc = *p == '\'' ? e3_buf_add(to, "'\\''", 4, err) : e3_buf_add(to, p, 1, err);
	return rc || e3_buf_add(to, "'", 1, err) ? -1 : 0;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c; }

int e3_word_natural(const char *a, const char *b)
{
	const char *x = a, *y = b;
	while (*x && *y) {
		if (!is_digit(*x) || !is_digit(*y)) {
			if (lower(*x) != lower(*y))
				break;
			x++, y++;
			continue;
		}
		x += strspn(x, "0"), y += strspn(y, "0");
		size_t nx = strspn(x, "0123456789"), ny = strspn(y, "0123456789");
		int order = nx != ny ? (nx > ny) - (nx < ny) : strncmp(x, y, nx);
		if (order)
			return order;
		x += nx, y += ny;
	}
	int order = lower(*x) - lower(*y);
	return order ? order : strcmp(a, b);
}
