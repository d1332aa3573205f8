/* place: the similarity that takes the cameras of a run to a known path. Refuses paths that have too little in common
 * with it in time, in extent or in shape, with the numbers. */
#include "place.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the path's extent: residuals above are another path. */
static const double other_path = 0.3;
/* Radians: orientations that differ more among themselves say nothing. */
static const double agree = 0.35;

typedef struct match {
	const place_camera *camera;
	double r[9]; /* known, world from camera */
} match;

static double shift(const e3_place *p)
{
	return p->o.from_start && p->n ? p->o.path->row[0].time - p->camera[0].time : 0;
}

/* The cameras whose position is known, in the order of the frames: how many they are. */
static size_t find(const e3_place *p, e3_place_pair *pair, match *matches)
{
	size_t n = 0;
	e3_known_row row;
	for (size_t k = 0; k < p->n; k++) {
		const place_camera *c = &p->camera[k];
		if (!e3_known_between(p->o.path, c->time + shift(p), p->o.gap, &row))
			continue;
		matches[n].camera = c;
		memcpy(pair[n].from, c->center, sizeof c->center);
		for (int axis = 0; axis < 3; axis++) {
			pair[n].to[axis] = row.pose[4 * axis + 3];
			memcpy(matches[n].r + 3 * axis, row.pose + 4 * axis, 3 * sizeof(double));
		}
		n++;
	}
	return n;
}

static int too_few(const e3_place *p, size_t n, e3_err *err)
{
	const e3_known *k = p->o.path;
	double first = p->n ? p->camera[0].time : 0, last = p->n ? p->camera[p->n - 1].time : 0;
	if (!p->n)
		return e3_fail(err, "the stream has no poses");
	return e3_fail(err,
		"%zu of %zu frames have a known position, at least 3 are needed: the frames are from %.9g to %.9g s, the %zu "
		"lines of the file from %.9g to %.9g s, and what is known may be %g s away",
		n, p->n, first + shift(p), last + shift(p), k->n, k->row[0].time, k->row[k->n - 1].time, p->o.gap);
}

/* By how much the run, turned as `sim` does, is to be turned about `axis` so that what it has as `is` gets as near to
 * `should` as can be: sums of sine and cosine. */
static void add_turn(const double axis[3], const double is[3], const double should[3], double *sine, double *cosine)
{
	double a[3], b[3], da = 0, db = 0;
	for (int k = 0; k < 3; k++)
		da += is[k] * axis[k], db += should[k] * axis[k];
	for (int k = 0; k < 3; k++)
		a[k] = is[k] - da * axis[k], b[k] = should[k] - db * axis[k];
	*cosine += a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
	*sine += axis[0] * (a[1] * b[2] - a[2] * b[1]) + axis[1] * (a[2] * b[0] - a[0] * b[2]) +
		axis[2] * (a[0] * b[1] - a[1] * b[0]);
}

