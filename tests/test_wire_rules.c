/* wire: what holds for every map of a message, keys that no decoder knows included, and between the fields of one. */
#include "wire_damage.h"

static void test_unknown_keys_are_skipped(void **state)
{
	size_t len;
	e3_err err = {""};
	/* "ms": 1, "new": {"deep": [1, ext]} in place of the last value; the map's count (16, so map16) grows by one. */
	uint8_t *copy = replaced(PRED, "ms",
		"\x01\xa3new\x81\xa4"
		"deep\x92\x01\xd4\x05\x00",
		16, &len);
	uint8_t *head = copy + at[PRED] + 6;
	if (head[0] == 0xde)
		head[2]++;
	else
		head[0]++;
	assert_int_not_equal(head[0], 0x90);
	if (read_all(e3_in_memory(copy, len, &err), &err))
		fail_msg("%s", err.text);
	free(copy);
}

/* "ms": 1, "new": VALUE in place of the last value of a pred; what comes of it. */
static void new_key(const void *key, size_t key_n, const void *value, size_t n, const char *text)
{
	uint8_t bytes[256] = {1}, *copy;
	size_t len;
	memcpy(bytes + 1, key, key_n), memcpy(bytes + 1 + key_n, value, n);
	copy = replaced(PRED, "ms", bytes, 1 + key_n + n, &len);
	copy[at[PRED] + 6 + (copy[at[PRED] + 6] == 0xde ? 2 : 0)]++;
	refused(copy, len, text, text);
	free(copy);
}

/* What holds for all keys holds for those that no decoder knows. */
static void test_unknown_keys_keep_the_rules(void **state)
{
	static const char new[] = "\xa3new";
	// clang-format off
	static const struct { const char *value; size_t n; const char *text; } rows[] = {
		{BYTES("\x82\xa1" "a\x01\xa1" "a\x02"), "pred 0: new: a: given twice"},
		{BYTES("\x82\xa1" "a\x01\xd9\x01" "a\x02"), "pred 0: new: a: given twice"},
		{BYTES("\x91\x81\xa1" "b\x82\xa0\x01\xa0\x02"), "pred 0: new: [0]: b: : given twice"},
		{BYTES("\x81\x05\x01"), "pred 0: new: a key is a whole number, expected text"},
		{BYTES("\x81\xc4\x01" "a\x01"), "pred 0: new: a key is bytes, expected text"},
		{BYTES("\x81\xc0\x01"), "pred 0: new: a key is nil, expected text"},
		{BYTES("\x81\xca\0\0\0\0\x01"), "pred 0: new: a key is a real number, expected text"},
		{BYTES("\x81\x80\x01"), "pred 0: new: a key is a map, expected text"},
		{BYTES("\x81\xa2" "a\xff\x01"), "pred 0: new: a key: text that is not UTF-8, from its byte 1 on"},
		{BYTES("\xa2" "a\xc3"), "pred 0: new: text that is not UTF-8, from its byte 1 on"},
		{BYTES("\xa3\xed\xa0\x80"), "pred 0: new: text that is not UTF-8, from its byte 0 on"},
		{BYTES("\xa2" "a\0"), "pred 0: new: text with a zero byte in it"},
	};
	// clang-format on
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
		new_key(new, sizeof new - 1, rows[k].value, rows[k].n, rows[k].text);
	new_key("\xa2ms", 3, "\x02", 1, "pred 0: ms: given twice");
	new_key("\x07", 1, "\x02", 1, "pred 0: a key is a whole number, expected text");
	new_key("\xc4\x02i\0", 4, "\x02", 1, "pred 0: a key is bytes, expected text");
}

/* Maps of many keys: all different, two the same, too many. */
static void test_maps_of_many_keys(void **state)
{
	for (int kind = 0; kind < 3; kind++) {
		size_t n = kind == 2 ? E3_MAP_MOST + 1 : 50000, len;
		uint8_t *bytes = malloc(10 + 7 * n), *to = bytes;
		e3_err err = {""};
		memcpy(to, "\x01\xa3new\xdf\0", 7);
		to += 6, *to++ = 0, *to++ = (uint8_t)(n >> 16), *to++ = (uint8_t)(n >> 8), *to++ = (uint8_t)n;
		for (size_t k = 0; k < n; k++) {
			char name[8];
			snprintf(name, sizeof name, "%05zx", kind == 1 && k == n - 1 ? (size_t)7 : k * 13 % 65537);
			*to++ = 0xa5, memcpy(to, name, 5), to += 5, *to++ = 0xc0;
		}
		uint8_t *copy = replaced(PRED, "ms", bytes, (size_t)(to - bytes), &len);
		copy[at[PRED] + 6 + (copy[at[PRED] + 6] == 0xde ? 2 : 0)]++;
		if (kind)
			refused(copy, len,
				kind == 1 ? "pred 0: new: 00007: given twice" : "new: a map of 65537 keys, at most 65536", "many keys");
		else if (pass_all(e3_in_memory(copy, len, &err), &err))
			fail_msg("%s", err.text);
		free(copy), free(bytes);
	}
}

static void test_unsorted_ids_in_evict(void **state)
{
	uint8_t *copy = malloc(size);
	const uint8_t ids[] = {0x16, 3, 0, 0, 0xe8, 3, 0, 0};
	size_t where = (size_t)((uint8_t *)memmem(golden + at[EVICT], at[ATTN] - at[EVICT], ids, sizeof ids) - golden);
	memcpy(copy, golden, size);
	copy[where] = 0xe9, copy[where + 1] = 3;
	refused(copy, size, "evict 0: layers[0]: removed: [1] is 1000 after 1001, ids must ascend", "ids");
	const uint8_t count[] = {0xcd, 0x06, 0x19}; /* k_after 1561 */
	where = (size_t)((uint8_t *)memmem(golden + at[EVICT], at[ATTN] - at[EVICT], count, sizeof count) - golden);
	memcpy(copy, golden, size);
	copy[where + 2] = 0x18;
	refused(copy, size, "evict 0: layers[0]: 1564 tokens before, 1560 after, but 3 removed", "count");
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_keys_are_skipped),
		cmocka_unit_test(test_unknown_keys_keep_the_rules),
		cmocka_unit_test(test_maps_of_many_keys),
		cmocka_unit_test(test_unsorted_ids_in_evict),
	};
	return cmocka_run_group_tests_name("wire: rules", tests, setup, teardown);
}
