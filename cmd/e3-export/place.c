/* e3-export: the scale and place of the whole run. */
#include "place.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- arguments --- */

/* A number that ends at one of the characters: *at is behind it. */
static int number(const char **at, const char *until, double lo, double hi, double *v, e3_err *err)
{
	char word[64];
	size_t n = strcspn(*at, until);
	if (n >= sizeof word)
		return e3_fail(err, "expected a number");
	memcpy(word, *at, n);
	word[n] = 0;
	*at += n;
	return e3_parse_f64(word, lo, hi, v, err);
}

/* A or A@x,y */
static int parse_end(const char **at, const char *until, e3_place_end *end, e3_err *err)
{
	double frame;
	if (number(at, "@:=", 0, 9007199254740992.0, &frame, err))
		return -1;
	end->frame = (int64_t)frame;
	if (frame != floor(frame))
		return e3_fail(err, "%g is no frame number", frame);
	end->surface = **at == '@';
	if (!end->surface)
		return 0;
	(*at)++;
	if (number(at, ",:=", 0, 1e6, &end->pixel[0], err))
		return -1;
	if (**at != ',')
		return e3_fail(err, "a pixel is x,y");
	(*at)++;
	return number(at, until, 0, 1e6, &end->pixel[1], err);
}

int placing_parse_distance(void *to, const char *arg, e3_err *err)
{
	placing *p = to;
	e3_place_distance d;
	const char *at = arg;
	int rc = parse_end(&at, ":", &d.end[0], err) || *at++ != ':' || parse_end(&at, "=", &d.end[1], err) ||
		*at++ != '=' || number(&at, "", 1e-9, 1e9, &d.length, err);
	if (rc)
		return e3_fail(err, "expected A:B=LENGTH or A@x,y:B@x,y=LENGTH, frames, pixels and a length above 0, got '%s'",
			arg);
	if (d.end[0].frame == d.end[1].frame &&
		(!d.end[0].surface || !d.end[1].surface || !memcmp(d.end[0].pixel, d.end[1].pixel, sizeof d.end[0].pixel)))
		return e3_fail(err, "expected two cameras, or two points, that are apart, got '%s'", arg);
	if (p->o.n_distances == E3_PLACE_DISTANCES_MOST)
		return e3_fail(err, "expected at most %d distances", E3_PLACE_DISTANCES_MOST);
	p->distance[p->o.n_distances++] = d;
	return 0;
}

int placing_parse_align(void *to, const char *arg, e3_err *err)
{
	static const char *const words[] = {"gl", "upstream", "none"};
	placing *p = to;
	for (int k = 0; k < 3; k++)
		if (!strcmp(arg, words[k])) {
			p->align = k;
			return 0;
		}
	p->file = arg;
	return 0;
}

int placing_parse_offset(void *to, const char *arg, e3_err *err)
{
	placing *p = to;
	p->offset_given = true;
	p->o.from_start = !strcmp(arg, "start");
	return p->o.from_start ? 0 : e3_parse_f64(arg, -1e12, 1e12, &p->offset, err);
}

int placing_parse_gap(void *to, const char *arg, e3_err *err)
{
	placing *p = to;
	p->gap_given = true;
	return e3_parse_f64(arg, 0, 1e6, &p->o.gap, err);
}

void placing_check(const placing *p)
{
	if ((p->scale > 0) + (p->o.n_distances > 0) + (p->file != NULL) > 1)
		e3_usage_error("--scale, --known-distance and a file for --align contradict each other: each gives the scale");
	if (!p->file && (p->gap_given || p->offset_given))
		e3_usage_error("%s needs a file of positions for --align", p->gap_given ? "--max-gap" : "--time-offset");
	if (p->file)
		e3_opts_claim(&(e3_claim){.use = E3_READS, .path = p->file, .by = "--align"});
}

/* --- the stream --- */

int placing_open(placing *p, e3_export_options *opt, e3_err *err)
{
	if (!(p->scale > 0) && !p->o.n_distances && !p->file)
		return 0;
	p->o.factor = p->scale, p->o.distance = p->distance;
	if (p->file) {
		if (access(p->file, F_OK))
			return e3_fail(err, "aligning: %s: no such file, and not gl, upstream or none", p->file);
		const e3_known_reading how = {.format = E3_KNOWN_DETECT, .offset = p->offset, .sigma = 1};
		if (e3_known_load(p->file, &how, &p->known, err))
			return -1;
		p->o.path = &p->known;
		if (p->known.z_up && opt->up == E3_UP_GRAVITY) {
			opt->up = E3_UP_AXIS;
			memcpy(opt->up_axis, (double[3]){0, 0, 1}, sizeof opt->up_axis);
		}
		if (opt->up == E3_UP_AXIS) {
			memcpy(p->up, opt->up_axis, sizeof p->up);
			p->o.up = p->up;
		}
	}
	if (p->scale > 0)
		snprintf(p->world, sizeof p->world, "lengths times %.9g", p->scale);
	else if (p->file && p->known.format == E3_KNOWN_GEODETIC)
		snprintf(p->world, sizeof p->world, "metres east, north and up of latitude %.9g, longitude %.9g, altitude %.9g",
			p->known.origin[0], p->known.origin[1], p->known.origin[2]);
	else
		snprintf(p->world, sizeof p->world, "%s",
			p->file ? "that of a known path, in its unit" : "lengths in the unit of known distances");
	opt->placed = &p->placed;
	p->placed = (e3_export_placed){.how = p->file ? "path"
			: p->scale > 0                        ? "scale"
												  : "known distances",
		.world = p->world,
		.file = p->file,
		.sim = e3_similarity_identity,
		.off = -1};
	p->placed.sim.s = p->scale > 0 ? p->scale : 1;
	p->place = e3_place_open(&p->o, err);
	p->solved = p->place && !e3_place_waits(p->place);
	return p->place ? 0 : -1;
}

