/* view: the page in one file, with its records inside. Refuses pages that cannot be written into one. */
#include "e3/io.h"
#include "e3/json.h"
#include "e3/sha256.h"
#include "view/assets.h"
#include "view/run.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20 /* bytes of records that one element holds, or one record */ };

typedef struct writer {
	e3_view_store *v;
	e3_file *to;
	int (*stop)(void);
	e3_buf block, text;
	e3_err *err;
} writer;

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int add_base64(e3_buf *to, const uint8_t *p, size_t n, e3_err *err)
{
	char four[4];
	for (size_t k = 0; k < n; k += 3) {
		size_t left = n - k;
		uint32_t x = (uint32_t)p[k] << 16 | (uint32_t)(left > 1 ? p[k + 1] : 0) << 8 | (left > 2 ? p[k + 2] : 0);
		for (int d = 0; d < 4; d++)
			four[d] = (size_t)d <= left ? digits[x >> (18 - 6 * d) & 63] : '=';
		if (e3_buf_add(to, four, 4, err))
			return -1;
	}
	return 0;
}

static int put(writer *w, const char *text) { return e3_file_write(w->to, text, strlen(text), w->err); }

static int go_on(const writer *w) { return w->stop && w->stop() ? e3_fail(w->err, "interrupted") : 0; }

static int put_asset(writer *w, const e3_view_asset *a)
{
	return go_on(w) || e3_file_write(w->to, a->bytes, a->len, w->err) ? -1 : 0;
}

/* --- records --- */

static int put_block(writer *w)
{
	if (!w->block.len)
		return 0;
	w->text.len = 0;
	if (add_base64(&w->text, (const uint8_t *)w->block.data, w->block.len, w->err) ||
		put(w, "<script type=\"text/plain\" class=\"e3-records\">") ||
		e3_file_write(w->to, w->text.data, w->text.len, w->err) || put(w, "</script>\n"))
		return -1;
	w->block.len = 0;
	return 0;
}

static int put_record(writer *w, const e3_view_key *key)
{
	if (go_on(w) || e3_view_get(w->v, key, &w->block, w->err) < 0)
		return -1;
	return w->block.len >= BLOCK ? put_block(w) : 0;
}

/* Where the cameras are comes first, so that the page has a timeline while it reads the rest. */
static int put_run(writer *w, int run)
{
	int64_t frames = e3_view_frames(w->v, run), corrections = e3_view_corrections(w->v, run);
	int rc = 0;
	for (int64_t n = 0; !rc && n < frames; n++)
		rc = put_record(w, &(e3_view_key){.type = E3_VIEW_FRAME, .run = run, .n = n});
	for (int64_t n = 0; !rc && n < corrections; n++)
		rc = put_record(w, &(e3_view_key){.type = E3_VIEW_CORRECT, .run = run, .n = n});
	for (int64_t n = 0; !rc && n < frames; n++)
		rc = put_record(w, &(e3_view_key){.type = E3_VIEW_CHUNK, .run = run, .n = n});
	for (int64_t n = 0; !rc && n < frames; n++)
		for (int type = E3_VIEW_PICTURE; !rc && type <= E3_VIEW_KEPT; type++)
			rc = put_record(w, &(e3_view_key){.type = type, .run = run, .n = n});
	return rc;
}

static void add_facts(e3_json *j, const e3_view_facts *f)
{
	e3_json_text(j, "state", f->state == E3_VIEW_FAILED ? "failed" : "recording");
	e3_json_text(j, "reason", f->reason);
	e3_json_int(j, "frames", f->frames);
	e3_json_int(j, "dropped", f->dropped);
	if (f->cache >= 0)
		e3_json_int(j, "cache", f->cache);
	if (f->budget >= 0)
		e3_json_int(j, "budget", f->budget);
}

static int put_status(writer *w, int runs)
{
	e3_view_facts f;
	size_t at;
	if (e3_view_begin(&w->block, E3_VIEW_STATUS, 0, 0, &at, w->err))
		return -1;
	e3_json j = {.to = &w->block, .err = w->err};
	e3_view_facts_of(w->v, 0, &f);
	e3_json_object(&j, NULL);
	add_facts(&j, &f);
	if (runs > 1) {
		e3_view_facts_of(w->v, 1, &f);
		e3_json_object(&j, "second");
		add_facts(&j, &f);
		e3_json_end(&j);
	}
	e3_json_end(&j);
	return j.rc ? -1 : e3_view_finish(&w->block, at, w->err);
}

