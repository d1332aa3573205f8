/* view: HTTP: the page's files, and which connections may become WebSockets. Refuses by Host, Origin and token. */
#include "view/server.h"
#include "e3/num.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PIECE = 16 << 10, HEADERS = 2048, HEADER_MAX = 512 };

/* With every answer. The page may run its own script, and talk to its own server; nothing may frame it or learn its
 * address, in which the token is. */
static const char *const headers[][2] = {
	{"content-security-policy:",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"referrer-policy:", "no-referrer"},
	{"x-content-type-options:", "nosniff"},
	{"x-frame-options:", "DENY"},
	{"cross-origin-opener-policy:", "same-origin"},
	{"cross-origin-resource-policy:", "same-origin"},
	{"cache-control:", "no-store"},
};

/* The status line and headers of an answer with a body of `len` bytes. */
static int begin(view_connection *c, unsigned status, const char *type, size_t len)
{
	unsigned char room[LWS_PRE + HEADERS], *const first = room + LWS_PRE, *at = first, *end = room + sizeof room;
	if (lws_add_http_common_headers(c->wsi, status, type, len, &at, end))
		return -1;
	for (size_t k = 0; k < sizeof headers / sizeof *headers; k++)
		if (lws_add_http_header_by_name(c->wsi, (const unsigned char *)headers[k][0],
				(const unsigned char *)headers[k][1], (int)strlen(headers[k][1]), &at, end))
			return -1;
	return lws_finalize_write_http_header(c->wsi, first, &at, end) ? -1 : 0;
}

/* A short text. The caller ends the transaction. */
static int text(view_connection *c, unsigned status, const char *what)
{
	unsigned char room[LWS_PRE + HEADER_MAX];
	int n = snprintf((char *)room + LWS_PRE, HEADER_MAX, "%s\n", what);
	if (n <= 0 || n >= HEADER_MAX || begin(c, status, "text/plain; charset=utf-8", (size_t)n))
		return -1;
	return lws_write(c->wsi, room + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_FINAL) < n ? -1 : 0;
}

static int refuse(view_connection *c, unsigned status, const char *why)
{
	char line[HEADER_MAX - 2];
	view_server_refused(c, why);
	snprintf(line, sizeof line, "e3-view: refused: %s", why);
	return text(c, status, line);
}

/* A header, or NULL where there is none; *bad where it is too long for an honest one. */
static const char *header(view_connection *c, enum lws_token_indexes which, char to[HEADER_MAX], bool *bad)
{
	if (lws_hdr_total_length(c->wsi, which) == 0)
		return NULL;
	*bad = lws_hdr_copy(c->wsi, to, HEADER_MAX, which) < 0 || *bad;
	return *bad ? NULL : to;
}

/* The token in the address, or NULL. */
static const char *token_of(view_connection *c, char to[HEADER_MAX])
{
	for (int k = 0; lws_hdr_copy_fragment(c->wsi, to, HEADER_MAX, WSI_TOKEN_HTTP_URI_ARGS, k) >= 0; k++)
		if (strncmp(to, "token=", 6) == 0)
			return to + 6;
	return NULL;
}

/* What every request must have. */
static const char *wrong_site(view_connection *c)
{
	char host[HEADER_MAX], origin[HEADER_MAX];
	bool bad = false;
	const char *h = header(c, WSI_TOKEN_HOST, host, &bad), *o = header(c, WSI_TOKEN_ORIGIN, origin, &bad);
	if (bad)
		return "a header that is too long";
	const char *why = view_rules_host(&c->server->rules, h);
	return why ? why : view_rules_origin(h, o);
}

static const char *wrong_token(view_connection *c)
{
	char to[HEADER_MAX];
	return view_rules_check_token(&c->server->rules, token_of(c, to));
}

static int answer(view_connection *c, const char *path)
{
	bool head = lws_hdr_total_length(c->wsi, WSI_TOKEN_HEAD_URI) > 0;
	const char *why = wrong_site(c);
	if (why)
		return refuse(c, 403, why);
	if (!head && lws_hdr_total_length(c->wsi, WSI_TOKEN_GET_URI) == 0)
		return refuse(c, 405, "only GET is answered");
	bool start = strcmp(path, "/") == 0 || strcmp(path, "/index.html") == 0;
	if (start && (why = wrong_token(c)))
		return refuse(c, 403, why);
	if (strcmp(path, "/favicon.ico") == 0)
		return begin(c, 204, "image/x-icon", 0);
	const e3_view_asset *a = e3_view_asset_of(start ? "index.html" : path + 1);
	if (!a)
		return text(c, 404, "e3-view: there is no such page");
	c->asset = head ? NULL : a;
	c->at = 0;
	return begin(c, 200, a->type, a->len);
}

/* Hangs up, or waits for the next request. */
static int finish(view_connection *c)
{
	c->asset = NULL;
	c->since = e3_now();
	return lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

int view_http_request(view_connection *c, const char *path)
{
	c->asset = NULL;
	if (answer(c, path))
		return -1;
	if (!c->asset)
		return finish(c);
	lws_callback_on_writable(c->wsi);
	return 0;
}

int view_http_writable(view_connection *c)
{
	unsigned char room[LWS_PRE + PIECE];
	if (!c->asset)
		return 0;
	size_t left = c->asset->len - c->at, n = left < PIECE ? left : PIECE;
	memcpy(room + LWS_PRE, c->asset->bytes + c->at, n);
	c->at += n;
	if (lws_write(c->wsi, room + LWS_PRE, n, n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n)
		return -1;
	if (n == left)
		return finish(c);
	lws_callback_on_writable(c->wsi);
	return 0;
}

int view_http_upgrade(view_connection *c)
{
	char path[VIEW_PATH], to[HEADER_MAX];
	bool bad = false;
	/* (the library asks also after it has refused what it does not know) */
	const char *upgrade = header(c, WSI_TOKEN_UPGRADE, to, &bad), *why = wrong_site(c);
	if (!upgrade || strcasecmp(upgrade, "websocket") != 0)
		return -1;
	if (lws_hdr_copy(c->wsi, path, sizeof path, WSI_TOKEN_GET_URI) < 0 || strcmp(path, "/ws") != 0)
		return text(c, 404, "e3-view: there is no such page") ? -1 : 1;
	why = why ? why : wrong_token(c);
	if (why)
		return refuse(c, 403, why) ? -1 : 1;
	if (c->server->clients >= c->server->most_clients)
		return refuse(c, 503, "there are as many clients as may be") ? -1 : 1;
	return 0;
}
