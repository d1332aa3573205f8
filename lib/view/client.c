/* view: a client: what it said, what is on its way to it. Owns how much that may be. */
#include "view/server.h"
#include "e3/json.h"
#include "e3/num.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A client that takes longer than SLOW to say that something has arrived gets less at once, so that what it gets is
 * new; one that is quicker than QUICK more. Seconds. */
static const double SLOW = 0.4, QUICK = 0.15;

static double now(void) { return e3_now(); }

int view_client_open(view_connection *c)
{
	view_client *x = calloc(1, sizeof *x);
	if (!x)
		return -1;
	view_plan_init(&x->plan, view_source_of(c->server->view));
	x->window = VIEW_WINDOW_LEAST * 4;
	x->ping = NAN;
	x->since = now();
	c->client = x;
	c->server->clients++;
	c->server->status++;
	return 0;
}

void view_client_close(view_connection *c)
{
	if (!c->client)
		return;
	view_plan_release(&c->client->plan);
	e3_buf_release(&c->client->record);
	free(c->client);
	c->client = NULL;
	c->server->clients--;
	c->server->status++;
}

static void add_ack(view_client *x, uint32_t ack)
{
	if (ack > x->sent)
		return;
	double took = -1;
	while (x->acked < ack) {
		x->acked++;
		x->flying -= x->ring[x->acked % VIEW_RING].len;
		took = now() - x->since - (double)x->ring[x->acked % VIEW_RING].at;
	}
	if (took > SLOW)
		x->window = x->window * 3 / 4;
	else if (took >= 0 && took < QUICK)
		x->window += x->window / 4;
	x->window = x->window < VIEW_WINDOW_LEAST ? VIEW_WINDOW_LEAST
		: x->window > VIEW_WINDOW_MOST        ? VIEW_WINDOW_MOST
											  : x->window;
}

int view_client_heard(view_connection *c, const char *text, size_t len)
{
	view_client *x = c->client;
	view_ask ask;
	e3_err err = {""};
	if (view_ask_parse(text, len, &ask, &err)) {
		x->refused = "a message that is not understood";
		return -1;
	}
	if (ask.has_ack)
		add_ack(x, ask.ack);
	if (ask.has_want)
		view_plan_want(&x->plan, &ask);
	if (ask.has_limit)
		x->plan.points = ask.points;
	if (ask.has_ping)
		x->ping = ask.ping;
	if (ask.has_painted)
		view_server_painted(c->server, ask.painted.run, ask.painted.n, ask.painted.clock);
	lws_callback_on_writable(c->wsi);
	return 0;
}

static const char *const states[] = {
	[E3_VIEW_LIVE] = "live", [E3_VIEW_ENDED] = "ended", [E3_VIEW_FAILED] = "failed", [E3_VIEW_RECORDING] = "recording"};

static void bytes_member(e3_json *j, const char *key, int64_t n)
{
	if (n < 0)
		e3_json_null(j, key);
	else
		e3_json_int(j, key, n);
}

/* Of one run. */
static void facts_members(e3_json *j, const e3_view_facts *f)
{
	e3_json_text(j, "state", states[f->state]);
	e3_json_text(j, "reason", f->reason);
	e3_json_int(j, "frames", f->frames);
	e3_json_real(j, "fps", f->fps, 6);
	e3_json_real(j, "ms", f->ms, 6);
	e3_json_real(j, "latency", f->latency, 6);
	bytes_member(j, "cache", f->cache);
	bytes_member(j, "budget", f->budget);
	e3_json_int(j, "dropped", f->dropped);
}

/* The members of run 0 stand alone; a second run has an object of its own. */
static int add_status(view_connection *c, e3_buf *out, e3_err *err)
{
	view_client *x = c->client;
	e3_view_facts f = {0};
	size_t at;
	if (e3_view_begin(out, E3_VIEW_STATUS, 0, 0, &at, err))
		return -1;
	e3_json j = {.to = out, .err = err};
	e3_json_object(&j, NULL);
	e3_view_facts_of(c->server->view, 0, &f);
	facts_members(&j, &f);
	e3_json_int(&j, "clients", c->server->clients);
	e3_json_real(&j, "clock", e3_now_utc(), 17);
	if (!isnan(x->ping))
		e3_json_real(&j, "pong", x->ping, 17);
	if (e3_view_runs(c->server->view) > 1) {
		e3_view_facts_of(c->server->view, 1, &f);
		e3_json_object(&j, "second");
		facts_members(&j, &f);
		e3_json_end(&j);
	}
	e3_json_end(&j);
	x->ping = NAN;
	x->changes = c->server->status;
	return j.rc || e3_view_finish(out, at, err) ? -1 : 0;
}

/* 1: there is a record in x->record; 0: nothing to send; -1. */
static int load(view_connection *c, e3_err *err)
{
	static const char blank[LWS_PRE] = "";
	view_client *x = c->client;
	uint64_t hello = e3_view_hello_changes(c->server->view) + 1; /* 0: never */
	x->record.len = 0;
	if (e3_buf_add(&x->record, blank, sizeof blank, err))
		return -1;
	if (x->hello != hello) {
		x->hello = hello;
		return e3_view_hello(c->server->view, &x->record, err) ? -1 : 1;
	}
	if (x->changes != c->server->status || !isnan(x->ping))
		return add_status(c, &x->record, err) ? -1 : 1;
	int got = view_plan_next(&x->plan, &x->record, err);
	if (got == 0)
		x->record.len = 0;
	return got;
}

/* Is there room on the way for the record? One always has. */
static bool fits(const view_client *x, size_t len)
{
	return x->flying == 0 || (x->flying + len <= x->window && x->sent - x->acked < VIEW_RING);
}

static int send_record(view_connection *c)
{
	view_client *x = c->client;
	unsigned char *record = (unsigned char *)x->record.data + LWS_PRE;
	size_t len = x->record.len - LWS_PRE;
	x->sent++;
	e3_view_set_seq(record, x->sent);
	x->ring[x->sent % VIEW_RING].len = (uint32_t)len;
	x->ring[x->sent % VIEW_RING].at = (float)(now() - x->since);
	x->flying += len;
	x->record.len = 0;
	return lws_write(c->wsi, record, len, LWS_WRITE_BINARY) < 0 ? -1 : 0;
}

int view_client_writable(view_connection *c)
{
	view_client *x = c->client;
	e3_err err = {""};
	int got = x->record.len ? 1 : x->flying >= x->window ? 0 : load(c, &err);
	if (got < 0) {
		e3_tell(E3_TELL_WARN, "serving %s: %s", c->address, err.text);
		x->refused = "the server failed";
		return -1;
	}
	x->idle = !got && x->flying == 0 && !x->plan.unfinished;
	if (got && !fits(x, x->record.len - LWS_PRE))
		return 0;
	if (got && send_record(c))
		return -1;
	if (got || x->plan.unfinished)
		lws_callback_on_writable(c->wsi);
	return 0;
}
