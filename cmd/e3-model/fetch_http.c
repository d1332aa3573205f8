/* e3-model: HTTPS by libcurl. Owns what the answers of a hub mean, which redirects are followed, and which host may see
 * the token. */
#include "fetch.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/version.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOPS = 6 };

struct fetch_http {
	fetch_settings s;
	CURL *curl;
	char why[CURL_ERROR_SIZE];
	/* Of the answer that is read: */
	long status;
	int64_t linked_size, first, total; /* -1: not said */
	char linked_tag[FETCH_TAG], tag[FETCH_TAG], message[FETCH_TAG];
	/* Where its body goes; NULL: nowhere. */
	const fetch_sink *sink;
	bool begun;
	e3_err *sink_err;
	bool sink_failed;
	/* When something last came, and how much had. (libcurl's own limit of speed looks at five seconds at once.) */
	double moved;
	curl_off_t came;
	bool silent;
};

/* --- headers --- */

static bool value_of(const char *line, size_t n, const char *name, char *to)
{
	size_t len = strlen(name);
	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	const char *at = line + len + 1, *end = line + n;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (uint8_t)end[-1] <= ' ')
		end--;
	size_t m = (size_t)(end - at) < FETCH_TAG ? (size_t)(end - at) : 0; /* too long: as if it were not there */
	memcpy(to, at, m);
	to[m] = 0;
	return true;
}

/* "bytes FIRST-LAST/TOTAL" */
static void take_range(fetch_http *h, const char *text)
{
	int64_t first, last, total;
	if (sscanf(text, "bytes %" SCNd64 "-%" SCNd64 "/%" SCNd64, &first, &last, &total) == 3 && last == total - 1)
		h->first = first, h->total = total;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	fetch_http *h = arg;
	size_t n = size * count;
	char value[FETCH_TAG];
	int64_t number;
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0) { /* another answer: after a 100, or of a proxy */
		h->status = 0, h->linked_size = h->first = h->total = -1;
		h->linked_tag[0] = h->tag[0] = h->message[0] = 0;
	}
	if (value_of(line, n, "x-linked-size", value) && e3_parse_i64(value, 0, INT64_MAX / 2, &number, NULL) == 0)
		h->linked_size = number;
	else if (value_of(line, n, "x-linked-etag", value))
		memcpy(h->linked_tag, value, sizeof value);
	else if (value_of(line, n, "etag", value))
		memcpy(h->tag, value, sizeof value);
	else if (value_of(line, n, "x-error-message", value))
		memcpy(h->message, value, sizeof value);
	else if (value_of(line, n, "content-range", value))
		take_range(h, value);
	return n;
}

/* --- one request --- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	fetch_http *h = arg;
	size_t n = size * count;
	const fetch_sink *k = h->sink;
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &h->status);
	if (!k || (h->status != 200 && h->status != 206))
		return CURL_WRITEFUNC_ERROR; /* the headers were all; what comes with a refusal may have no end */
	if (!h->begun) {
		curl_off_t length = -1;
		curl_easy_getinfo(h->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		bool part = h->status == 206;
		h->sink_failed = k->begin(k->to, part ? h->first : 0, part ? h->total : length, h->tag, h->sink_err) != 0;
		h->begun = true;
	}
	h->sink_failed = h->sink_failed || k->add(k->to, bytes, n, h->sink_err);
	return h->sink_failed ? CURL_WRITEFUNC_ERROR : n;
}

/* Called at least once a second. */
static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
	fetch_http *h = arg;
	if (now != h->came)
		h->came = now, h->moved = e3_now();
	h->silent = e3_now() - h->moved > h->s.timeout;
	return h->silent || (h->s.stop && h->s.stop());
}

fetch_http *fetch_http_open(const fetch_settings *s, e3_err *err)
{
	fetch_http *h = e3_alloc(1, sizeof *h, "a connection", err);
	if (!h)
		return NULL;
	h->s = *s;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (h->curl = curl_easy_init()))
		return h;
	free(h);
	e3_fail(err, "starting libcurl: out of memory");
	return NULL;
}

void fetch_http_close(fetch_http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	curl_global_cleanup();
	free(h);
}

static struct curl_slist *headers_of(const fetch_http *h, bool token, const char *tag)
{
	struct curl_slist *list = NULL;
	char text[FETCH_URL];
	if (token && h->s.token) {
		snprintf(text, sizeof text, "Authorization: Bearer %s", h->s.token);
		list = curl_slist_append(list, text);
	}
	if (tag && *tag == '"') { /* a weak one is not allowed here */
		snprintf(text, sizeof text, "If-Range: %s", tag);
		list = curl_slist_append(list, text);
	}
	return list;
}

