/* Fuzz target: any bytes as a data set's file; the first byte chooses the format. Nothing may crash, hang or reserve
 * what the bytes do not justify; what is read keeps its promises: sizes, finite poses that are rotations, depth that is
 * 0 or more. */
#include "e3/mem.h"
#include "e3/sets.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DPT, CAM, NPY, PNG16, TRAJ = PNG16 + 4, ASSOCIATE = TRAJ + 5, FORMATS };

static void require(int condition)
{
	if (!condition)
		abort();
}

static void check_depth(int rc, e3_depth *d, const e3_err *err)
{
	require(rc == 0 ? d->z && d->w > 0 && d->h > 0 : rc == -1 && !d->z && err->text[0]);
	for (size_t k = 0; d->z && k < (size_t)d->w * (size_t)d->h; k++)
		require(d->z[k] >= 0);
	e3_depth_release(d);
}

static void check_pose(const double m[12])
{
	for (int k = 0; k < 12; k++)
		require(isfinite(m[k]));
	for (int r = 0; r < 3; r++)
		require(fabs(m[4 * r] * m[4 * r] + m[4 * r + 1] * m[4 * r + 1] + m[4 * r + 2] * m[4 * r + 2] - 1) < 0.02);
}

static void try_traj(const uint8_t *data, size_t size, e3_traj_format format)
{
	e3_err err = {""};
	e3_traj t;
	int rc = e3_traj_decode((const char *)data, size, "fuzz", format, &t, &err);
	require(rc == 0 ? t.n > 0 : rc == -1 && !t.pose && !t.stamp && err.text[0]);
	for (size_t k = 0; k < t.n; k++) {
		require(isfinite(t.stamp[k]));
		check_pose(t.pose[k]);
	}
	e3_traj_release(&t);
}

/* Halves of the bytes as two lists of stamps, a hundredth of a second each. */
static void try_associate(const uint8_t *data, size_t size)
{
	double stamp[2][256];
	size_t n[2] = {size / 2 < 256 ? size / 2 : 256, size - size / 2 < 256 ? size - size / 2 : 256};
	e3_stamp_pairs pairs;
	bool used[256] = {false};
	for (int side = 0; side < 2; side++)
		for (size_t k = 0; k < n[side]; k++)
			stamp[side][k] = data[side * (size / 2) + k] / 100.0;
	require(e3_traj_associate((e3_stamps){stamp[0], n[0]}, (e3_stamps){stamp[1], n[1]}, 0.02, &pairs, NULL) == 0);
	for (size_t k = 0; k < pairs.n; k++) {
		require(fabs(stamp[0][pairs.at[k][0]] - stamp[1][pairs.at[k][1]]) < 0.02);
		require(k == 0 || stamp[0][pairs.at[k - 1][0]] <= stamp[0][pairs.at[k][0]]);
		require(!used[pairs.at[k][1]]);
		used[pairs.at[k][1]] = true;
	}
	free(pairs.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	e3_err err = {""};
	e3_depth d;
	e3_cam cam;
	if (size == 0)
		return 0;
	int format = data[0] % FORMATS;
	data++, size--;
	if (format == DPT) {
		check_depth(e3_sintel_dpt_decode(data, size, "fuzz", &d, &err), &d, &err);
	} else if (format == CAM) {
		if (e3_cam_decode(data, size, "fuzz", &cam, &err) == 0)
			check_pose(cam.w2c);
		else
			require(err.text[0]);
	} else if (format == NPY) {
		check_depth(e3_npy_decode(data, size, "fuzz", &d, &err), &d, &err);
	} else if (format < TRAJ) {
		check_depth(e3_depth16_decode(data, size, "fuzz", (e3_depth16)(format - PNG16), &d, &err), &d, &err);
	} else if (format < ASSOCIATE) {
		try_traj(data, size, (e3_traj_format)(format - TRAJ));
	} else {
		try_associate(data, size);
	}
	return 0;
}
