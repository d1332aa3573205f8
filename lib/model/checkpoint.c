/* model: opening a checkpoint: which container it is, then the index of its names. Owns the table of containers, the
 * map and every name; refuses files that are none of them, and names that occur twice. */
#include "e3/checkpoint.h"
#include "ckpt.h"
#include "e3/mem.h"
#include "e3/what.h"
#include <stdlib.h>
#include <string.h>

/* The containers, in the order in which they are tried: the content decides, since an extension may be wrong. */
static const struct container {
	const char *name;
	bool (*matches)(const uint8_t *bytes, size_t size);
	int (*parse)(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err);
} containers[] = {
	{"torch zip", e3_pth_matches, e3_pth_parse},
	{"torch legacy", e3_pth_legacy_matches, e3_pth_legacy_parse},
	{"safetensors", e3_safetensors_matches, e3_safetensors_parse},
};

static int parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err)
{
	for (size_t k = 0; k < sizeof containers / sizeof *containers; k++)
		if (containers[k].matches(bytes, size)) {
			c->format = containers[k].name;
			return containers[k].parse(c, bytes, size, err);
		}
	const char *what = size ? e3_what_bytes(bytes, size < E3_WHAT_BYTES ? size : E3_WHAT_BYTES).name : NULL;
	return e3_fail(err, "%zu bytes: neither safetensors nor a torch archive%s%s", size, what ? ": this is " : "",
		what ? what : "");
}

/* What compiling, sharding and recomputing put into the name of a module that they wrap, anywhere in it. */
static void strip_wrappers(char *name)
{
	static const char *const words[] = {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."};
	for (char *at = name; at;) {
		bool found = false;
		for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
			size_t len = strlen(words[w]);
			if (strncmp(at, words[w], len) == 0 && at[len]) {
				memmove(at, at + len, strlen(at + len) + 1);
				found = true;
			}
		}
		if (!found && (at = strchr(at, '.')))
			at++;
	}
}

/* Training wrappers put one prefix before every name; it says nothing. */
static void strip_prefix(e3_ckpt *c)
{
	static const char *const prefixes[] = {"module.", "model."};
	for (bool again = c->n > 0; again;) {
		again = false;
		for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
			size_t len = strlen(prefixes[p]), k = 0;
			while (k < c->n && strncmp(c->tensor[k].info.name, prefixes[p], len) == 0 && c->tensor[k].info.name[len])
				k++;
			if (k < c->n)
				continue;
			for (k = 0; k < c->n; k++)
				c->tensor[k].info.name += len;
			again = true;
		}
	}
}

static int by_name(const void *a, const void *b, void *tensors)
{
	const e3_ckpt_tensor *t = tensors;
	return strcmp(t[*(const size_t *)a].info.name, t[*(const size_t *)b].info.name);
}

static int index_names(e3_ckpt *c, e3_err *err)
{
	for (size_t k = 0; k < c->n; k++)
		strip_wrappers(c->tensor[k].owned);
	strip_prefix(c);
	c->sorted = e3_alloc(c->n, sizeof *c->sorted, "index of names", err);
	if (!c->sorted)
		return -1;
	for (size_t k = 0; k < c->n; k++)
		c->sorted[k] = k;
	qsort_r(c->sorted, c->n, sizeof *c->sorted, by_name, c->tensor);
	for (size_t k = 1; k < c->n; k++) {
		const char *name = c->tensor[c->sorted[k]].info.name;
		if (strcmp(c->tensor[c->sorted[k - 1]].info.name, name) == 0)
			return e3_fail(err, "tensor '%s' is there twice", name);
	}
	return 0;
}

static e3_ckpt *new_handle(const char *path, e3_err *err)
{
	e3_ckpt *c = calloc(1, sizeof *c);
	if (c)
		c->path = strdup(path);
	if (c && c->path)
		return c;
	free(c);
	e3_fail(err, "opening: %s: out of memory", path);
	return NULL;
}

static e3_ckpt *finish(e3_ckpt *c, int rc, e3_err *err)
{
	if (!rc)
		rc = index_names(c, err);
	if (!rc)
		return c;
	e3_fail_in(err, "reading model: %s", c->path);
	e3_ckpt_close(c);
	return NULL;
}

e3_ckpt *e3_ckpt_open(const char *path, e3_err *err)
{
	e3_ckpt *c = new_handle(path, err);
	if (!c)
		return NULL;
	if (strncmp(path, "seed:", 5) == 0)
		return finish(c, e3_seed_parse(c, path + 5, err), err);
	if (e3_map_open(&c->map, path, err)) {
		e3_fail_in(err, "reading model");
		e3_ckpt_close(c);
		return NULL;
	}
	return finish(c, parse(c, c->map.data, c->map.size, err), err);
}

e3_ckpt *e3_ckpt_memory(const void *bytes, size_t size, const char *name, e3_err *err)
{
	e3_ckpt *c = new_handle(name, err);
	return c ? finish(c, parse(c, bytes, size, err), err) : NULL;
}

void e3_ckpt_close(e3_ckpt *c)
{
	if (!c)
		return;
	for (size_t k = 0; k < c->n; k++)
		free(c->tensor[k].owned);
	for (size_t k = 0; k < c->n_meta; k++)
		free(c->meta[k].key), free(c->meta[k].value);
	free(c->tensor), free(c->sorted), free(c->meta), free(c->path);
	e3_map_close(&c->map);
	free(c);
}
