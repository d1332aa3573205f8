/* sets: Sintel's .dpt and .cam, and depth in 16-bit PNG. Refuses bytes that are not exactly what their header says. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/sets.h"
#include "internal.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void e3_depth_release(e3_depth *d)
{
	free(d->z);
	*d = (e3_depth){0};
}

int e3_depth_init(e3_depth *d, int w, int h, e3_err *err)
{
	*d = (e3_depth){0};
	if (w < 1 || h < 1 || w > 65535 || h > 65535 || (int64_t)w * h > 1 << 28)
		return e3_fail(err, "making a depth map: %d × %d: sizes go from 1 to 65535 a side and to 2^28 pixels", w, h);
	d->z = e3_alloc((size_t)w * (size_t)h, sizeof *d->z, "a depth map", err);
	if (!d->z)
		return -1;
	d->w = w, d->h = h;
	return 0;
}

int sets_save(const char *path, const void *bytes, size_t n, e3_err *err)
{
	e3_file file;
	if (e3_file_open(&file, path, err))
		return -1;
	if (e3_file_write(&file, bytes, n, err)) {
		e3_file_discard(&file);
		return -1;
	}
	return e3_file_commit(&file, err);
}

/* --- Sintel (doc/evaluation.md 2.1) --- */

#define TAG 0x48454950u /* 202021.25f, "PIEH" */
enum { DPT_HEAD = 12, CAM_BYTES = 4 + 21 * 8, MAX_DPT = 100000000 };

static int check_tag(const uint8_t *bytes, size_t n, e3_err *err)
{
	if (n < 4)
		return e3_fail(err, "truncated: %zu byte%s", n, SETS_S(n));
	if (e3_le32(bytes) != TAG)
		return e3_fail(err, "begins with %02x %02x %02x %02x: expected the tag 50 49 45 48 (202021.25)", bytes[0],
			bytes[1], bytes[2], bytes[3]);
	return 0;
}

static int dpt(const uint8_t *bytes, size_t n, e3_depth *out, e3_err *err)
{
	if (check_tag(bytes, n, err))
		return -1;
	if (n < DPT_HEAD)
		return e3_fail(err, "truncated: %zu bytes: the header alone has %d", n, DPT_HEAD);
	int32_t w = (int32_t)e3_le32(bytes + 4), h = (int32_t)e3_le32(bytes + 8);
	if (w < 1 || h < 1 || (int64_t)w * h < 2 || (int64_t)w * h >= MAX_DPT)
		return e3_fail(err, "%" PRId32 " × %" PRId32 " pixels: expected positive sizes and fewer than %d", w, h,
			MAX_DPT);
	uint64_t want = DPT_HEAD + 4 * (uint64_t)w * (uint64_t)h;
	if (n != want)
		return e3_fail(err, "%s: %zu bytes: %" PRId32 " × %" PRId32 " pixels take %" PRIu64,
			n < want ? "truncated" : "too long", n, w, h, want);
	if (e3_depth_init(out, w, h, err))
		return -1;
	for (size_t k = 0; k < (size_t)w * (size_t)h; k++) {
		uint32_t u = e3_le32(bytes + DPT_HEAD + 4 * k);
		float v;
		memcpy(&v, &u, 4);
		if (isnan(v))
			return e3_fail(err, "pixel %zu, %zu: not a number", k % (size_t)w, k / (size_t)w);
		out->z[k] = v > 0 ? v : 0;
	}
	return 0;
}

int e3_sintel_dpt_decode(const uint8_t *bytes, size_t n, const char *name, e3_depth *out, e3_err *err)
{
	*out = (e3_depth){0};
	if (dpt(bytes, n, out, err) == 0)
		return 0;
	e3_depth_release(out);
	return e3_fail_in(err, "reading: %s", name);
}

void sets_put_floats(uint8_t *to, const float *v, size_t n)
{
	for (size_t k = 0; k < n; k++)
		e3_put_lef32(to + 4 * k, v[k]);
}

int e3_sintel_dpt_save(const char *path, const e3_depth *d, e3_err *err)
{
	size_t n = (size_t)d->w * (size_t)d->h;
	uint8_t *bytes = e3_alloc(DPT_HEAD + 4 * n, 1, "a depth map", err);
	if (!bytes)
		return -1;
	e3_put_le32(bytes, TAG);
	e3_put_le32(bytes + 4, (uint32_t)d->w);
	e3_put_le32(bytes + 8, (uint32_t)d->h);
	sets_put_floats(bytes + DPT_HEAD, d->z, n);
	int rc = sets_save(path, bytes, DPT_HEAD + 4 * n, err);
	free(bytes);
	return rc;
}

