/* Files of known poses and positions, and what they say at a time. */
#include "check.h"
#include "e3/known.h"

static const e3_known_reading poses = {.format = E3_KNOWN_POSES, .sigma = 0.25},
							  positions = {.format = E3_KNOWN_POSITIONS, .sigma = 0.5, .offset = 100},
							  places = {.format = E3_KNOWN_GEODETIC, .sigma = 3},
							  any = {.format = E3_KNOWN_DETECT, .sigma = 1};

static e3_known decode(const char *text, const e3_known_reading *how)
{
	e3_known k;
	e3_err err;
	if (e3_known_decode(text, strlen(text), "a file", how, &k, &err))
		fail_msg("%s", err.text);
	return k;
}

static void poses_are_sorted_and_found_by_time(void **state)
{
	e3_known k = decode("# a comment\n2 4 5 6 0 0 1 1\n\n1.0,1,2,3,0,0,0,2 # behind\r\n", &poses);
	e3_known_row row;
	assert_int_equal(k.n, 2);
	assert_true(k.row[0].time == 1 && k.row[0].pose[3] == 1 && k.row[0].pose[0] == 1 && k.row[0].sigma == 0.25);
	assert_true(e3_known_at(&k, 1.6, 0.5, &row) && row.time == 2); /* the nearest, not one between */
	assert_true(fabs(row.pose[0]) < 1e-12 && fabs(row.pose[1] + 1) < 1e-12 && row.pose[11] == 6);
	assert_true(e3_known_at(&k, 0.5, 0.5, &row) && row.time == 1);
	assert_false(e3_known_at(&k, 0.4, 0.5, &row));
	assert_false(e3_known_at(&k, 1.5, 0.4, &row));
	assert_false(e3_known_at(&k, 2.6, 0.5, &row));
	e3_known_release(&k);
}

static void positions_have_others_between_them(void **state)
{
	e3_known k = decode("0 0 0 0\n1 2 4 6 0.125\n4 9 9 9\n", &positions);
	e3_known_row row;
	assert_true(e3_known_at(&k, 100.25, 0, &row));
	assert_true(row.pose[3] == 0.5 && row.pose[7] == 1 && row.pose[11] == 1.5 && row.sigma == 0.5);
	assert_false(e3_known_at(&k, 102.5, 1, &row)); /* three seconds lie between these */
	assert_true(e3_known_at(&k, 101.5, 1, &row) && row.pose[3] == 2 && row.sigma == 0.125);
	assert_true(e3_known_at(&k, 104, 0, &row) && row.pose[3] == 9);
	e3_known_release(&k);
}

/* Stuttgart, a second of latitude and longitude, and 10 m up: the radii of curvature of the ellipsoid give
 * the lengths of such seconds. */
static void places_become_metres(void **state)
{
	e3_known k =
		decode("0 48.775 9.18 250\n1 48.775277777777778 9.18 250\n2 48.775 9.180277777777778 250\n3 48.775 9.18 260\n",
			&places);
	static const double expected[4][3] = {{0}, {0, 30.8916, 0}, {20.4177, 0, 0}, {0, 0, 10}};
	for (int n = 0; n < 4; n++)
		for (int axis = 0; axis < 3; axis++)
			assert_true(fabs(k.row[n].pose[4 * axis + 3] - expected[n][axis]) < 1e-3);
	assert_true(k.origin[0] == 48.775 && k.origin[1] == 9.18 && k.origin[2] == 250);
	e3_known_release(&k);
}

