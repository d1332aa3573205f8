/* e3-align: what was done: text, JSON, a table of edges. */
#include "align.h"
#include "e3/io.h"
#include "e3/json.h"
#include "e3/mem.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

static const char *type_name(const e3_aligner_edge *e) { return e->edge.type == E3_EDGE_LOOP ? "loop" : "join"; }

static const double *origin_of(const align_options *o)
{
	for (int k = 0; k < o->aligner.n_known; k++)
		if (o->known[k].format == E3_KNOWN_GEODETIC)
			return o->known[k].origin;
	return NULL;
}

static void json_edge(e3_json *j, const e3_aligner_edge *e)
{
	e3_json_object(j, NULL);
	e3_json_text(j, "type", type_name(e));
	e3_json_int(j, "a", e->edge.a);
	e3_json_int(j, "b", e->edge.b);
	e3_json_array(j, "frames");
	e3_json_int(j, NULL, e->edge.frame[0]);
	e3_json_int(j, NULL, e->edge.frame[1]);
	e3_json_end(j);
	e3_json_real(j, "residual_before", e->came, 6);
	e3_json_real(j, "residual_after", e->now, 6);
	e3_json_bool(j, "refused", e->refused);
	e3_json_end(j);
}

static int as_json(const align_options *o, const e3_aligner_facts *f, e3_buf *to, e3_err *err)
{
	e3_json j = {.to = to, .err = err};
	const double *origin = origin_of(o);
	e3_json_object(&j, NULL);
	e3_json_int(&j, "segments", f->segments);
	e3_json_int(&j, "frames", f->frames);
	e3_json_int(&j, "joins", f->joins);
	e3_json_int(&j, "joins_assumed", f->assumed);
	e3_json_int(&j, "loops_used", f->loops);
	e3_json_int(&j, "loops_refused", f->refused);
	e3_json_int(&j, "edges_unused", f->unused);
	e3_json_text(&j, "robust", e3_graph_loss_name(o->aligner.graph.loss));
	e3_json_real(&j, "robust_width", o->aligner.graph.width, 9);
	e3_json_int(&j, "known_frames", f->known);
	e3_json_int(&j, "distances", f->distances);
	e3_json_bool(&j, "known_world", f->world);
	if (origin)
		e3_json_reals(&j, "origin", origin, 3, 12);
	else
		e3_json_null(&j, "origin");
	e3_json_int(&j, "solutions", f->solutions);
	e3_json_int(&j, "corrections", f->corrections);
	e3_json_real(&j, "residual_before", f->before, 6);
	e3_json_real(&j, "residual_after", f->after, 6);
	e3_json_real(&j, "seconds", f->seconds, 4);
	e3_json_array(&j, "edges");
	for (size_t k = 0; k < f->edges; k++)
		json_edge(&j, &f->edge[k]);
	e3_json_end(&j);
	e3_json_end(&j);
	return j.rc ? -1 : e3_buf_add(to, "\n", 1, err);
}

static int as_text(const align_options *o, const e3_aligner_facts *f, e3_buf *to, e3_err *err)
{
	const double *origin = origin_of(o);
	if (e3_buf_printf(to, err,
			"segments     %" PRId64 " of %" PRId64 " frames, %" PRId64 " joins measured, %" PRId64 " assumed\n"
			"loops        %" PRId64 " used, %" PRId64 " refused (%s, width %g), %" PRId64 " edges not used\n"
			"known        %" PRId64 " frames, %" PRId64 " distances%s\n"
			"solutions    %" PRId64 " in %.3f s, %" PRId64 " corrections\n"
			"residual     %.3g before, %.3g after, in standard deviations\n",
			f->segments, f->frames, f->joins, f->assumed, f->loops, f->refused,
			e3_graph_loss_name(o->aligner.graph.loss), o->aligner.graph.width, f->unused, f->known, f->distances,
			f->world ? "; they define the world" : "", f->solutions, f->seconds, f->corrections, f->before, f->after))
		return -1;
	if (origin &&
		e3_buf_printf(to, err, "origin       latitude %.9f, longitude %.9f, altitude %.3f\n", origin[0], origin[1],
			origin[2]))
		return -1;
	for (size_t k = 0; k < f->edges; k++) {
		const e3_aligner_edge *e = &f->edge[k];
		if (e->edge.type == E3_EDGE_LOOP &&
			e3_buf_printf(to, err,
				"loop         frames %" PRId64 " and %" PRId64 ", segments %" PRId64 " and %" PRId64
				": residual %.3g before, %.3g after%s\n",
				e->edge.frame[0], e->edge.frame[1], e->edge.a, e->edge.b, e->came, e->now,
				e->refused ? ": refused" : ""))
			return -1;
	}
	return 0;
}