static int cam(const uint8_t *bytes, size_t n, e3_cam *out, e3_err *err)
{
	double v[21];
	if (check_tag(bytes, n, err))
		return -1;
	if (n != CAM_BYTES)
		return e3_fail(err, "%s: %zu bytes: a camera has %d", n < CAM_BYTES ? "truncated" : "too long", n, CAM_BYTES);
	for (int k = 0; k < 21; k++) {
		uint64_t u = e3_le64(bytes + 4 + 8 * k);
		memcpy(&v[k], &u, 8);
		if (!isfinite(v[k]))
			return e3_fail(err, "number %d is not finite: %s", k + 1,
				k < 9 ? "the intrinsics are missing" : "the pose is missing");
	}
	memcpy(out->k, v, sizeof out->k);
	memcpy(out->w2c, v + 9, sizeof out->w2c);
	if (!(out->k[0] > 0 && out->k[4] > 0))
		return e3_fail(err, "focal lengths %g and %g: expected positive ones", out->k[0], out->k[4]);
	return sets_check_rotation(out->w2c, err);
}

int e3_cam_decode(const uint8_t *bytes, size_t n, const char *name, e3_cam *out, e3_err *err)
{
	return cam(bytes, n, out, err) ? e3_fail_in(err, "reading: %s", name) : 0;
}

int e3_cam_save(const char *path, const e3_cam *c, e3_err *err)
{
	uint8_t bytes[CAM_BYTES];
	uint64_t u[21];
	memcpy(u, c->k, sizeof c->k);
	memcpy(u + 9, c->w2c, sizeof c->w2c);
	e3_put_le32(bytes, TAG);
	for (int k = 0; k < 21; k++)
		e3_put_le64(bytes + 4 + 8 * k, u[k]);
	return sets_save(path, bytes, sizeof bytes, err);
}

/* --- 16-bit PNG --- */

static const struct {
	double step;     /* raw values per metre */
	float near, far; /* metres; values outside are unknown */
	bool deep;       /* at least one value must exceed 255 */
} kinds[] = {
	[E3_DEPTH16_KITTI] = {256, 0, INFINITY, true},
	[E3_DEPTH16_BONN] = {5000, 0, INFINITY, true},
	[E3_DEPTH16_SCENES7] = {1000, 0.001f, 10, false},
	[E3_DEPTH16_NRGBD] = {1000, 0.001f, 10, false},
};

int sets_depth16(const uint16_t *raw, e3_depth16 kind, e3_depth *out, e3_err *err)
{
	unsigned highest = 0;
	for (size_t k = 0; k < (size_t)out->w * (size_t)out->h; k++) {
		unsigned v = raw[k];
		float z = (float)(v / kinds[kind].step);
		highest = v > highest ? v : highest;
		out->z[k] = z > kinds[kind].far || z < kinds[kind].near ? 0 : z;
	}
	if (kinds[kind].deep && highest <= 255)
		return e3_fail(err, "its highest value is %u: expected 16 bits in use, not an 8-bit picture", highest);
	return 0;
}

int e3_depth16_decode(const uint8_t *bytes, size_t n, const char *name, e3_depth16 kind, e3_depth *out, e3_err *err)
{
	uint16_t *raw;
	int size[2];
	*out = (e3_depth){0};
	if (e3_png16_decode(bytes, n, name, &raw, size, err))
		return -1;
	int rc = e3_depth_init(out, size[0], size[1], err);
	if (!rc && sets_depth16(raw, kind, out, err))
		rc = e3_fail_in(err, "reading: %s", name);
	free(raw);
	if (rc)
		e3_depth_release(out);
	return rc;
}

int e3_depth16_save(const char *path, e3_depth16 kind, const e3_depth *d, e3_err *err)
{
	size_t n = (size_t)d->w * (size_t)d->h;
	uint16_t *raw = e3_alloc(n, sizeof *raw, "a depth map", err);
	if (!raw)
		return -1;
	for (size_t k = 0; k < n; k++) {
		double v = nearbyint(d->z[k] * kinds[kind].step), most = fmin(65535, kinds[kind].far * kinds[kind].step);
		raw[k] = v > 0 && v <= most ? (uint16_t)v : 0;
	}
	int rc = e3_png16_save(path, raw, d->w, d->h, NULL, err);
	free(raw);
	return rc;
}