/* Names of columns in any order, with quotes, units, other columns, empty fields, dates; comments that name places. */
static void columns_have_names(void **state)
{
	static const e3_known_reading detect = {.format = E3_KNOWN_DETECT, .sigma = 2, .offset = 10};
	static const struct {
		const char *text;
		e3_known_format format;
		bool z_up;
		double time, at[3], sigma;
	} table[] = {
		{"1 2 3 4\n", E3_KNOWN_POSITIONS, false, 11, {2, 3, 4}, 2},
		{"1,2,3,4,0.5\r\n", E3_KNOWN_POSITIONS, false, 11, {2, 3, 4}, 0.5},
		{"# timestamp tx ty tz qx qy qz qw\n1,2,3,4,0,0,0,1\n", E3_KNOWN_POSES, false, 11, {2, 3, 4}, 2},
		{"\n# lat and lon come later\nz,y,x,mood,time\n4,3,2,happy,1\n\n", E3_KNOWN_POSITIONS, false, 11, {2, 3, 4}, 2},
		{"time,east,north,up\n1,2,3,4\n", E3_KNOWN_POSITIONS, true, 11, {2, 3, 4}, 2},
		{"Time [s];Easting;Northing;Height;accuracy\n1;2;3;4;\n", E3_KNOWN_POSITIONS, true, 11, {2, 3, 4}, 2},
		{"t\tqw\tqx\tqy\tqz\tx\ty\tz\n1\t1\t0\t0\t0\t2\t3\t4\n", E3_KNOWN_POSES, false, 11, {2, 3, 4}, 2},
		{"\xef\xbb\xbf\"time\",\"lat\",\"lon\"\n1,48,9\n", E3_KNOWN_GEODETIC, true, 11, {0, 0, 0}, 2},
		{"# time lat lon alt\n1 48 9 300\n", E3_KNOWN_GEODETIC, true, 11, {0, 0, 0}, 2},
		{"utc,latitude,longitude,elevation\n1970-01-02T00:00:01.5Z,48,9,3", E3_KNOWN_GEODETIC, true, 86411.5, {0, 0, 0},
			2},
		{"utc,lat,lng\n2024-03-01 12:30:45,48,9\n", E3_KNOWN_GEODETIC, true, 1709296245 + 10, {0, 0, 0}, 2},
		{"#time [ms],x,y,z\n1500,2,3,4\n", E3_KNOWN_POSITIONS, false, 11.5, {2, 3, 4}, 2},
		{"#timestamp [ns], p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m]\n2500000000,2,3,4\n", E3_KNOWN_POSITIONS, true,
			12.5, {2, 3, 4}, 2},
		/* names between commas, numbers between blanks */
		{"# timestamp, tx, ty, tz, qw, qx, qy, qz\n\n# metres\n1 2 3 4 1 0 0 0\n", E3_KNOWN_POSES, false, 11, {2, 3, 4},
			2},
	};
	for (size_t n = 0; n < sizeof table / sizeof *table; n++) {
		e3_known k = decode(table[n].text, &detect);
		bool good = k.n == 1 && k.format == table[n].format && k.z_up == table[n].z_up &&
			k.row[0].time == table[n].time && k.row[0].sigma == table[n].sigma;
		for (int axis = 0; axis < 3; axis++)
			good = good && fabs(k.row[0].pose[4 * axis + 3] - table[n].at[axis]) < 1e-9;
		if (!good)
			fail_msg("%s: format %d, time %.9g, %g %g %g, sigma %g", table[n].text, (int)k.format, k.row[0].time,
				k.row[0].pose[3], k.row[0].pose[7], k.row[0].pose[11], k.row[0].sigma);
		e3_known_release(&k);
	}
}

/* EuRoC's data.csv: nanoseconds, qw first, more columns. As positions too. */
static void euroc(void **state)
{
	static const char text[] =
		"#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z [], v_RS_R_x [m "
		"s^-1]\r\n1403636580838555648,1,2,3,0.6,0,0,0.8,9\r\n1403636580843555648,1,2,4,1,0,0,0,9\r\n";
	e3_known k = decode(text, &poses);
	assert_int_equal(k.n, 2);
	assert_true(fabs(k.row[0].time - 1403636580.838555648) < 1e-6 && k.z_up && k.row[0].pose[11] == 3);
	assert_true(fabs(k.row[0].pose[0] - -0.28) < 1e-15 && fabs(k.row[0].pose[4] - 0.96) < 1e-15); /* about z */
	e3_known_release(&k);
	k = decode(text, &positions);
	assert_true(k.n == 2 && k.format == E3_KNOWN_POSITIONS && k.row[1].pose[11] == 4);
	e3_known_release(&k);
	assert_true(e3_known_named(text, sizeof text - 1));
	k = decode("\xef\xbb\xbf"
			   "1 2 3 4 0 0 0 1\n",
		&poses); /* a byte order mark */
	assert_true(k.n == 1 && k.row[0].time == 1);
	e3_known_release(&k);
	k = decode("1 2 3 4 0 0 1 1\n", &positions); /* of poses the positions */
	assert_true(k.n == 1 && k.row[0].pose[11] == 4 && k.row[0].pose[0] == 1 && k.row[0].sigma == positions.sigma);
	e3_known_release(&k);
	static const char nul[] = "1 2 3\0 4\n",
					  named_nul[] = "time,x,y,z\n1,2,3,4\0\n"; /* no end of a text, and no blank */
	e3_err err;
	assert_int_equal(e3_known_decode(nul, sizeof nul - 1, "a file", &positions, &k, &err), -1);
	assert_int_equal(e3_known_decode(named_nul, sizeof named_nul - 1, "a file", &positions, &k, &err), -1);
	assert_false(e3_known_named("# timestamp tx ty tz qx qy qz qw\n1 2 3 4 0 0 0 1\n", 50));
}

