/* video: from the time stamps of a live source to times on our clock. A frame whose time stamp makes no sense is dated
 * on arrival. */
#include "video/clock.h"
#include <math.h>

#define WINDOW 10.0 /* s */
#define JUMP 5.0    /* s: stamps that drift so far from arrivals belong to another clock */
#define OLD 2.0     /* s: no driver holds a picture for so long */
#define STEP 1e-6   /* s: least time between two frames */

static void begin_window(video_clock *c, double offset, double arrival)
{
	c->before = c->has ? c->least : INFINITY;
	c->least = offset;
	c->window = arrival;
	c->has = true;
}

static double follow(video_clock *c, double stamp, double arrival)
{
	double offset = arrival - stamp;
	if (c->has && fabs((stamp - c->stamp) - (arrival - c->arrival)) > JUMP)
		c->has = false;
	if (!c->has || arrival - c->window > WINDOW)
		begin_window(c, offset, arrival);
	c->least = fmin(c->least, offset);
	return stamp + fmin(c->least, c->before);
}

double video_clock_taken(video_clock *c, double stamp, double arrival, bool same)
{
	double taken = arrival;
	if (same && stamp <= arrival && arrival - stamp < OLD)
		taken = stamp;
	else if (isfinite(stamp))
		taken = follow(c, stamp, arrival);
	if (isfinite(stamp))
		c->stamp = stamp, c->arrival = arrival;
	if (!c->begun)
		c->origin = taken;
	else if (taken < c->last + STEP)
		taken = c->last + STEP;
	c->begun = true;
	return c->last = taken;
}

void video_clock_renew(video_clock *c) { c->has = false; }
