/* view: a page in one file has all records of its store inside, and names the scripts that may run. */
#include "view_stream.h"

#include "e3/sha256.h"
#include "view/store.h"
#include "view_read.h"

/* Everything in base64 after *from, up to the next '<'. */
static void decode(const char *from, e3_buf *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	e3_err err;
	for (; *from != '<'; from += 4) {
		uint32_t x = 0;
		int n = 3;
		for (int k = 0; k < 4; k++) {
			const char *d = from[k] == '=' ? NULL : strchr(digits, from[k]);
			assert_true(d || k >= 2);
			x = x << 6 | (d ? (uint32_t)(d - digits) : 0);
			n -= !d;
		}
		const uint8_t three[3] = {(uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x};
		assert_int_equal(e3_buf_add(out, three, (size_t)n, &err), 0);
	}
}

static char *write_page(e3_view_store *v)
{
	char path[64];
	e3_err err;
	e3_file file;
	snprintf(path, sizeof path, "/tmp/e3-view-%ld.html", (long)getpid());
	assert_int_equal(e3_file_open(&file, path, &err), 0);
	if (e3_view_html(v, &file, NULL, &err))
		fail_msg("%s", err.text);
	assert_int_equal(e3_file_commit(&file, &err), 0);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	size_t n = (size_t)ftell(f);
	char *text = calloc(n + 1, 1);
	rewind(f);
	assert_int_equal(fread(text, 1, n, f), n);
	fclose(f);
	unlink(path);
	return text;
}

static void all_records_are_inside(void **state)
{
	enum { FRAMES = 5 };
	char path[64];
	e3_err err;
	e3_buf all = {0}, one = {0};
	e3_view_store *v = e3_view_open(NULL, &err);
	for (int run = 0; run < 2; run++) {
		wall_write(path, FRAMES - run, 0.3, NULL, NULL);
		feed_file(v, run, path);
		unlink(path);
	}
	char *page = write_page(v);
	const char *mark = "class=\"e3-records\">", *module = strstr(page, "<script type=\"module\">");
	for (const char *at = page; (at = strstr(at, mark));) {
		assert_true(at < module); /* the page reads them when it starts */
		decode(at += strlen(mark), &all);
	}
	int seen[2][E3_VIEW_STATUS + 1] = {{0}};
	for (size_t at = 0; at < all.len; at += u32(&all, at)) {
		int type = all.data[at + 4], run = all.data[at + 5];
		assert_true(u32(&all, at) >= 16 && u32(&all, at) % 4 == 0 && u32(&all, at) <= all.len - at);
		assert_true(type == E3_VIEW_HELLO || at > 0);
		seen[run][type]++;
		if (type == E3_VIEW_HELLO || type == E3_VIEW_STATUS)
			continue;
		assert_int_equal(get(v, (e3_view_key){.type = type, .run = run, .n = u32(&all, at + 8)}, &one), 1);
		assert_int_equal(one.len, u32(&all, at));
		assert_memory_equal(one.data, all.data + at, one.len);
	}
	for (int run = 0; run < 2; run++)
		for (int type = E3_VIEW_FRAME; type <= E3_VIEW_CONFIDENCE; type++)
			assert_int_equal(seen[run][type], FRAMES - run);
	assert_true(seen[0][E3_VIEW_CHUNK] > 1 && seen[1][E3_VIEW_CHUNK] > 1);
	assert_int_equal(seen[0][E3_VIEW_HELLO], 1);
	assert_int_equal(seen[0][E3_VIEW_STATUS], 1);
	free(page);
	e3_view_close(v);
	e3_buf_release(&all), e3_buf_release(&one);
}

/* The sum in the policy is that of what stands between the tags, so a browser runs it; nothing else may be loaded. */
static void the_policy_names_its_scripts(void **state)
{
	e3_err err;
	e3_view_store *v = e3_view_open(NULL, &err);
	char *page = write_page(v);
	const char *policy = strstr(page, "Content-Security-Policy");
	assert_non_null(policy);
	assert_true(policy < strstr(page, "<style>"));
	static const char *const parts[][3] = {{"style-src 'sha256-", "<style>", "</style>"},
		{"script-src 'sha256-", "<script type=\"module\">", "</script>"}};
	for (int k = 0; k < 2; k++) {
		char *from = strstr(page, parts[k][1]) + strlen(parts[k][1]), *to = strstr(from, parts[k][2]), hex[65];
		e3_sha256 s;
		e3_buf sum = {0};
		e3_sha256_init(&s);
		e3_sha256_add(&s, from, (size_t)(to - from));
		e3_sha256_text(&s, hex);
		char *said = strstr(policy, parts[k][0]) + strlen(parts[k][0]), *end = strchr(said, '\'');
		assert_non_null(end);
		*end = '<';
		decode(said, &sum);
		assert_int_equal(sum.len, 32);
		for (size_t b = 0; b < 32; b++) {
			char two[3];
			snprintf(two, sizeof two, "%02x", (uint8_t)sum.data[b]);
			assert_memory_equal(two, hex + 2 * b, 2);
		}
		e3_buf_release(&sum);
	}
	assert_non_null(strstr(policy, "default-src 'none'"));
	assert_null(strstr(page, "src=\"page.js\""));
	assert_null(strstr(page, "href=\"style.css\""));
	free(page);
	e3_view_close(v);
}

static int stop(void) { return 1; }

static void writing_ends_when_asked_to(void **state)
{
	char path[64];
	e3_err err;
	e3_file file;
	e3_view_store *v = e3_view_open(NULL, &err);
	wall_write(path, 1, 0, NULL, NULL);
	feed_file(v, 0, path);
	unlink(path);
	snprintf(path, sizeof path, "/tmp/e3-view-%ld.html", (long)getpid());
	assert_int_equal(e3_file_open(&file, path, &err), 0);
	assert_int_equal(e3_view_html(v, &file, stop, &err), -1);
	assert_string_equal(err.text, "interrupted");
	e3_file_discard(&file);
	e3_view_close(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_records_are_inside),
		cmocka_unit_test(the_policy_names_its_scripts),
		cmocka_unit_test(writing_ends_when_asked_to),
	};
	return cmocka_run_group_tests_name("view_html", tests, NULL, NULL);
}
