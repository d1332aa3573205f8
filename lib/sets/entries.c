/* sets: the list of sequences of a data set. */
#include "e3/mem.h"
#include "internal.h"
#include <stdlib.h>
#include <string.h>

int sets_entry_add(e3_set *s, const char *name, bool published, bool found, e3_err *err)
{
	for (size_t k = 0; k < s->n; k++)
		if (strcmp(s->entry[k].name, name) == 0) {
			s->entry[k].published |= published, s->entry[k].found |= found;
			return 0;
		}
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 32;
		if (e3_grow((void **)&s->entry, cap, sizeof *s->entry, "a list of sequences", err))
			return -1;
		s->cap = cap;
	}
	char *own = strdup(name);
	if (!own)
		return e3_fail(err, "listing sequences: out of memory");
	s->entry[s->n++] = (sets_entry){own, published, found};
	return 0;
}

int sets_list_folders(e3_set *s, const char *path, sets_pattern want, const char *const *published, e3_err *err)
{
	sets_names found;
	for (size_t k = 0; published[k]; k++)
		if (sets_entry_add(s, published[k], true, false, err))
			return -1;
	want.folders = true;
	if (sets_folder(path, want, &found, err))
		return -1;
	size_t before = want.prefix ? strlen(want.prefix) : 0, after = want.suffix ? strlen(want.suffix) : 0;
	int rc = 0;
	for (size_t k = 0; !rc && k < found.n; k++) {
		found.v[k][strlen(found.v[k]) - after] = 0;
		rc = sets_entry_add(s, found.v[k] + before, false, true, err);
	}
	sets_names_release(&found);
	return rc;
}
