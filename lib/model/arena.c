/* model: the list of what an arena owns. There is room in it before there is something to own. */
#include "arena.h"
#include "e3/mem.h"
#include <stdlib.h>

static int list_room(e3_arena *a, e3_err *err)
{
	if (a->n < a->cap)
		return 0;
	size_t cap = a->cap ? 2 * a->cap : 64;
	if (e3_grow((void **)&a->owned, cap, sizeof *a->owned, "list of device memory", err))
		return -1;
	a->cap = cap;
	return 0;
}

int e3_arena_alloc(e3_arena *a, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	if (list_room(a, err) || a->dev->ops->alloc(a->dev, dtype, n, out, err))
		return -1;
	a->owned[a->n++] = out->p;
	return 0;
}

int e3_arena_floats(e3_arena *a, size_t n, float **out, e3_err *err)
{
	e3_tensor t = {0};
	int rc = e3_arena_alloc(a, E3_F32, n, &t, err);
	*out = e3_tensor_floats(t);
	return rc;
}

int e3_arena_upload(e3_arena *a, const float *from, size_t n, float **out, e3_err *err)
{
	if (e3_arena_floats(a, n, out, err))
		return -1;
	return a->dev->ops->upload(a->dev, e3_tensor_f32(*out), from, n, err);
}

int e3_arena_weight(e3_arena *a, const float *from, e3_mat *mat, e3_err *err)
{
	if (list_room(a, err) || a->dev->ops->weight(a->dev, from, mat, err))
		return -1;
	a->owned[a->n++] = mat->w.p;
	return 0;
}

static bool forget(e3_arena *a, const void *p)
{
	for (size_t k = 0; k < a->n; k++)
		if (a->owned[k] == p) {
			a->owned[k] = a->owned[--a->n];
			return true;
		}
	return false;
}

int e3_arena_take(e3_arena *to, e3_arena *from, void *p, e3_err *err)
{
	if (list_room(to, err))
		return -1;
	if (forget(from, p))
		to->owned[to->n++] = p;
	return 0;
}

void e3_arena_drop(e3_arena *a, void *p)
{
	if (p && forget(a, p))
		a->dev->ops->free(a->dev, p);
}

void e3_arena_release(e3_arena *a)
{
	for (size_t k = 0; k < a->n; k++)
		a->dev->ops->free(a->dev, a->owned[k]);
	free(a->owned);
	*a = (e3_arena){.dev = a->dev};
}
