/* graph: what a residual costs: squares, and the robust losses of loops and positions. */
#include "graph.h"
#include <math.h>

/* How far a known position may be off, in standard deviations, before it counts less. */
static const double position_width = 3;

const char *e3_graph_loss_name(int loss)
{
	static const char *const name[] = {
		[E3_LOSS_SQUARE] = "square",
		[E3_LOSS_HUBER] = "huber",
		[E3_LOSS_CAUCHY] = "cauchy",
		[E3_LOSS_GEMAN] = "geman-mcclure",
	};
	return loss >= 0 && loss < (int)(sizeof name / sizeof *name) ? name[loss] : NULL;
}

static int loss_of(const e3_graph *g, const term *t, double *width2)
{
	if (t->kind == TERM_LOOP) {
		double width = g->options.width * t->wide;
		*width2 = width * width;
		return g->options.loss;
	}
	*width2 = position_width * position_width;
	return t->kind == TERM_POSITION ? E3_LOSS_HUBER : E3_LOSS_SQUARE;
}

double graph_cost(const e3_graph *g, const term *t, double squared)
{
	double width2, x;
	int loss = loss_of(g, t, &width2);
	x = squared / width2;
	switch (loss) {
	case E3_LOSS_HUBER:
		return x <= 1 ? squared : width2 * (2 * sqrt(x) - 1);
	case E3_LOSS_CAUCHY:
		return width2 * log1p(x);
	case E3_LOSS_GEMAN:
		return width2 * (x / (1 + x));
	default:
		return squared;
	}
}

/* The derivative of the cost. */
double graph_weight(const e3_graph *g, const term *t, double squared)
{
	double width2, x;
	int loss = loss_of(g, t, &width2);
	x = squared / width2;
	switch (loss) {
	case E3_LOSS_HUBER:
		return x <= 1 ? 1 : 1 / sqrt(x);
	case E3_LOSS_CAUCHY:
		return 1 / (1 + x);
	case E3_LOSS_GEMAN:
		return 1 / ((1 + x) * (1 + x));
	default:
		return 1;
	}
}

bool graph_waits(const e3_graph *g, const term *t)
{
	return t->kind == TERM_REMOVED || (!g->world && (t->kind == TERM_POSITION || t->kind == TERM_POSE));
}
