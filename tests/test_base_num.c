/* Half and bfloat16 against their definitions, strict parsing, JSON text, error texts. */
#include "check.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>

static void every_half_survives_the_round_trip(void **state)
{
	for (uint32_t h = 0; h < 0x10000; h++) {
		float f = e3_f16_to_f32((uint16_t)h);
		uint16_t back = e3_f32_to_f16(f);
		if (isnan(f))
			assert_true(isnan(e3_f16_to_f32(back)));
		else
			assert_int_equal(back, h);
	}
}

static void halves_round_to_even_and_match_the_processor(void **state)
{
	uint32_t s = 1;
	float v[64], again[64];
	uint16_t fast[64];
	for (int round = 0; round < 4096; round++) {
		for (int k = 0; k < 64; k++) {
			s = s * 1664525u + 1013904223u;
			uint32_t u = (s & 0x8fffffffu) | (0x30000000u + ((s >> 3) & 0x1f000000u));
			memcpy(&v[k], &u, 4);
			if (!isfinite(v[k]))
				v[k] = 0;
		}
		e3_f32_to_f16_n(v, fast, 64);
		e3_f16_to_f32_n(fast, again, 64);
		for (int k = 0; k < 64; k++) {
			assert_int_equal(fast[k], e3_f32_to_f16(v[k]));
			assert_true(again[k] == e3_f16_to_f32(fast[k]));
		}
	}
	assert_int_equal(e3_f32_to_f16(65519.9f), 0x7bff);
	assert_int_equal(e3_f32_to_f16(65520.0f), 0x7c00);
	assert_int_equal(e3_f32_to_f16(2049.0f), e3_f32_to_f16(2048.0f)); /* tie to even */
	assert_int_equal(e3_f32_to_f16(2051.0f), e3_f32_to_f16(2052.0f));
}

static void bfloat_rounds_to_even(void **state)
{
	assert_int_equal(e3_f32_to_bf16(1.0f), 0x3f80);
	assert_true(e3_bf16_to_f32(e3_f32_to_bf16(19.6875f)) == 19.75f); /* a tie: 35 × 0.5625, doc/network.md 5.3 */
	assert_true(e3_bf16_to_f32(e3_f32_to_bf16(27.746086f)) == 27.75f);
	assert_true(e3_bf16_to_f32(e3_f32_to_bf16(4.934029f)) == 4.9375f);
	assert_true(isnan(e3_bf16_to_f32(e3_f32_to_bf16(NAN))));
}

static void numbers_are_parsed_strictly(void **state)
{
	e3_err err;
	int64_t i;
	double d;
	int list[3];
	assert_int_equal(e3_parse_i64("12", 0, 20, &i, &err), 0);
	assert_int_equal(i, 12);
	const char *bad[] = {"", " 1", "1 ", "1x", "21", "-1", "99999999999999999999"};
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		assert_int_equal(e3_parse_i64(bad[k], 0, 20, &i, &err), -1);
	assert_int_equal(e3_parse_f64("0.5", 0, 1, &d, &err), 0);
	assert_int_equal(e3_parse_f64("nan", 0, 1, &d, &err), -1);
	assert_int_equal(e3_parse_f64("1e999", 0, 1, &d, &err), -1);
	assert_int_equal(e3_parse_ints("0,5,11", 0, 23, list, 3, &err), 3);
	assert_int_equal(list[2], 11);
	assert_int_equal(e3_parse_ints("0,,1", 0, 23, list, 3, &err), -1);
	assert_int_equal(e3_parse_ints("0,1,2,3", 0, 23, list, 3, &err), -1);
	assert_int_equal(e3_parse_ints("", 0, 23, list, 3, &err), -1);
}

static void json_strings_are_quoted(void **state)
{
	e3_err err;
	e3_buf b = {0};
	assert_int_equal(e3_buf_json(&b, "a\"b\\\n\xc3\xa9\xff", &err), 0);
	assert_string_equal(b.data, "\"a\\\"b\\\\\\u000a\xc3\xa9\xef\xbf\xbd\"");
	e3_buf_release(&b);
}

/* What is UTF-8 stays; every byte that is not becomes U+FFFD: sequences too long, surrogates, beyond U+10FFFF, cut. */
static void json_strings_are_valid_utf8(void **state)
{
	static const char *const good[] = {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
		"\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98"};
	for (size_t k = 0; k < sizeof good / sizeof *good + sizeof bad / sizeof *bad; k++) {
		bool kept = k < sizeof good / sizeof *good;
		const char *text = kept ? good[k] : bad[k - sizeof good / sizeof *good];
		char want[32];
		int n = snprintf(want, sizeof want, "\"%s", kept ? text : "");
		for (const char *p = text; !kept && *p; p++)
			n += snprintf(want + n, sizeof want - (size_t)n, "\xef\xbf\xbd");
		snprintf(want + n, sizeof want - (size_t)n, "\"");
		e3_buf b = {0};
		assert_int_equal(e3_buf_json(&b, text, NULL), 0);
		assert_string_equal(b.data, want);
		e3_buf_release(&b);
	}
	for (int c = 1; c < 0x20; c++) {
		char text[2] = {(char)c}, want[16];
		e3_buf b = {0};
		snprintf(want, sizeof want, "\"\\u%04x\"", c);
		assert_int_equal(e3_buf_json(&b, text, NULL), 0);
		assert_string_equal(b.data, want);
		e3_buf_release(&b);
	}
}

