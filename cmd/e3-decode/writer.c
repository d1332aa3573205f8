/* e3-decode: pictures are written by threads of their own, so that the stream does not wait for the compression. A few
 * pictures wait at most. Each file appears whole. */
#include "decode.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <stdlib.h>
#include <string.h>

enum { THREADS_MOST = 4, WAITING_MOST = 4 };

/* A picture to compress, or a file whose first bytes are copied as they are. */
typedef struct job {
	e3_image im;
	char *from;
	size_t length;
	char *to;
} job;

struct picture_writer {
	e3_thread thread[THREADS_MOST];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	job waiting[WAITING_MOST];
	int first, n;
	bool quit, failed;
	e3_err err; /* the first failure */
};

static void job_release(job *j)
{
	e3_image_release(&j->im);
	free(j->from), free(j->to);
	*j = (job){.from = NULL};
}

static int copy(const job *j, e3_err *err)
{
	e3_map map;
	e3_file file;
	if (e3_map_open(&map, j->from, err))
		return -1;
	int rc = map.size < j->length ? e3_fail(err, "reading: %s: became shorter", j->from) : 0;
	if (!rc)
		rc = e3_file_open(&file, j->to, err);
	if (!rc) {
		rc = e3_file_write(&file, map.data, j->length, err);
		if (rc)
			e3_file_discard(&file);
		else
			rc = e3_file_commit(&file, err);
	}
	e3_map_close(&map);
	return rc;
}

static void *run(void *arg)
{
	picture_writer *w = arg;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->n == 0 && !w->quit)
			pthread_cond_wait(&w->changed, &w->lock);
		if (w->n == 0)
			break;
		job j = w->waiting[w->first];
		w->first = (w->first + 1) % WAITING_MOST, w->n--;
		bool skip = w->failed;
		pthread_cond_broadcast(&w->changed);
		pthread_mutex_unlock(&w->lock);
		e3_err err = {""};
		int rc = skip ? 0 : j.from ? copy(&j, &err) : e3_png_save_quick(j.to, &j.im, &err);
		job_release(&j);
		pthread_mutex_lock(&w->lock);
		if (rc && !w->failed)
			w->failed = true, w->err = err;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

picture_writer *writer_open(e3_err *err)
{
	picture_writer *w = e3_alloc(1, sizeof *w, "a writer of pictures", err);
	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	int n = e3_processors(THREADS_MOST);
	for (int k = 0; k < n; k++)
		if (e3_thread_start(&w->thread[k], run, w, err)) {
			writer_close(w, NULL);
			return NULL;
		}
	return w;
}

static int add(picture_writer *w, job *j, e3_err *err)
{
	pthread_mutex_lock(&w->lock);
	while (w->n == WAITING_MOST && !w->failed)
		pthread_cond_wait(&w->changed, &w->lock);
	int rc = w->failed ? e3_fail(err, "%s", w->err.text) : 0;
	if (!rc) {
		w->waiting[(w->first + w->n) % WAITING_MOST] = *j;
		w->n++;
		*j = (job){.from = NULL};
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	job_release(j);
	return rc;
}

int writer_png(picture_writer *w, const char *to, const e3_image *im, e3_err *err)
{
	job j = {.to = strdup(to)};
	if (!j.to)
		return e3_fail(err, "writing: %s: out of memory", to);
	if (e3_image_init(&j.im, im->w, im->h, im->channels, err)) {
		job_release(&j);
		return -1;
	}
	memcpy(j.im.px, im->px, (size_t)im->w * (size_t)im->h * (size_t)im->channels);
	return add(w, &j, err);
}

int writer_copy(picture_writer *w, const char *to, const char *from, size_t length, e3_err *err)
{
	job j = {.to = strdup(to), .from = strdup(from), .length = length};
	if (j.to && j.from)
		return add(w, &j, err);
	job_release(&j);
	return e3_fail(err, "writing: %s: out of memory", to);
}

int writer_close(picture_writer *w, e3_err *err)
{
	if (!w)
		return 0;
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	for (int k = 0; k < THREADS_MOST; k++)
		e3_thread_join(&w->thread[k]);
	int rc = w->failed ? e3_fail(err, "%s", w->err.text) : 0;
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w);
	return rc;
}