static void poses_between_poses(void **state)
{
	e3_known k =
		decode("0 0 0 0 0 0 0 1\n1 4 0 0 0 0 0.7071067811865476 0.7071067811865476\n9 0 0 0 0 0 0 1\n", &poses);
	e3_known_row row;
	assert_true(e3_known_between(&k, 0.25, 0.1, &row) && row.pose[3] == 1);
	assert_true(fabs(atan2(row.pose[4], row.pose[0]) - 3.14159265358979323846 / 8) < 1e-12);
	assert_false(e3_known_between(&k, 5, 0.1, &row));
	assert_true(e3_known_between(&k, 8.95, 0.1, &row) && row.time == 9);
	e3_known_release(&k);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const e3_known_reading *how;
		const char *text, *error;
	} bad[] = {
		{&poses, "", "reading: a file: holds no line of numbers"},
		{&poses, "1 2 3 4 0 0 0 1\n2 2 3 4 0 0 0 0\n", "reading: a file: line 2: the quaternion has length 0"},
		{&poses, "1 2 3 4 0 0 0 1 9", "reading: a file: line 1: 9 numbers: expected 8: time, x y z, qx qy qz qw"},
		{&poses, "1 0 0 2 0 1 0 3 0 0 1 4",
			"reading: a file: line 1: 12 numbers: expected 8: time, x y z, qx qy qz qw: 12 are a path of KITTI, which has no times"},
		{&poses, "time,x,y,z\n1,2,3,4", "reading: a file: line 1: names positions alone: expected qx, qy, qz, qw too"},
		{&positions, "time,lat,lon\n1,2,3", "reading: a file: line 1: names latitude and longitude: expected x, y, z"},
		{&poses, "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n1 1 0 0 0 1 2 3 1 a.png\n",
			"reading: a file: this is the images of COLMAP (images.txt): expected lines of numbers: time x y z qx qy qz qw, or time x y z"},
		{&any, "{\"camera_angle_x\": 0.69, \"frames\": []}",
			"reading: a file: this is the cameras of NeRF or nerfstudio (transforms.json): expected lines of numbers: time x y z qx qy qz qw, or time x y z"},
		{&poses, "1 2 3 4", "reading: a file: line 1: 4 numbers: expected 8: time, x y z, qx qy qz qw"},
		{&positions, "1 2 3 4 0", "reading: a file: line 1: standard deviation 0: expected more than 0"},
		{&any, "0;0;0;0",
			"reading: a file: line 1: 1 number: expected 8 (time, x y z, qx qy qz qw), 4 (time, x y z), or a first line that "
			"names the columns (time,lat,lon,alt)"},
		{&positions, "1 2 3 4 0 0 0",
			"reading: a file: line 1: 7 numbers: expected 4 or 5: time, position, standard deviation; or 8, of poses"},
		{&positions, "1 2 nan 4", "reading: a file: line 1: 'nan' is not a finite number"},
		{&positions, "1 2 0x4 4", "reading: a file: line 1: '0x4' is not a finite number"},
		{&positions, "1 2 1e999 4", "reading: a file: line 1: '1e999' is not a finite number"},
		{&any, "# nothing\n\n", "reading: a file: holds no line of numbers"},
		{&any, "1 2 3\n",
			"reading: a file: line 1: 3 numbers: expected 8 (time, x y z, qx qy qz qw), 4 (time, x y z), or a first line that names the columns (time,lat,lon,alt)"},
		{&any, "time,x,lon,alt\n1,2,3,4\n",
			"reading: a file: line 1: 'time,x,lon,alt': expected names of columns: time, lat, lon, alt; or time, x, y, z, and qx, qy, qz, qw where orientations are known"},
		{&any, "lat,lon,time\n1,2,3\n4,,5\n", "reading: a file: line 3: y or longitude is missing"},
		{&any, "time,x,y,z\n1,2,3,4\n2,3,4,hello\n", "reading: a file: line 3: 'hello' is not a finite number"},
		{&any, "time,x,y,z\n2024-13-01T00:00:00,3,4,5\n",
			"reading: a file: line 2: '2024-13-01T00:00:00' is not a finite number"},
		{&places, "0 91 3 4", "reading: a file: line 1: latitude 91, longitude 3: expected degrees, latitude first"},
		{&places, "0 48 9 4\n0 50 9 4",
			"reading: a file: line 2: coordinate 222386.034: expected at most 100000: predictions have single precision; "
			"subtract an origin"},
	};
	for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) {
		e3_known k;
		e3_err err = {""};
		assert_int_equal(e3_known_decode(bad[n].text, strlen(bad[n].text), "a file", bad[n].how, &k, &err), -1);
		assert_null(k.row);
		if (!strstr(bad[n].error, "222386.034"))
			assert_string_equal(err.text, bad[n].error);
		else
			assert_non_null(strstr(err.text, "expected at most 100000"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poses_are_sorted_and_found_by_time),
		cmocka_unit_test(positions_have_others_between_them),
		cmocka_unit_test(places_become_metres),
		cmocka_unit_test(columns_have_names),
		cmocka_unit_test(euroc),
		cmocka_unit_test(poses_between_poses),
		cmocka_unit_test(what_is_wrong_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
