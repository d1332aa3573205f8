/* base: the list of output files that are being written. Owns what becomes of them when a signal ends the process. */
#include "unfinished.h"
#include "e3/io.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The lock is for threads; a signal handler reads without it, so a slot holds a whole entry or NULL at any time, and is
 * cleared before its entry is freed. */
enum { MAX_UNFINISHED = 64 };
static _Atomic(e3_unfinished *) unfinished[MAX_UNFINISHED];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void e3_file_leave_unfinished(void)
{
	for (int k = 0; k < MAX_UNFINISHED; k++) {
		const e3_unfinished *u = unfinished[k];
		if (u && atomic_load(&u->worth))
			(void)rename(u->temp, u->partial);
		else if (u)
			unlink(u->temp);
	}
	e3_folders_leave();
}

static void release(e3_unfinished *u)
{
	if (!u)
		return;
	free(u->temp), free(u->partial);
	free(u);
}

e3_unfinished *e3_unfinished_add(const char *temp, const char *partial, const struct stat *st)
{
	e3_unfinished *u = calloc(1, sizeof *u), *left = u;
	if (u)
		u->temp = strdup(temp), u->partial = strdup(partial), u->dev = st->st_dev, u->ino = st->st_ino;
	pthread_mutex_lock(&lock);
	for (int k = 0; left && u->temp && u->partial && k < MAX_UNFINISHED; k++)
		if (!unfinished[k]) {
			unfinished[k] = u;
			left = NULL;
		}
	pthread_mutex_unlock(&lock);
	release(left);
	return left ? NULL : u;
}

void e3_unfinished_go(e3_unfinished *u)
{
	pthread_mutex_lock(&lock);
	if (u)
		u->dev = 0, u->ino = 0;
	pthread_mutex_unlock(&lock);
}

void e3_unfinished_forget(e3_unfinished *u)
{
	pthread_mutex_lock(&lock);
	for (int k = 0; u && k < MAX_UNFINISHED; k++)
		if (unfinished[k] == u)
			unfinished[k] = NULL;
	pthread_mutex_unlock(&lock);
	release(u);
}

bool e3_unfinished_has(const struct stat *st)
{
	bool has = false;
	pthread_mutex_lock(&lock);
	for (int k = 0; k < MAX_UNFINISHED; k++) {
		const e3_unfinished *u = unfinished[k];
		has = has || (u && u->dev == st->st_dev && u->ino == st->st_ino);
	}
	pthread_mutex_unlock(&lock);
	return has;
}