static int write_text(const char *path, const e3_buf *text, e3_err *err)
{
	e3_file file;
	return e3_file_open(&file, path, err) || e3_file_write(&file, text->data, text->len, err) ||
			e3_file_commit(&file, err)
		? -1
		: 0;
}

static int write_edges(const char *path, const e3_aligner_facts *f, e3_err *err)
{
	e3_buf text = {0};
	int rc = e3_buf_printf(&text, err,
		"type\ta\tb\tframe_a\tframe_b\tax\tay\taz\tbx\tby\tbz\tresidual_before\tresidual_after\trefused\n");
	for (size_t k = 0; !rc && k < f->edges; k++) {
		const e3_aligner_edge *e = &f->edge[k];
		const double(*c)[3] = e->center;
		rc = e3_buf_printf(&text, err,
			"%s\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64
			"\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.6g\t%.6g\t%d\n",
			type_name(e), e->edge.a, e->edge.b, e->edge.frame[0], e->edge.frame[1], c[0][0], c[0][1], c[0][2], c[1][0],
			c[1][1], c[1][2], e->came, e->now, e->refused);
	}
	rc = rc || write_text(path, &text, err) ? -1 : 0;
	e3_buf_release(&text);
	return rc;
}

int align_report_check(const align_options *o, e3_err *err)
{
	const char *const path[] = {o->report, o->edges};
	for (int k = 0; k < 2; k++) {
		e3_file file = {.f = NULL};
		if (path[k] && e3_file_open(&file, path[k], err))
			return -1;
		e3_file_discard(&file);
	}
	return 0;
}

int align_report(const align_options *o, const e3_aligner_facts *f, e3_err *err)
{
	e3_buf text = {0};
	int rc = 0;
	if (o->report || o->json || e3_verbose)
		rc = o->json ? as_json(o, f, &text, err) : as_text(o, f, &text, err);
	if (!rc && o->report)
		rc = write_text(o->report, &text, err);
	else if (!rc && text.len > 0 && e3_write_full(STDERR_FILENO, text.data, text.len))
		rc = e3_fail_sys(err, "writing the report: standard error");
	e3_buf_release(&text);
	return !rc && o->edges ? write_edges(o->edges, f, err) : rc;
}

void align_warn(const align_options *o, const e3_aligner_facts *f)
{
	for (int k = 0; k < o->aligner.n_known && f->known == 0; k++)
		e3_warn(
			"%s: no frame is within %g s of its times, %.9g to %.9g (see --max-gap, --time-offset): nothing was used",
			o->known_path[k], o->aligner.gap, o->known[k].row[0].time, o->known[k].row[o->known[k].n - 1].time);
	bool poses = false;
	for (int k = 0; k < o->aligner.n_known; k++)
		poses = poses || o->known[k].format == E3_KNOWN_POSES;
	if (f->known > 0 && !f->world && poses)
		e3_warn("the known poses of %" PRId64
				" frame%s do not determine a world: no two are apart, or their orientations are not the cameras', as "
				"where they are of a body (--gps takes their positions alone); nothing was used",
			f->known, f->known == 1 ? "" : "s");
	else if (f->known > 0 && !f->world)
		e3_warn("the known positions of %" PRId64
				" frame%s do not determine a world: they are fewer than three, or lie on a line; nothing was used",
			f->known, f->known == 1 ? "" : "s");
	if (f->missed > 0.05)
		e3_warn("a known distance is missed by a factor of %.3g: %s", exp(f->missed),
			f->distances > 1 || f->known ? "what is known disagrees" : "the rest of the stream disagrees");
	if (f->distances < o->aligner.n_distances)
		e3_warn("%" PRId64 " of %d known distances not used: the stream lacks one of the frames, or its pose",
			o->aligner.n_distances - f->distances, o->aligner.n_distances);
}
