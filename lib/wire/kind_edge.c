/* wire: a measured similarity between two segments. Refuses unknown types and deviations below zero. */
#include "checks.h"
#include "out.h"
#include "unpack.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[] = {[E3_EDGE_JOIN] = "join", [E3_EDGE_LOOP] = "loop"};
enum { TYPES = sizeof types / sizeof *types };

static int check(const e3_edge *x, e3_err *err)
{
	if (x->a < 0 || x->b < 0 || x->a == x->b)
		return e3_fail(err, "segments %" PRId64 " and %" PRId64 ", expected two different ones", x->a, x->b);
	for (int k = 0; k < 2; k++)
		if (x->frame[k] < 0 || x->frame[k] > x->i)
			return e3_fail(err, "frames[%d]: is %" PRId64 ", expected 0 to %" PRId64, k, x->frame[k], x->i);
	if (e3_reals_check("sigma", x->sigma, 3, err))
		return -1;
	for (int k = 0; k < 3; k++)
		if (x->sigma[k] < 0)
			return e3_fail(err, "sigma[%d]: is %g, expected 0 or more", k, x->sigma[k]);
	return e3_sim_check("sim", x->sim, err);
}

static int encode(e3_pack *p, const e3_edge *x, e3_err *err)
{
	if ((unsigned)x->type >= TYPES)
		return e3_fail(err, "edge %" PRId64 ": type %d, expected 0 to %d", x->i, (int)x->type, TYPES - 1);
	if (check(x, err))
		return e3_fail_in(err, "edge %" PRId64, x->i);
	e3_pack_begin(p, E3_EDGE, x->i);
	e3_pack_int(p, "i", x->i);
	e3_pack_text(p, "type", types[x->type]);
	e3_pack_int(p, "a", x->a);
	e3_pack_int(p, "b", x->b);
	e3_pack_counts(p, "frames", x->frame, 2);
	e3_pack_reals(p, "sim", x->sim, 8);
	e3_pack_reals(p, "sigma", x->sigma, 3);
	return e3_pack_finish(p, err);
}

int e3_out_edge(e3_out *out, const e3_edge *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

static int take_type(const char *text, e3_edge_type *type, e3_err *err)
{
	for (int k = 0; k < TYPES; k++)
		if (strcmp(text, types[k]) == 0) {
			*type = (e3_edge_type)k;
			return 0;
		}
	return e3_fail(err, "type: is '%s', expected join or loop", text);
}

static int edge_fill(const e3_msg *msg, e3_edge *x, char **type, e3_err *err)
{
	e3_field table[] = {
		E3_NEED(I64, "i", &x->i),
		E3_NEED(TEXT, "type", type),
		E3_NEED(I64, "a", &x->a),
		E3_NEED(I64, "b", &x->b),
		{E3_F_COUNTS, "frames", x->frame, .n = 2},
		{E3_F_REALS, "sim", x->sim, .n = 8},
		{E3_F_REALS, "sigma", x->sigma, .n = 3},
		{.type = E3_F_END},
	};
	return e3_decode_body(msg, E3_EDGE, table, err) || take_type(*type, &x->type, err) || check(x, err) ? -1 : 0;
}

int e3_edge_decode(const e3_msg *msg, e3_edge *x, e3_err *err)
{
	char *type = NULL;
	*x = (e3_edge){0};
	int rc = edge_fill(msg, x, &type, err);
	free(type);
	if (rc == 0)
		return 0;
	*x = (e3_edge){0};
	return e3_decode_failed(msg, err);
}
