/* model: torch's .pth: finds the state dict in the pickle and the bytes of its tensors in the archive. Checks every
 * size, stride and offset against the storage, and the storage against its member; refuses compressed and big-endian
 * archives.
 */
#include "ckpt.h"
#include "e3/mem.h"
#include "pth.h"
#include <stdio.h>
#include <string.h>

enum { MAX_NESTING = 4, MAX_KEY = 255, MAX_PATH_LEN = 600 };
#define MAX_REPEATED ((size_t)1 << 32) /* elements of a view that repeats some: a few bytes may describe any number */

typedef struct pth {
	e3_ckpt *c;
	e3_zip zip;
	e3_pickle pickle;
	char root[256]; /* "archive/": what stands before data.pkl */
	e3_err *err;
} pth;

/* The bytes of a stored member can be used in place. */
static int check_stored(const e3_zip_member *m, e3_err *err)
{
	if (m->method == 0)
		return 0;
	return e3_fail(err,
		"archive: member '%.*s' is compressed (method %d), expected stored as torch.save writes it; unpack and pack "
		"again with 'zip -0'",
		(int)m->name_len, m->name, m->method);
}

static const e3_zip_member *find_index(pth *p)
{
	const e3_zip_member *found = NULL;
	for (size_t k = 0; k < p->zip.n; k++) {
		const e3_zip_member *m = &p->zip.member[k];
		size_t len = m->name_len;
		if (len < 8 || memcmp(m->name + len - 8, "data.pkl", 8) != 0 || (len > 8 && m->name[len - 9] != '/'))
			continue;
		if (found || len - 8 >= sizeof p->root) {
			e3_fail(p->err, "archive: '%.*s' is a second index", (int)len, m->name);
			return NULL;
		}
		found = m;
	}
	if (!found) {
		e3_fail(p->err, "archive: no data.pkl among its %zu members: not written by torch.save", p->zip.n);
		return NULL;
	}
	memcpy(p->root, found->name, found->name_len - 8);
	return check_stored(found, p->err) ? NULL : found;
}

static const e3_zip_member *find_member(pth *p, const char *folder, const char *name, size_t name_len)
{
	char full[MAX_PATH_LEN];
	if (name_len > MAX_KEY)
		return NULL;
	int n = snprintf(full, sizeof full, "%s%s%.*s", p->root, folder, (int)name_len, name);
	return e3_zip_find(&p->zip, full, (size_t)n);
}

static int check_byte_order(pth *p)
{
	const e3_zip_member *m = find_member(p, "", "byteorder", 9);
	if (m && !check_stored(m, NULL) && m->size == 3 && memcmp(m->data, "big", 3) == 0)
		return e3_fail(p->err, "archive: big-endian storages, expected little-endian");
	return 0;
}

/* Reads a tuple of whole numbers >= 0; -1 for anything else. */
static int read_numbers(const pth *p, uint32_t v, int64_t *out, int *rank)
{
	const e3_pickle_value *box = &p->pickle.value[v];
	if ((box->kind != E3_PK_TUPLE && box->kind != E3_PK_LIST) || box->count > E3_MAX_RANK)
		return -1;
	uint32_t at = box->items.first;
	for (uint32_t k = 0; k < box->count; k++, at = p->pickle.cell[at].next) {
		const e3_pickle_value *n = &p->pickle.value[p->pickle.cell[at].value];
		if (n->kind != E3_PK_INT || n->number < 0)
			return -1;
		out[k] = n->number;
	}
	*rank = (int)box->count;
	return 0;
}

/* How many elements of the storage a view reaches, from its beginning. */
static int view_reach(const e3_tensor_info *t, int64_t offset, int64_t *reach)
{
	int64_t step;
	*reach = offset;
	if (!t->count)
		return 0;
	for (int k = 0; k < t->rank; k++)
		if (__builtin_mul_overflow(t->shape[k] - 1, t->stride[k], &step) || __builtin_add_overflow(*reach, step, reach))
			return -1;
	return __builtin_add_overflow(*reach, (int64_t)1, reach) ? -1 : 0;
}

/* The member that holds a storage; it may be longer. */
static const e3_zip_member *find_storage(pth *p, const e3_pickle_value *storage)
{
	const e3_pickle_value *key = &p->pickle.value[storage->ref];
	const char *name = (const char *)p->pickle.bytes + key->text.at;
	const e3_zip_member *m = find_member(p, "data/", name, key->text.len);
	size_t want, size = e3_dtype_size((e3_dtype)storage->dtype);
	if (!m)
		e3_fail(p->err, "archive: no member '%sdata/%.*s', which a tensor needs", p->root,
			(int)(key->text.len < MAX_KEY ? key->text.len : MAX_KEY), name);
	else if (e3_mul((size_t)storage->number, size, &want) || (m->method == 0 && m->size < want))
		e3_fail(p->err, "short storage: member '%.*s' has %zu bytes, expected %lld × %zu (%s)", (int)m->name_len,
			m->name, m->size, (long long)storage->number, size, e3_dtype_name((e3_dtype)storage->dtype));
	else if (!check_stored(m, p->err))
		return m;
	return NULL;
}