bool placing_waits(const placing *p) { return p->place && e3_place_waits(p->place); }

static int correction(void *hold, int64_t i, e3_similarity *out, e3_err *err) { return e3_hold_of(hold, i, out, err); }

int placing_solve(placing *p, e3_hold *hold, e3_err *err)
{
	static const char *const turn[] = {NULL, "orientations", "up"};
	if (e3_place_solve(p->place, correction, hold, err)) {
		p->placed.how = NULL;
		return p->file ? e3_fail_in(err, "aligning with: %s", p->file) : e3_fail_in(err, "finding the scale");
	}
	const e3_place_facts *f = e3_place_facts_of(p->place);
	p->placed.sim = f->sim;
	p->placed.matched = f->matched, p->placed.outliers = f->outliers;
	p->placed.rms = f->rms, p->placed.worst = f->worst;
	p->placed.turn = turn[f->turn];
	p->placed.off = f->off < 0 ? -1 : f->off * 57.29577951308232;
	p->placed.origin = p->known.format == E3_KNOWN_GEODETIC && p->file ? p->known.origin : NULL;
	p->solved = true;
	return 0;
}

int placing_apply(const placing *p, e3_pred *pred, e3_err *err)
{
	if (!p->place || !p->solved)
		return 0;
	return e3_similarity_pred(&p->placed.sim, pred, err) ? e3_fail_in(err, "placing frame %lld", (long long)pred->s.i)
														 : 0;
}

/* --- what was found --- */

static void tell_distances(const placing *p, const e3_place_facts *f)
{
	e3_note("scale %.9g from %lld known distance%s, residuals %.2g %% (root mean square), %.2g %% (largest)%s",
		f->sim.s, (long long)f->matched, f->matched == 1 ? "" : "s", 100 * f->rms, 100 * f->worst,
		f->outliers ? "; one or more do not fit and do not count" : "");
	if (f->worst > 0.05)
		e3_warn("known distances disagree by up to %.2g %%", 100 * f->worst);
	for (int k = 0; k < p->o.n_distances && p->o.n_distances > 1; k++) {
		double is = f->sim.s * f->found[k], should = p->distance[k].length;
		if (f->outlier[k])
			e3_warn("known distance %d: %.6g is %.6g, which does not fit the others", k + 1, should, is);
		else
			e3_detail("known distance %d: %.6g is %.6g", k + 1, should, is);
	}
}

static void tell_path(const placing *p, const e3_place_facts *f)
{
	const e3_known *k = &p->known;
	const char *what = k->format == E3_KNOWN_POSES ? "poses" : k->format == E3_KNOWN_GEODETIC ? "places" : "positions";
	e3_note(
		"%s: %zu %s: scale %.9g, %lld of %lld frames matched, %.1f %% of them do not fit; residuals %.4g (root mean "
		"square), %.4g (largest)",
		p->file, k->n, what, f->sim.s, (long long)f->matched, (long long)f->frames,
		100.0 * (double)f->outliers / (double)f->matched, f->rms, f->worst);
	if (f->turn != E3_PLACE_BY_POSITIONS)
		e3_note("the path is a line: the turn about it is from %s",
			f->turn == E3_PLACE_BY_UP ? "the cameras, which are taken as upright" : "the known orientations");
	else if (p->placed.off > 20)
		e3_warn(
			"%s: its orientations differ from the cameras' by %.0f degrees at the median: only its positions are used",
			p->file, p->placed.off);
	else if (p->placed.off >= 0)
		e3_note("known orientations differ from the cameras' by %.2g degrees at the median", p->placed.off);
	if (p->placed.origin)
		e3_note("the world: %s", p->world);
}

void placing_tell(const placing *p)
{
	if (!placing_waits(p) || !p->solved)
		return;
	const e3_place_facts *f = e3_place_facts_of(p->place);
	if (p->file)
		tell_path(p, f);
	else
		tell_distances(p, f);
}

void placing_close(placing *p)
{
	e3_place_close(p->place);
	e3_known_release(&p->known);
}
