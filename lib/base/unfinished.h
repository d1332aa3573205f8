/* base: output files that have no name of their own yet, for a signal handler that ends the process. */
#ifndef E3_BASE_UNFINISHED_H
#define E3_BASE_UNFINISHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

typedef struct e3_unfinished {
	char *temp, *partial; /* its name now; its name if it stays */
	dev_t dev;
	ino_t ino;
	atomic_bool worth; /* worth keeping: it is renamed, not removed */
} e3_unfinished;

/* Copies both names. NULL when there is no memory or no room: then the file is not known here, and stays as it is. */
e3_unfinished *e3_unfinished_add(const char *temp, const char *partial, const struct stat *st);
/* It is about to be removed: another file may get its inode from now on. NULL allowed. */
void e3_unfinished_go(e3_unfinished *u);
/* Forgets and frees it; NULL allowed. */
void e3_unfinished_forget(e3_unfinished *u);
/* Is this file one that this process is writing? */
bool e3_unfinished_has(const struct stat *st);

#endif