static void sizes_in_bytes_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* 0: refused */
	} table[] = {{"1", 1}, {"4096", 4096}, {"1k", 1024}, {"512M", 512 << 20}, {"4G", (int64_t)4 << 30},
		{"2T", (int64_t)2 << 40}, {"1048576k", 1 << 30}, {"0", 0}, {"", 0}, {"M", 0}, {"-1M", 0}, {"1.5G", 0},
		{"1048577k", 0}, {"1MB", 0}, {" 1M", 0}, {"1m", 0}, {"10000000000000000000000000000000000", 0}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		int64_t n = 0;
		assert_int_equal(e3_parse_bytes(table[k].text, &n, NULL), table[k].want ? 0 : -1);
		assert_int_equal(n, table[k].want);
	}
}

static void picture_sizes_are_width_x_height(void **state)
{
	static const char *const refused[] = {"", "640", "x480", "640x", "640x480x3", "0x480", "640x0", "1001x1", "1x1001",
		"-1x5", " 4x5", "4 x5", "4X5", "100000000000000000000000000000000000x1"};
	int size[2];
	assert_int_equal(e3_parse_size("640x480", 1000, size, NULL), 0);
	assert_true(size[0] == 640 && size[1] == 480);
	assert_int_equal(e3_parse_size("1000x1", 1000, size, NULL), 0);
	for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
		assert_int_equal(e3_parse_size(refused[k], 1000, size, NULL), -1);
	assert_true(size[0] == 1000 && size[1] == 1);
	e3_err err;
	e3_parse_size("640", 1000, size, &err);
	assert_string_equal(err.text, "expected WIDTHxHEIGHT such as 640x480, got '640'");
}

static void ranges_are_low_colon_high(void **state)
{
	static const char *const refused[] = {"", "1", ":", "1:", ":2", "2:1", "1:1", "1:2:3", "nan:1", "-5:0", "0:11"};
	double range[2];
	e3_err err;
	assert_int_equal(e3_parse_range("0.5:1e1", -1, 10, range, NULL), 0);
	assert_true(range[0] == 0.5 && range[1] == 10);
	for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
		assert_int_equal(e3_parse_range(refused[k], -1, 10, range, NULL), -1);
	assert_true(range[0] == 0.5 && range[1] == 10);
	e3_parse_range("3:2", -1, 10, range, &err);
	assert_string_equal(err.text, "expected LO:HI with LO below HI, got '3:2'");
}

static void lists_of_words_are_the_union_of_their_bits(void **state)
{
	static const e3_word words[] = {{"pose", 1}, {"depth", 2}, {"all", 7}, {NULL, 0}};
	static const char *const refused[] = {"", ",", "pose,", "Pose", "pos", "pose depth", "depths"};
	int bits = -1;
	e3_err err;
	assert_int_equal(e3_parse_words("depth", words, &bits, NULL), 0);
	assert_int_equal(bits, 2);
	assert_int_equal(e3_parse_words("depth,pose,depth", words, &bits, NULL), 0);
	assert_int_equal(bits, 3);
	for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
		assert_int_equal(e3_parse_words(refused[k], words, &bits, NULL), -1);
	assert_int_equal(bits, 3);
	e3_parse_words("pose,x", words, &bits, &err);
	assert_string_equal(err.text, "expected one of pose|depth|all, or several with commas, got 'pose,x'");
}

/* One line without control characters, whatever comes from outside; too long a text is cut, not overrun. */
static void messages_are_one_clean_line(void **state)
{
	e3_err err;
	assert_int_equal(e3_fail(&err, "reading: %s: bad", "a\nb\x1b[31m\x7f\t\xc3\xa9"), -1);
	assert_string_equal(err.text, "reading: a?b?[31m??\xc3\xa9: bad");
	assert_int_equal(e3_fail_in(&err, "frame %d", 3), -1);
	assert_string_equal(err.text, "frame 3: reading: a?b?[31m??\xc3\xa9: bad");
	errno = ENOENT;
	assert_int_equal(e3_fail_sys(&err, "opening: %s", "x\ry"), -1);
	assert_string_equal(err.text, "opening: x?y: No such file or directory");
	char long_text[4 * sizeof err.text];
	memset(long_text, 'x', sizeof long_text);
	long_text[sizeof long_text - 1] = 0;
	assert_int_equal(e3_fail(&err, "%s", long_text), -1);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_int_equal(e3_fail_in(&err, "%s", long_text), -1);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_int_equal(e3_fail(NULL, "not reported"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_half_survives_the_round_trip),
		cmocka_unit_test(halves_round_to_even_and_match_the_processor),
		cmocka_unit_test(bfloat_rounds_to_even),
		cmocka_unit_test(numbers_are_parsed_strictly),
		cmocka_unit_test(json_strings_are_quoted),
		cmocka_unit_test(json_strings_are_valid_utf8),
		cmocka_unit_test(sizes_in_bytes_have_units),
		cmocka_unit_test(picture_sizes_are_width_x_height),
		cmocka_unit_test(ranges_are_low_colon_high),
		cmocka_unit_test(lists_of_words_are_the_union_of_their_bits),
		cmocka_unit_test(messages_are_one_clean_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
