/* base: the user's cache folder, where weights that were fetched are found. */
#include "e3/io.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int e3_cache_path(const char *name, char **path, e3_err *err)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	bool own = cache && cache[0] == '/'; /* a relative one is to be ignored (XDG Base Directory Specification) */
	*path = NULL;
	if (!own && !(home && *home))
		return e3_fail(err, "finding the cache folder: neither HOME nor XDG_CACHE_HOME is set");
	if (asprintf(path, "%s%s/e3%s%s", own ? cache : home, own ? "" : "/.cache", name ? "/" : "", name ? name : "") >= 0)
		return 0;
	*path = NULL;
	return e3_fail(err, "finding the cache folder: out of memory");
}
