/* export: a glTF document under construction: counts what it adds, so that references are right by construction. */
#include "e3/num.h"
#include "e3/tool.h"
#include "export/glb.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void add(e3_gltf *g, e3_buf *to, const char *fmt, ...) E3_PRINTF(3, 4);
static void add(e3_gltf *g, e3_buf *to, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (!g->rc)
		g->rc = n < 0 || n >= (int)sizeof text ? e3_fail(g->err, "writing glTF: a member is too long")
											   : e3_buf_add(to, text, (size_t)n, g->err);
}

int e3_gltf_member(e3_gltf *g, e3_buf *array, int *n, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (len < 0 || len >= (int)sizeof text) {
		g->rc = e3_fail(g->err, "writing glTF: a member is too long");
		return 0;
	}
	add(g, array, "%s%s", *n ? "," : "", text);
	return (*n)++;
}

int e3_gltf_view(e3_gltf *g, uint64_t offset, uint64_t length, int target)
{
	char more[32] = "";
	if (target && !g->plain)
		snprintf(more, sizeof more, ",\"target\":%d", target);
	return e3_gltf_member(g, &g->views, &g->n_views,
		"{\"buffer\":0,\"byteOffset\":%" PRIu64 ",\"byteLength\":%" PRIu64 "%s}", offset, length, more);
}

uint64_t e3_gltf_tail(e3_gltf *g, const void *bytes, size_t n)
{
	uint64_t at = g->points_bytes + g->tail.len;
	if (!g->rc)
		g->rc = e3_buf_add(&g->tail, bytes, n, g->err);
	if (!g->rc && n % 4)
		g->rc = e3_buf_add(&g->tail, "\0\0\0", 4 - n % 4, g->err);
	return at;
}

int e3_gltf_accessor(e3_gltf *g, const e3_gltf_array *a)
{
	const char *type = a->width == 1 ? "SCALAR" : a->width == 3 ? "VEC3" : "VEC4";
	bool colour = a->width == 4 && a->component != E3_GLTF_F32;
	char bounds[256] = "";
	int used = 0;
	for (int side = 0; a->min && a->max && side < 2; side++)
		for (int k = 0; k < a->width; k++)
			used += snprintf(bounds + used, sizeof bounds - (size_t)used, "%s%.9g%s",
				k          ? ","
					: side ? ",\"max\":["
						   : ",\"min\":[",
				side ? a->max[k] : a->min[k], k + 1 == a->width ? "]" : "");
	return e3_gltf_member(g, &g->accessors, &g->n_accessors,
		"{\"bufferView\":%d,\"byteOffset\":0,\"componentType\":%d,\"count\":%" PRIu64 ",\"type\":\"%s\"%s%s}", a->view,
		a->component, a->count, type, colour ? ",\"normalized\":true" : "", bounds);
}

static void join(e3_gltf *g, e3_buf *out, const char *key, const e3_buf *members)
{
	if (!members->len || g->rc)
		return;
	add(g, out, ",\n\"%s\":[", key);
	if (!g->rc)
		g->rc = e3_buf_add(out, members->data, members->len, g->err);
	add(g, out, "]");
}

int e3_gltf_json(e3_gltf *g, e3_buf *out)
{
	uint64_t bin = g->points_bytes + g->tail.len;
	bool unlit = !g->plain && g->n_materials;
	add(g, out,
		"{\"asset\":{\"version\":\"2.0\",\"generator\":\"e3-export " E3_VERSION "\"}%s,"
		"\"scene\":0,\"scenes\":[{\"nodes\":[0]}]",
		unlit ? ",\"extensionsUsed\":[\"KHR_materials_unlit\"]" : "");
	join(g, out, "nodes", &g->nodes);
	join(g, out, "cameras", &g->cameras);
	join(g, out, "meshes", &g->meshes);
	join(g, out, "materials", &g->materials);
	join(g, out, "accessors", &g->accessors);
	join(g, out, "bufferViews", &g->views);
	if (bin)
		add(g, out, ",\n\"buffers\":[{\"byteLength\":%" PRIu64 "}]", bin);
	add(g, out, "}%s", g->plain ? " " : "");
	while (!g->rc && out->len % 4)
		add(g, out, " ");
	return g->rc;
}

void e3_gltf_release(e3_gltf *g)
{
	e3_buf *all[] = {&g->views, &g->accessors, &g->meshes, &g->nodes, &g->materials, &g->cameras, &g->tail};
	for (size_t k = 0; k < sizeof all / sizeof *all; k++)
		e3_buf_release(all[k]);
}

int e3_glb_size(const char *path, uint64_t points, uint64_t json, uint64_t bin, uint32_t *total, e3_err *err)
{
	uint64_t n = 12 + 8 + json + (bin ? 8 + bin : 0);
	if (n > UINT32_MAX)
		return e3_fail(err,
			"writing: %s: %" PRIu64 " points make %.1f GiB, and a GLB holds at most 4 GiB; "
			"write fewer points, larger voxels, or a PLY",
			path, points, (double)n / (1 << 30));
	*total = (uint32_t)n;
	return 0;
}

void e3_bounds(const float *v, size_t n, float min[3], float max[3])
{
	for (size_t k = 0; k < n; k++)
		for (int j = 0; j < 3; j++) {
			float x = v[3 * k + (size_t)j];
			if (k == 0 || x < min[j])
				min[j] = x;
			if (k == 0 || x > max[j])
				max[j] = x;
		}
}
