/* sets: gzip-compressed JSON: CO3D's annotations. Refuses files that unpack to more than a gigabyte. */
#include "e3/mem.h"
#include "json_gz.h"
#include <string.h>
#include <zlib.h>

enum { MAX_JSON = 1 << 30, STEP = 1 << 16, GZIP = 15 + 16 /* zlib's window bits, with a gzip header */ };

static int gunzip(const e3_map *map, e3_buf *out, e3_err *err)
{
	z_stream z = {0};
	uint8_t room[STEP];
	if (map->size > UINT32_MAX || inflateInit2(&z, GZIP) != Z_OK)
		return e3_fail(err, "cannot be unpacked");
	z.next_in = (Bytef *)(uintptr_t)map->data, z.avail_in = (uInt)map->size;
	int rc = 0, state = Z_OK;
	while (!rc && state == Z_OK) {
		z.next_out = room, z.avail_out = STEP;
		state = inflate(&z, Z_NO_FLUSH);
		rc = e3_buf_add(out, room, STEP - z.avail_out, err);
		if (!rc && out->len > MAX_JSON)
			rc = e3_fail(err, "more than %d MiB when unpacked", MAX_JSON >> 20);
	}
	if (!rc && state == Z_DATA_ERROR)
		rc = e3_fail(err, "not a gzip file, or damaged: %s", z.msg ? z.msg : "no reason given");
	else if (!rc && state != Z_STREAM_END)
		rc = e3_fail(err, "truncated: the gzip data end early");
	inflateEnd(&z);
	return rc;
}

json_t *sets_json_load(const char *path, e3_err *err)
{
	e3_map map;
	e3_buf text = {0};
	json_error_t why;
	json_t *json = NULL;
	if (e3_map_open(&map, path, err))
		return NULL;
	if (gunzip(&map, &text, err) == 0) {
		json = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &why);
		if (!json)
			e3_fail(err, "not JSON: %s (line %d)", why.text, why.line);
		else if (!json_is_object(json)) {
			e3_fail(err, "expected an object of sequences");
			json_decref(json);
			json = NULL;
		}
	}
	if (!json)
		e3_fail_in(err, "reading: %s", path);
	e3_buf_release(&text);
	e3_map_close(&map);
	return json;
}

static int gzip(const char *text, size_t n, e3_buf *out, e3_err *err)
{
	z_stream z = {0};
	uint8_t room[STEP];
	if (n > UINT32_MAX || deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return e3_fail(err, "cannot be packed");
	z.next_in = (Bytef *)(uintptr_t)text, z.avail_in = (uInt)n;
	int rc = 0, state = Z_OK;
	while (!rc && state == Z_OK) {
		z.next_out = room, z.avail_out = STEP;
		state = deflate(&z, Z_FINISH);
		rc = e3_buf_add(out, room, STEP - z.avail_out, err);
	}
	deflateEnd(&z);
	return rc;
}

int sets_json_save(const char *path, const json_t *json, e3_err *err)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
	e3_buf packed = {0};
	int rc = text ? gzip(text, strlen(text), &packed, err) : e3_fail(err, "out of memory");
	if (rc)
		e3_fail_in(err, "writing: %s", path);
	else
		rc = sets_save(path, packed.data, packed.len, err);
	free(text);
	e3_buf_release(&packed);
	return rc;
}
