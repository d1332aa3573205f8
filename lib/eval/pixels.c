/* eval: choosing the pixels to score, and keeping those of a whole sequence until its end, in a temporary file that is
 * mapped for reading. */
#include "e3/eval.h"
#include "e3/io.h"
#include <math.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAIR = 2 * sizeof(float), STEP = 1 << 18 /* pairs whose pages are released at a time */ };

static bool has_truth(float g, const e3_pixel_rule *rule)
{
	return g > 0 && (rule->cap > 0 ? g < rule->cap : isfinite(g));
}

static uint64_t count_truth(const e3_resampler *o, const float *truth, const e3_pixel_rule *rule)
{
	uint64_t n = 0;
	for (size_t k = 0; k < (size_t)o->w * (size_t)o->h; k++)
		n += has_truth(truth[k], rule);
	return n;
}

size_t e3_pixels_collect(const e3_resampler *o, const float *pred, const float *truth, const e3_pixel_rule *rule,
	float *to, e3_pixel_count *count)
{
	size_t n = 0;
	uint64_t inside = 0;
	for (int y = o->seen[1]; y < o->seen[3]; y++)
		for (int x = o->seen[0]; x < o->seen[2]; x++) {
			size_t k = (size_t)y * (size_t)o->w + (size_t)x;
			if (!has_truth(truth[k], rule))
				continue;
			inside++;
			if (!isfinite(pred[k])) {
				count->not_finite++;
				if (rule->finite)
					continue;
			} else
				count->not_positive += pred[k] <= 0;
			to[2 * n] = pred[k], to[2 * n + 1] = truth[k];
			n++;
		}
	count->used += n;
	if (o->seen[2] - o->seen[0] < o->w || o->seen[3] - o->seen[1] < o->h)
		count->unseen += count_truth(o, truth, rule) - inside;
	return n;
}

int e3_pixel_store_add(e3_pixel_store *s, const float *pairs, size_t n, e3_err *err)
{
	if (!s->file && !(s->file = e3_spool(err)))
		return -1;
	if (fwrite(pairs, PAIR, n, s->file) != n)
		return e3_fail_sys(err, "keeping the pixels of the sequence: a temporary file (see TMPDIR)");
	s->n += n;
	return 0;
}

int e3_pixel_store_read(e3_pixel_store *s, e3_pixels *out, e3_err *err)
{
	*out = (e3_pixels){.n = s->n};
	if (s->n == 0)
		return 0;
	if (!s->map) {
		if (fflush(s->file))
			return e3_fail_sys(err, "keeping the pixels of the sequence: a temporary file (see TMPDIR)");
		void *p = mmap(NULL, s->n * PAIR, PROT_READ, MAP_SHARED, fileno(s->file), 0);
		if (p == MAP_FAILED)
			return e3_fail_sys(err, "reading the pixels of the sequence back: %zu bytes", s->n * PAIR);
		s->map = p, s->mapped = s->n * PAIR;
	}
	out->f = s->map, out->mapped = true;
	return 0;
}

/* Releases the whole pages of the last STEP pairs, or at the end of a pass those of the remaining pairs. The data stay
 * in the system's file cache. */
void e3_pixels_passed(const e3_pixels *x, size_t at)
{
	if (!x->mapped || at == 0 || (at < x->n && at % STEP))
		return;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)(x->f + 2 * ((at - 1) / STEP * STEP)),
			  end = (uintptr_t)(x->f + 2 * at);
	first = (first + page - 1) / page * page, end = end / page * page;
	if (end > first)
		madvise((void *)first, end - first, MADV_DONTNEED);
}

void e3_pixel_store_release(e3_pixel_store *s)
{
	if (s->map)
		munmap(s->map, s->mapped);
	if (s->file)
		fclose(s->file);
	*s = (e3_pixel_store){0};
}
