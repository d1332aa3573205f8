/* base: SHA-256 against the examples of FIPS 180-2 and of NIST's test vectors, whole and in parts. */
#include "check.h"
#include "e3/sha256.h"

static const char *of(const void *bytes, size_t n, size_t step)
{
	static char text[65];
	e3_sha256 s;
	e3_sha256_init(&s);
	for (size_t at = 0; at < n; at += step)
		e3_sha256_add(&s, (const char *)bytes + at, n - at < step ? n - at : step);
	e3_sha256_text(&s, text);
	return text;
}

static void test_vectors(void **state)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	assert_string_equal(of("", 0, 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_string_equal(of("abc", 3, 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(of(two, 56, 56), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	char *a = malloc(1000000);
	memset(a, 'a', 1000000);
	static const size_t steps[] = {1, 63, 64, 65, 4096, 1000000};
	for (size_t k = 0; k < sizeof steps / sizeof *steps; k++)
		assert_string_equal(of(a, 1000000, steps[k]),
			"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(a);
}

/* Every length around the blocks, in parts and whole. */
static void test_padding(void **state)
{
	static const struct {
		size_t n;
		const char *sum;
	} rows[] = {
		{55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
		{56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
		{64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
		{119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
	};
	char a[128];
	memset(a, 'a', sizeof a);
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
		for (size_t step = 1; step <= rows[k].n; step++)
			assert_string_equal(of(a, rows[k].n, step), rows[k].sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_padding),
	};
	return cmocka_run_group_tests_name("base_sha256", tests, NULL, NULL);
}