static int put_records(writer *w)
{
	int rc = e3_view_hello(w->v, &w->block, w->err), runs = e3_view_runs(w->v);
	for (int k = 0; !rc && k < runs; k++)
		rc = put_run(w, k);
	rc = rc || put_status(w, runs) || put_block(w) ? -1 : 0;
	return rc;
}

/* --- the page --- */

/* The only scripts and styles that run are those of this file, and nothing is loaded from anywhere. */
static int add_hash(e3_buf *to, const e3_view_asset *a, const char *before, const char *after, e3_err *err)
{
	e3_sha256 s;
	char hex[65];
	uint8_t sum[32];
	e3_sha256_init(&s);
	e3_sha256_add(&s, before, strlen(before));
	e3_sha256_add(&s, a->bytes, a->len);
	e3_sha256_add(&s, after, strlen(after));
	e3_sha256_text(&s, hex);
	for (int k = 0; k < 32; k++) {
		char two[3] = {hex[2 * k], hex[2 * k + 1], 0};
		sum[k] = (uint8_t)strtoul(two, NULL, 16);
	}
	return e3_buf_printf(to, err, "'sha256-") || add_base64(to, sum, sizeof sum, err) || e3_buf_printf(to, err, "'")
		? -1
		: 0;
}

static int put_policy(writer *w, const e3_view_asset *css, const e3_view_asset *js)
{
	e3_buf b = {0};
	int rc = e3_buf_printf(&b, w->err,
				 "\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; "
				 "form-action 'none'; img-src data: blob:; style-src ") ||
		add_hash(&b, css, "\n", "", w->err) || e3_buf_printf(&b, w->err, "; script-src ") ||
		add_hash(&b, js, "\n", "", w->err) || e3_buf_printf(&b, w->err, "\">") ||
		e3_file_write(w->to, b.data, b.len, w->err);
	e3_buf_release(&b);
	return rc ? -1 : 0;
}

static const char *const places[] = {"<head>", "<link rel=\"stylesheet\" href=\"style.css\">",
	"<script type=\"module\" src=\"page.js\"></script>"};

static int put_place(writer *w, int place)
{
	const e3_view_asset *css = e3_view_asset_of("style.css"), *js = e3_view_asset_of("page.js");
	switch (place) {
	case 0:
		return put(w, places[0]) || put_policy(w, css, js) ? -1 : 0;
	case 1:
		return put(w, "<style>\n") || put_asset(w, css) || put(w, "</style>") ? -1 : 0;
	default:
		return put_records(w) || put(w, "<script type=\"module\">\n") || put_asset(w, js) || put(w, "</script>") ? -1
																												 : 0;
	}
}

static int put_page(writer *w)
{
	const e3_view_asset *css = e3_view_asset_of("style.css"), *js = e3_view_asset_of("page.js"),
						*page = e3_view_asset_of("index.html");
	if (memmem(js->bytes, js->len, "</script", 8) || memmem(css->bytes, css->len, "</style", 7))
		return e3_fail(w->err, "the page's scripts and styles cannot be written into it: they contain their own end");
	const char *at = (const char *)page->bytes, *end = at + page->len;
	for (int k = 0; k < 3; k++) {
		const char *place = memmem(at, (size_t)(end - at), places[k], strlen(places[k]));
		if (!place)
			return e3_fail(w->err, "the page has no %s", places[k]);
		if (e3_file_write(w->to, at, (size_t)(place - at), w->err) || put_place(w, k))
			return -1;
		at = place + strlen(places[k]);
	}
	return e3_file_write(w->to, at, (size_t)(end - at), w->err);
}

int e3_view_html(e3_view_store *v, e3_file *to, int (*stop)(void), e3_err *err)
{
	writer w = {.v = v, .to = to, .stop = stop, .err = err};
	int rc = put_page(&w);
	e3_buf_release(&w.block), e3_buf_release(&w.text);
	return rc ? -1 : 0;
}
