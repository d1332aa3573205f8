/* sets: CO3Dv2 as it is written: pictures below CATEGORY/SEQUENCE/images, and the sequence added to the category's
 * annotations. */
#include "json_gz.h"
#include "write.h"
#include <stdlib.h>
#include <string.h>

static json_t *row_of(const double *v, int n)
{
	json_t *row = json_array();
	for (int k = 0; k < n; k++)
		json_array_append_new(row, json_real(v[k]));
	return row;
}

/* PyTorch3D: row vectors, x left, y up; lengths in half the shorter side of the picture. */
static json_t *annotation(const char *path, const e3_set_shot *s)
{
	static const double sign[3] = {-1, -1, 1};
	double w2c[12], half = (s->rgb->w < s->rgb->h ? s->rgb->w : s->rgb->h) / 2.0, t[3];
	e3_rigid_invert(s->pose, w2c);
	json_t *r = json_array(), *one = json_object();
	for (int col = 0; col < 3; col++) {
		double turned[3];
		for (int row = 0; row < 3; row++)
			turned[row] = sign[row] * w2c[4 * row + col];
		json_array_append_new(r, row_of(turned, 3));
		t[col] = sign[col] * w2c[4 * col + 3];
	}
	const double focal[2] = {s->k.fx / half, s->k.fy / half};
	const double centre[2] = {(s->rgb->w / 2.0 - s->k.cx) / half, (s->rgb->h / 2.0 - s->k.cy) / half};
	json_object_set_new(one, "filepath", json_string(path));
	json_object_set_new(one, "R", r);
	json_object_set_new(one, "T", row_of(t, 3));
	json_object_set_new(one, "focal_length", row_of(focal, 2));
	json_object_set_new(one, "principal_point", row_of(centre, 2));
	return one;
}

void sets_more_release_co3d(e3_set_writer *w)
{
	json_decref(w->more);
	w->more = NULL;
}

int sets_put_co3d(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	if (!w->more)
		w->more = json_array();
	char *path = sets_to_write(w, err, "%s/images/frame%06lld.jpg", w->name, (long long)w->n + 1);
	int rc = path ? e3_jpeg_save(path, s->rgb, 95, err) : -1;
	if (!rc && json_array_append_new(w->more, annotation(path + strlen(w->root) + 1, s)))
		rc = e3_fail(err, "writing: %s: out of memory", path);
	free(path);
	return rc;
}

int sets_finish_co3d(e3_set_writer *w, e3_err *err)
{
	const char *slash = strchr(w->name, '/');
	char *path = sets_to_write(w, err, "%.*s_test.jgz", (int)(slash - w->name), w->name);
	json_t *all = !path ? NULL : sets_is_file(path) ? sets_json_load(path, err) : json_object();
	int rc = all ? 0 : -1;
	if (!rc && json_object_set(all, slash + 1, w->more))
		rc = e3_fail(err, "writing: %s: out of memory", path);
	if (!rc)
		rc = sets_json_save(path, all, err);
	json_decref(all);
	free(path);
	return rc;
}