static void turned(const e3_similarity *sim, const place_camera *c, double r[9])
{
	double own[9];
	e3_quat_to_mat(c->q, own);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			r[3 * i + j] = sim->r[3 * i] * own[j] + sim->r[3 * i + 1] * own[3 + j] + sim->r[3 * i + 2] * own[6 + j];
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median angle between the cameras' orientations and the known ones. */
static double orientations_off(const e3_place_pair *pair, const match *m, size_t n, const e3_similarity *sim,
	double *room)
{
	size_t used = 0;
	for (size_t k = 0; k < n; k++) {
		double r[9], trace = 0;
		if (pair[k].outlier)
			continue;
		turned(sim, m[k].camera, r);
		for (int i = 0; i < 9; i++)
			trace += r[i] * m[k].r[i];
		room[used++] = acos(fmax(-1, fmin(1, (trace - 1) / 2)));
	}
	qsort(room, used, sizeof *room, ascending);
	return room[used / 2];
}

static void turn_by_orientations(const e3_place_pair *pair, const match *m, size_t n, const e3_place_fitted *f,
	e3_similarity *sim)
{
	double sine = 0, cosine = 0;
	for (size_t k = 0; k < n; k++) {
		double r[9];
		if (pair[k].outlier)
			continue;
		turned(&f->sim, m[k].camera, r);
		for (int axis = 0; axis < 3; axis++)
			add_turn(f->axis[1], (double[3]){r[axis], r[3 + axis], r[6 + axis]},
				(double[3]){m[k].r[axis], m[k].r[3 + axis], m[k].r[6 + axis]}, &sine, &cosine);
	}
	e3_place_turned(pair, n, f, atan2(sine, cosine), sim);
}

/* The cameras are upright; false: the line is as good as vertical. */
static bool turn_by_up(const e3_place *p, const e3_place_pair *pair, size_t n, const e3_place_fitted *f,
	e3_similarity *sim)
{
	e3_up_sums sums = {.n = 0};
	double up[3], is[3], sine = 0, cosine = 0;
	for (size_t k = 0; k < p->n; k++) {
		e3_pose pose = {.t = {0}};
		double q[4] = {-p->camera[k].q[0], -p->camera[k].q[1], -p->camera[k].q[2], p->camera[k].q[3]};
		e3_quat_to_mat(q, pose.r);
		e3_up_add(&sums, &pose);
	}
	e3_up_find(&sums, up);
	for (int row = 0; row < 3; row++)
		is[row] = f->sim.r[3 * row] * up[0] + f->sim.r[3 * row + 1] * up[1] + f->sim.r[3 * row + 2] * up[2];
	add_turn(f->axis[1], is, p->o.up, &sine, &cosine);
	if (hypot(sine, cosine) < 0.1)
		return false;
	e3_place_turned(pair, n, f, atan2(sine, cosine), sim);
	return true;
}

/* Positions on a line leave the turn about it open. */
static int turn_about_line(e3_place *p, const e3_place_pair *pair, const match *m, size_t n, const e3_place_fitted *f,
	double *room, e3_err *err)
{
	e3_place_facts *facts = &p->facts;
	if (p->o.path->format == E3_KNOWN_POSES) {
		turn_by_orientations(pair, m, n, f, &facts->sim);
		facts->turn = E3_PLACE_BY_ORIENTATIONS;
		facts->off = orientations_off(pair, m, n, &facts->sim, room);
		if (facts->off <= agree)
			return 0;
		return e3_fail(err,
			"the path is a line (%.3g long, %.3g across, standard deviations), so the turn about it is open, and the "
			"known orientations differ from the cameras' by %.0f degrees at the median: they are not those of a camera "
			"with x right, y down, z forward",
			f->along, f->across, facts->off * 57.29577951308232);
	}
	if (p->o.up && turn_by_up(p, pair, n, f, &facts->sim)) {
		facts->turn = E3_PLACE_BY_UP;
		return 0;
	}
	return e3_fail(err,
		"the path is a line (%.3g long, %.3g across, standard deviations; residuals %.3g), so the turn about it is open%s",
		f->along, f->across, f->rms,
		p->o.up ? ", and it is vertical"
				: ": orientations, or latitudes and longitudes, or the direction up would say it");
}

static int solve(e3_place *p, e3_place_pair *pair, match *m, double *room, e3_err *err)
{
	e3_place_facts *facts = &p->facts;
	e3_place_fitted f;
	size_t n = find(p, pair, m);
	facts->matched = (int64_t)n;
	if (n < 3)
		return too_few(p, n, err);
	if (e3_place_fit(pair, n, &f, err))
		return e3_fail_in(err, "%zu positions", n);
	facts->outliers = f.outliers, facts->rms = f.rms, facts->worst = f.worst;
	facts->along = f.along, facts->across = f.across;
	facts->sim = f.sim;
	if (!(f.sim.s > 0) || f.rms > other_path * hypot(f.along, f.across))
		return e3_fail(err,
			"the path does not fit: residuals %.3g (root mean square) where it extends %.3g (standard deviation): %zu "
			"positions, %lld of them left out: another path, other times, or the camera hardly moved",
			f.rms, f.along, n, (long long)f.outliers);
	if (f.line)
		return turn_about_line(p, pair, m, n, &f, room, err);
	facts->turn = E3_PLACE_BY_POSITIONS;
	if (p->o.path->format == E3_KNOWN_POSES)
		facts->off = orientations_off(pair, m, n, &facts->sim, room);
	return 0;
}

int place_solve_path(e3_place *p, e3_err *err)
{
	size_t n = p->n ? p->n : 1;
	e3_place_pair *pair = e3_alloc(n, sizeof *pair, "positions", err);
	match *m = pair ? e3_alloc(n, sizeof *m, "known orientations", err) : NULL;
	double *room = m ? e3_alloc(n, sizeof *room, "residuals", err) : NULL;
	int rc = room ? solve(p, pair, m, room, err) : -1;
	free(room), free(m), free(pair);
	return rc;
}