typedef struct request {
	const char *url;
	bool token;
	int64_t first;
	const char *tag;
	const fetch_sink *sink;
} request;

static CURLcode perform(fetch_http *h, const request *r, e3_err *err)
{
	CURL *c = h->curl;
	char range[40];
	struct curl_slist *headers = headers_of(h, r->token, r->first > 0 ? r->tag : NULL);
	curl_easy_reset(c); /* connections stay */
	h->status = 0, h->linked_size = h->first = h->total = -1;
	h->linked_tag[0] = h->tag[0] = h->message[0] = h->why[0] = 0;
	h->sink = r->sink, h->begun = h->sink_failed = false, h->sink_err = err;
	h->moved = e3_now(), h->came = 0, h->silent = false;
	snprintf(range, sizeof range, "%" PRId64 "-", r->first);
	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "e3-model/" E3_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->why);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(h->s.timeout * 1000));
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
	if (h->s.ca)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->s.ca);
	if (r->first > 0)
		curl_easy_setopt(c, CURLOPT_RANGE, range);
	CURLcode rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &h->status);
	if (rc == CURLE_WRITE_ERROR && !h->begun) /* the body of a question, or of a refusal, is not read */
		rc = CURLE_OK;
	curl_slist_free_all(headers);
	return rc;
}

/* --- what it means --- */

int fetch_url_check(const char *url, e3_err *err)
{
	char *scheme = NULL, *host = NULL;
	CURLU *u = curl_url();
	bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	struct in_addr ip; /* a name may begin as a number does: 127.example.org */
	bool here = ok &&
		(strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
			(strncmp(host, "127.", 4) == 0 && inet_pton(AF_INET, host, &ip) == 1));
	ok = ok && (strcmp(scheme, "https") == 0 || (here && strcmp(scheme, "http") == 0));
	curl_free(scheme), curl_free(host), curl_url_cleanup(u);
	return ok ? 0 : e3_fail(err, "%.300s: expected an address https://HOST/...", url);
}

/* Scheme, host and port: who sees the token. */
static bool same_origin(const char *a, const char *b)
{
	const char *url[2] = {a, b};
	char *part[2][3] = {{NULL}};
	bool same = true;
	for (int k = 0; k < 2; k++) {
		CURLU *u = curl_url();
		same = u && curl_url_set(u, CURLUPART_URL, url[k], 0) == CURLUE_OK &&
			curl_url_get(u, CURLUPART_SCHEME, &part[k][0], 0) == CURLUE_OK &&
			curl_url_get(u, CURLUPART_HOST, &part[k][1], 0) == CURLUE_OK &&
			curl_url_get(u, CURLUPART_PORT, &part[k][2], CURLU_DEFAULT_PORT) == CURLUE_OK && same;
		curl_url_cleanup(u);
	}
	for (int j = 0; j < 3; j++) {
		same = same && strcasecmp(part[0][j], part[1][j]) == 0;
		curl_free(part[0][j]), curl_free(part[1][j]);
	}
	return same;
}

static fetch_end no_transfer(const fetch_http *h, CURLcode rc, const char *url, e3_err *err)
{
	const char *why = h->why[0] ? h->why : curl_easy_strerror(rc);
	if (h->sink_failed)
		return FETCH_NEVER; /* its text is there */
	if (rc == CURLE_ABORTED_BY_CALLBACK && !h->silent) {
		e3_fail(err, "interrupted");
		return FETCH_NEVER;
	}
	if (h->silent || rc == CURLE_OPERATION_TIMEDOUT)
		e3_fail(err, "%.300s: no answer for %g s (--timeout)", url, h->s.timeout);
	else if (rc == CURLE_PEER_FAILED_VERIFICATION)
		e3_fail(err, "%.300s: the server cannot be trusted: %s (--cacert names further certificates)", url, why);
	else
		e3_fail(err, "%.300s: %s", url, why);
	return rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_URL_MALFORMAT ||
			rc == CURLE_UNSUPPORTED_PROTOCOL
		? FETCH_NEVER
		: FETCH_AGAIN;
}

