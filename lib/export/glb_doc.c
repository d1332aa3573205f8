/* export: a glTF document under construction: counts what it adds, so that references are right by construction. */
#include "e3/num.h"
#include "e3/version.h"
#include "export/glb.h"
#include <inttypes.h>

e3_json *e3_gltf_begin(e3_gltf *g, e3_gltf_list *list)
{
	list->json.to = &list->text, list->json.err = g->err;
	e3_json_object(&list->json, NULL);
	return &list->json;
}

int e3_gltf_end(e3_gltf *g, e3_gltf_list *list)
{
	e3_json_end(&list->json);
	if (!g->rc)
		g->rc = list->json.rc;
	return list->n++;
}

int e3_gltf_view(e3_gltf *g, uint64_t offset, uint64_t length, int target)
{
	e3_json *j = e3_gltf_begin(g, &g->views);
	e3_json_int(j, "buffer", 0);
	e3_json_int(j, "byteOffset", (int64_t)offset);
	e3_json_int(j, "byteLength", (int64_t)length);
	if (target && !g->plain)
		e3_json_int(j, "target", target);
	return e3_gltf_end(g, &g->views);
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
	e3_json *j = e3_gltf_begin(g, &g->accessors);
	e3_json_int(j, "bufferView", a->view);
	e3_json_int(j, "byteOffset", 0);
	e3_json_int(j, "componentType", a->component);
	e3_json_int(j, "count", (int64_t)a->count);
	e3_json_text(j, "type", a->width == 1 ? "SCALAR" : a->width == 3 ? "VEC3" : "VEC4");
	if (a->width == 4 && a->component != E3_GLTF_F32)
		e3_json_bool(j, "normalized", true);
	for (int side = 0; a->min && a->max && side < 2; side++) {
		e3_json_array(j, side ? "max" : "min");
		for (int k = 0; k < a->width; k++)
			e3_json_real(j, NULL, side ? a->max[k] : a->min[k], 9);
		e3_json_end(j);
	}
	return e3_gltf_end(g, &g->accessors);
}

static void join(e3_json *j, const char *key, const e3_gltf_list *list)
{
	if (!list->n || !list->text.len)
		return;
	e3_json_blank(j, "\n");
	e3_json_array(j, key);
	e3_json_raw(j, NULL, list->text.data, list->text.len);
	e3_json_end(j);
}

static void add_asset(e3_json *j)
{
	e3_json_object(j, "asset");
	e3_json_text(j, "version", "2.0");
	e3_json_text(j, "generator", "e3-export " E3_VERSION);
	e3_json_end(j);
}

static void add_buffer(e3_json *j, uint64_t bytes)
{
	e3_json_blank(j, "\n");
	e3_json_array(j, "buffers");
	e3_json_object(j, NULL);
	e3_json_int(j, "byteLength", (int64_t)bytes);
	e3_json_end(j);
	e3_json_end(j);
}

int e3_gltf_json(e3_gltf *g, e3_buf *out)
{
	uint64_t bin = g->points_bytes + g->tail.len;
	e3_json j = {.to = out, .err = g->err, .rc = g->rc};
	e3_json_object(&j, NULL);
	add_asset(&j);
	if (!g->plain && !g->lit && g->materials.n) {
		e3_json_array(&j, "extensionsUsed");
		e3_json_text(&j, NULL, "KHR_materials_unlit");
		e3_json_end(&j);
	}
	e3_json_int(&j, "scene", 0);
	e3_json_array(&j, "scenes");
	e3_json_object(&j, NULL);
	e3_json_ints(&j, "nodes", (int[]){0}, 1);
	e3_json_end(&j);
	e3_json_end(&j);
	join(&j, "nodes", &g->nodes);
	join(&j, "cameras", &g->cameras);
	join(&j, "meshes", &g->meshes);
	join(&j, "materials", &g->materials);
	join(&j, "accessors", &g->accessors);
	join(&j, "bufferViews", &g->views);
	if (bin)
		add_buffer(&j, bin);
	e3_json_end(&j);
	g->rc = j.rc ? j.rc : g->plain ? e3_buf_add(out, " ", 1, g->err) : 0;
	while (!g->rc && out->len % 4)
		g->rc = e3_buf_add(out, " ", 1, g->err);
	return g->rc;
}

void e3_gltf_release(e3_gltf *g)
{
	e3_buf *all[] = {&g->views.text, &g->accessors.text, &g->meshes.text, &g->nodes.text, &g->materials.text,
		&g->cameras.text, &g->tail};
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