/* (storage, offset, sizes, strides, ...) */
static int add_tensor(pth *p, const e3_pickle_value *name, const e3_pickle_value *tensor)
{
	const e3_pickle_value *args = &p->pickle.value[tensor->ref];
	const char *text = (const char *)p->pickle.bytes + name->text.at;
	size_t text_len = name->text.len;
	int shown = (int)(text_len < 512 ? text_len : 512), strides;
	uint32_t arg[4], at = args->items.first;
	for (int k = 0; k < 4; k++, at = p->pickle.cell[at].next)
		arg[k] = p->pickle.cell[at].value;
	const e3_pickle_value *storage = &p->pickle.value[arg[0]], *offset = &p->pickle.value[arg[1]];
	e3_ckpt_tensor t = {.info = {.dtype = (e3_dtype)storage->dtype}};
	e3_tensor_info *info = &t.info;
	if (storage->kind != E3_PK_STORAGE || offset->kind != E3_PK_INT || offset->number < 0 ||
		read_numbers(p, arg[2], info->shape, &info->rank) || read_numbers(p, arg[3], info->stride, &strides) ||
		strides != info->rank || e3_shape_count(info->rank, info->shape, &info->count))
		return e3_fail(p->err, "tensor '%.*s': damaged description", shown, text);
	const e3_zip_member *m = find_storage(p, storage);
	if (!m)
		return e3_fail_in(p->err, "tensor '%.*s'", shown, text);
	int64_t reach;
	if (view_reach(info, offset->number, &reach) || reach > storage->number)
		return e3_fail(p->err, "tensor '%.*s': the view of %zu elements from %lld does not fit its storage of %lld",
			shown, text, info->count, (long long)offset->number, (long long)storage->number);
	if (info->count > (size_t)storage->number && info->count > MAX_REPEATED)
		return e3_fail(p->err, "tensor '%.*s': repeats its storage of %lld as %zu elements, at most %zu are read",
			shown, text, (long long)storage->number, info->count, MAX_REPEATED);
	t.data = m->data + (size_t)offset->number * e3_dtype_size(info->dtype);
	return e3_ckpt_add(p->c, text, text_len, t, p->err);
}

static bool holds_tensors(const pth *p, uint32_t dict)
{
	const e3_pickle_value *box = &p->pickle.value[dict];
	uint32_t at = box->items.first;
	for (uint32_t k = 0; k + 1 < box->count; k += 2) {
		uint32_t value = p->pickle.cell[at].next;
		if (p->pickle.value[p->pickle.cell[at].value].kind == E3_PK_TEXT &&
			p->pickle.value[p->pickle.cell[value].value].kind == E3_PK_TENSOR)
			return true;
		at = p->pickle.cell[value].next;
	}
	return false;
}

/* The dictionary that has tensors: `dict` itself, or one in it under a name that training scripts use. 0 (the first
 * value, E3_PK_NOTHING) if there is none. */
static uint32_t find_state(const pth *p, uint32_t dict, int depth)
{
	static const char *const names[] = {"model", "state_dict", "model_state_dict", "module", "net", "network",
		"weights"};
	const e3_pickle_value *box = &p->pickle.value[dict];
	if (box->kind != E3_PK_DICT || depth > MAX_NESTING)
		return 0;
	if (holds_tensors(p, dict))
		return dict;
	for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
		uint32_t at = box->items.first;
		for (uint32_t k = 0; k + 1 < box->count; k += 2) {
			uint32_t value = p->pickle.cell[at].next;
			if (e3_pickle_is(&p->pickle, p->pickle.cell[at].value, names[n])) {
				uint32_t found = find_state(p, p->pickle.cell[value].value, depth + 1);
				if (found)
					return found;
			}
			at = p->pickle.cell[value].next;
		}
	}
	return 0;
}

static int add_tensors(pth *p)
{
	uint32_t state = find_state(p, p->pickle.root, 0);
	const e3_pickle_value *box = &p->pickle.value[state], *root = &p->pickle.value[p->pickle.root];
	if (!state)
		return e3_fail(p->err, "no named tensors: expected a state dict, or one under 'model' or 'state_dict', got %s",
			e3_pickle_kind_name(root->kind));
	uint32_t at = box->items.first;
	for (uint32_t k = 0; k + 1 < box->count; k += 2) {
		uint32_t value = p->pickle.cell[at].next;
		const e3_pickle_value *name = &p->pickle.value[p->pickle.cell[at].value];
		const e3_pickle_value *tensor = &p->pickle.value[p->pickle.cell[value].value];
		if (name->kind == E3_PK_TEXT && tensor->kind == E3_PK_TENSOR && add_tensor(p, name, tensor))
			return -1;
		at = p->pickle.cell[value].next;
	}
	return 0;
}

bool e3_pth_matches(const uint8_t *bytes, size_t size)
{
	return size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

int e3_pth_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err)
{
	pth p = {.c = c, .err = err};
	int rc = e3_zip_read(&p.zip, bytes, size, err);
	const e3_zip_member *index = rc ? NULL : find_index(&p);
	if (index && !check_byte_order(&p) && !e3_pickle_read(&p.pickle, index->data, index->size, err))
		rc = add_tensors(&p);
	else
		rc = -1;
	e3_pickle_release(&p.pickle);
	e3_zip_release(&p.zip);
	return rc;
}

/* What PyTorch wrote before version 1.6. */
static const char *legacy_form(const uint8_t *bytes, size_t size)
{
	if (size >= 2 && bytes[0] == 0x80 && bytes[1] <= 5 && (size < 9 || bytes[8] != '{'))
		return "plain pickle";
	return size >= 262 && memcmp(bytes + 257, "ustar", 5) == 0 ? "tar" : NULL;
}

bool e3_pth_legacy_matches(const uint8_t *bytes, size_t size) { return legacy_form(bytes, size) != NULL; }

int e3_pth_legacy_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err)
{
	return e3_fail(err,
		"unsupported legacy format (%s, written by PyTorch before 1.6); convert it once with "
		"python3 -c \"import torch; torch.save(torch.load('IN.pth', 'cpu'), 'OUT.pth')\"",
		legacy_form(bytes, size));
}