/* hub false: of the host to which it redirects; what it refuses is an address that has expired. */
static fetch_end bad_status(const fetch_http *h, const char *url, bool hub, e3_err *err)
{
	const char *said = h->message[0] ? h->message : NULL;
	long s = h->status;
	if (hub && (s == 401 || s == 403))
		e3_fail(err,
			"%.300s: %ld%s%s: the file is not for everybody: accept its terms on its page while logged in, and put a token of your account into HF_TOKEN%s",
			url, s, said ? ": " : "", said ? said : "", h->s.token ? " (it was sent)" : "");
	else if (s == 404)
		e3_fail(err, "%.300s: 404: there is no such file%s%s", url, said ? ": " : "", said ? said : "");
	else
		e3_fail(err, "%.300s: the server answered %ld%s%s", url, s, said ? ": " : "", said ? said : "");
	return s == 408 || s == 429 || s >= 500 || (!hub && (s == 401 || s == 403)) ? FETCH_AGAIN : FETCH_NEVER;
}

/* The address a redirect names; -1: it may not be followed. */
static int redirect(const fetch_http *h, const char *from, char to[FETCH_URL], e3_err *err)
{
	char *url = NULL;
	curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &url);
	if (!url || strlen(url) >= FETCH_URL)
		return e3_fail(err, "%.300s: the server answered %ld, without an address that can be used", from, h->status);
	if (fetch_url_check(url, err))
		return e3_fail_in(err, "%.200s: redirects to", from);
	memcpy(to, url, strlen(url) + 1);
	return 0;
}

static bool is_redirect(long status) { return status >= 300 && status < 400 && status != 304; }

/* "HEX" or W/"HEX". */
static bool take_sum(const char *tag, char to[65])
{
	tag += strncmp(tag, "W/", 2) == 0 ? 2 : 0;
	tag += *tag == '"';
	size_t n = strspn(tag, "0123456789abcdefABCDEF");
	if (n != 64 || (tag[n] && strcmp(tag + n, "\"") != 0))
		return false;
	for (size_t k = 0; k < n; k++)
		to[k] = (char)(tag[k] >= 'A' && tag[k] <= 'F' ? tag[k] + 32 : tag[k]);
	to[n] = 0;
	return true;
}

fetch_end fetch_ask(fetch_http *h, const char *url, fetch_facts *to, e3_err *err)
{
	char at[FETCH_URL], next[FETCH_URL];
	snprintf(at, sizeof at, "%s", url);
	for (int hop = 0; hop < HOPS; hop++) {
		CURLcode rc = perform(h, &(request){.url = at, .token = true}, err);
		if (rc != CURLE_OK)
			return no_transfer(h, rc, at, err);
		bool moved = is_redirect(h->status);
		if (!moved && h->status != 200)
			return bad_status(h, at, true, err);
		if (moved && redirect(h, at, next, err))
			return FETCH_NEVER;
		if (h->linked_tag[0] || !moved) {
			*to = (fetch_facts){.size = h->linked_size};
			memcpy(to->data, moved ? next : at, FETCH_URL);
			to->hub_has_data = same_origin(to->data, url);
			if (take_sum(h->linked_tag, to->sha256) && to->size > 0)
				return FETCH_OK;
			break;
		}
		if (!same_origin(next, url))
			break;
		memcpy(at, next, sizeof at);
	}
	e3_fail(err,
		"%.300s: the server names no size and SHA-256 (X-Linked-Size, X-Linked-ETag): what it sends could not be checked",
		url);
	return FETCH_NEVER;
}

fetch_end fetch_get(fetch_http *h, const fetch_facts *f, int64_t first, const char *tag, const fetch_sink *sink,
	e3_err *err)
{
	char at[FETCH_URL], next[FETCH_URL];
	memcpy(at, f->data, sizeof at);
	for (int hop = 0; hop < HOPS; hop++) {
		bool token = f->hub_has_data && same_origin(at, f->data);
		CURLcode rc = perform(h, &(request){at, token, first, tag, sink}, err);
		if (rc != CURLE_OK)
			return no_transfer(h, rc, at, err);
		if (is_redirect(h->status)) {
			if (redirect(h, at, next, err))
				return FETCH_NEVER;
			memcpy(at, next, sizeof at);
			continue;
		}
		if (h->status == 416) { /* not this part of it: begin anew */
			e3_fail(err, "%.300s: the server has not that part of it", at);
			return sink->begin(sink->to, 0, f->size, "", err) ? FETCH_NEVER : FETCH_AGAIN;
		}
		return h->status == 200 || h->status == 206 ? FETCH_OK : bad_status(h, at, f->hub_has_data, err);
	}
	e3_fail(err, "%.300s: more than %d redirects", f->data, HOPS);
	return FETCH_NEVER;
}
