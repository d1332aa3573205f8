/* wire: damaged streams, one change at a time, each with the message it must give. The base is
 * tests/data/stream/golden.e3: head, frame 0, truth 0, mask 0, pred 0, evict 0, attn 0, pred 1, end. */
#include "wire_damage.h"
#include "wire_samples.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_truncated_anywhere(void **state)
{
	char what[64], number[128];
	int k = 0;
	for (size_t n = 0; n < size; n++) {
		while (n >= at[k + 1])
			k++;
		snprintf(what, sizeof what, "cut at byte %zu", n);
		if (n == 0)
			snprintf(number, sizeof number, "truncated: empty, expected a head");
		else if (n == at[k])
			snprintf(number, sizeof number, "truncated: the stream stops after message %d, before its end", k);
		else if (n < at[k] + 6)
			snprintf(number, sizeof number, "truncated: message %d: expected 6 bytes of envelope, got %zu", k + 1,
				n - at[k]);
		else
			snprintf(number, sizeof number, "expected %zu bytes, got %zu", at[k + 1] - at[k], n - at[k]);
		refused(golden, n, number, what);
	}
}

static void test_every_length_field(void **state)
{
	static const char *const limits[MESSAGES] = {"at most 65536", "at most 268435456", "at most 67108864",
		"at most 134217728", "at most 536870912", "at most 67108864", "at most 67108864", "at most 536870912",
		"at most 67108864"};
	uint8_t *copy = malloc(size);
	for (int k = 0; k < MESSAGES; k++) {
		uint32_t body = (uint32_t)(at[k + 1] - at[k] - 6);
		memcpy(copy, golden, size);
		e3_put_be32(copy + at[k] + 1, UINT32_MAX);
		refused(copy, size, limits[k], "length 2^32 - 1");
		e3_put_be32(copy + at[k] + 1, body - 1);
		refused(copy, size, "damaged near byte", "length one less");
		e3_put_be32(copy + at[k] + 1, 0);
		refused(copy, size, "damaged near byte 0", "length 0");
		e3_put_be32(copy + at[k] + 1, body + 1);
		refused(copy, size, k == END ? "truncated: message 9 (end)" : "1 bytes after the map", "length one more");
		e3_put_be32(copy + at[k] + 1, body + 60000);
		refused(copy, size, k == HEAD ? "truncated: message 1 (head)" : "truncated", "length far too large");
	}
	free(copy);
}

static void test_bytes_of_the_envelope(void **state)
{
	uint8_t *copy = malloc(size + 1);
	memcpy(copy, golden, size);
	copy[0] = 0x89;
	refused(copy, size, "not an e3 stream: byte 0x89 where a message should begin with 0xc9", "first byte");
	refused(copy, 1, "not an e3 stream: byte 0x89", "one byte of something else");
	memcpy(copy, golden, size);
	copy[at[PRED]] = 0;
	refused(copy, size, "message 5: byte 0x00 where a message should begin with 0xc9", "mark of message 5");
	refused(copy, at[PRED] + 2, "message 5: byte 0x00", "mark of message 5, cut");
	for (int kind = 0; kind < 256; kind++) {
		char text[80];
		if (kind >= 1 && kind < E3_KINDS)
			continue;
		memcpy(copy, golden, size);
		copy[at[FRAME] + 5] = (uint8_t)kind;
		snprintf(text, sizeof text, "message 2: unknown kind %d; this version knows 1 to 11", kind);
		refused(copy, size, text, "kind");
	}
	memcpy(copy, golden, size);
	copy[size] = 0xc9;
	refused(copy, size + 1, "more bytes after the end of the stream", "a byte more");
	free(copy);
}

/* A stream put together from messages of the golden one, in this order (-1 ends), with the index of each frame and
 * pred. */
static void test_order_of_messages(void **state)
{
	static const struct {
		int order[12];
		const char *text;
	} rows[] = {
		{{FRAME, END, -1}, "message 1: frame before the head"},
		{{END, -1}, "message 1: end before the head"},
		{{HEAD, HEAD, END, -1}, "message 2: a second head"},
		{{HEAD, FRAME, FRAME, END, -1}, "message 3: frame 0 after frame 0: indices must increase"},
		{{HEAD, PRED1, PRED, END, -1}, "message 3: pred 0 after pred 1: indices must increase"},
		{{HEAD, PRED, END, -1}, "message 3: end counts 2 frames, the stream had 1"},
		{{HEAD, END, -1}, "message 2: end counts 2 frames, the stream had 0"},
		{{HEAD, PRED, PRED1, END, END, -1}, "more bytes after the end of the stream (message 4)"},
		{{HEAD, PRED, PRED1, -1}, "truncated: the stream stops after message 3, before its end"},
	};
	uint8_t *copy = malloc(12 * size);
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		size_t n = 0;
		for (const int *m = rows[r].order; *m >= 0; m++) {
			memcpy(copy + n, golden + at[*m], at[*m + 1] - at[*m]);
			n += at[*m + 1] - at[*m];
		}
		refused(copy, n, rows[r].text, "order");
	}
	free(copy);
}

// clang-format off
static const struct row {
	int m;
	const char *key, *value;
	size_t n;
	const char *text;
} fields[] = {
	{HEAD, "v", BYTES("\x02"), "head: stream version 2; this program reads version 1"},
	{HEAD, "v", BYTES("\xcd\xff\xff"), "stream version 65535; this program reads version 1"},
	{HEAD, "v", BYTES("\xa1" "1"), "head: v: missing or not a whole number"},
	{HEAD, "tool", BYTES("\x01"), "head: tool: is a whole number, expected text"},
	{HEAD, "tool", BYTES("\xa2" "a\0"), "head: tool: text with a zero byte in it"},
	{HEAD, "frames", BYTES("\xff"), "head: frames: is -1, expected 0 to 9007199254740991"},
	{HEAD, "frames", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "head: frames: is 18446744073709551615, expected 0 to"},
	{HEAD, "fps", NAN64, "head: fps: is not a number, expected a finite number"},
	{HEAD, "fps", BYTES("\xff"), "head: fps: is -1, expected 0 (unknown) or more"},
	{HEAD, "patch_grid", BYTES("\x93\x01\x02\x03"), "head: patch_grid: expected a list of 2 numbers"},
	{HEAD, "budget", BYTES("\xcb\x3f\xf0\0\0\0\0\0\0"), "head: budget: is a real number, expected a whole number"},
	{FRAME, "i", BYTES("\xff"), "message 2: frame: i: missing, or not a whole number from 0 to 2^53 - 1"},
	{FRAME, "i", BYTES("\xcf\x00\x20\0\0\0\0\0\0"), "message 2: frame: i: missing, or not a whole number from 0"},
	{FRAME, "pts", NAN64, "frame 0: pts: is not a number, expected a finite number"},
	{FRAME, "pts", INF64, "frame 0: pts: is infinite, expected a finite number"},
	{FRAME, "fit", BYTES("\x94\x01\x01\x00\xca\x7f\x80\0\0"), "frame 0: fit: [3]: is infinite, expected a finite number"},
	{FRAME, "fit", BYTES("\x94\x00\x01\x00\x00"), "frame 0: fit: scale 0, 1; both must be above 0"},
	{FRAME, "rot", BYTES("\x2d"), "frame 0: rot: is 45, expected 0, 90, 180 or 270"},
	{FRAME, "src_w", BYTES("\x00"), "frame 0: src_w, src_h: size 0 × 1080; each side must be 1 to 65535"},
	{FRAME, "src_i", BYTES("\xff"), "frame 0: src_i: is -1, expected 0 to"},
	{FRAME, "w", BYTES("\x00"), "frame 0: size 0 × 4; each side must be 1 to 65535"},
	{FRAME, "w", BYTES("\xce\0\1\0\0"), "frame 0: size 65536 × 4; each side must be 1 to 65535"},
	{FRAME, "w", BYTES("\xce\xff\xff\xff\xff"), "frame 0: w: is 4294967295, expected 0 to 2147483647"},
	{FRAME, "h", BYTES("\x05"), "frame 0: rgb: shape[0] is 4, expected 5"},
	{FRAME, "rgb", BYTES("\xc4\x03" "abc"), "frame 0: rgb: is bytes, expected an array"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x93\x00\x00\x03", "\xc4\x00"), "frame 0: rgb: shape[0] is 0, expected 4"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x92\x04\x06", "\xc4\x18" "123456789012345678901234"), "frame 0: rgb: has 2 dimensions, expected 3"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x93\x04\x06\x03", "\xc4\x01" "x"), "frame 0: rgb: shape and dtype need 72 bytes, data has 1"},
	{FRAME, "rgb", ARRAY("\xa2" "u9", "\x93\x04\x06\x03", "\xc4\x00"), "frame 0: rgb: dtype is 'u9', expected u8, u32, f16 or f32"},
	{FRAME, "rgb", ARRAY("\x01", "\x93\x04\x06\x03", "\xc4\x00"), "frame 0: rgb: dtype is a whole number, expected text"},
	{FRAME, "rgb", ARRAY("\xa3" "u32", "\x91\x00", "\xc4\x00"), "frame 0: rgb: is u32, expected u8"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x90", "\xc4\x00"), "frame 0: rgb: shape is not a list of 1 to 4 numbers"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x95\1\1\1\1\1", "\xc4\x01" "x"), "frame 0: rgb: shape is not a list of 1 to 4 numbers"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x91\xff", "\xc4\x00"), "frame 0: rgb: shape[0] is not a whole number from 0 to"},
	{FRAME, "rgb", ARRAY("\xa3" "f32", "\x94\xce\x7f\xff\xff\xff\xce\x7f\xff\xff\xff\xce\x7f\xff\xff\xff\x04", "\xc4\x00"),
	 "frame 0: rgb: shape is too large"},
	{FRAME, "rgb", ARRAY("\xa2" "u8", "\x93\x04\x06\x03", "\xa1" "x"), "frame 0: rgb: data is text, expected bytes"},
	{FRAME, "rgb", BYTES("\x82\xa5" "dtype" "\xa2" "u8" "\xa5" "shape" "\x91\x00"), "frame 0: rgb: array without data"},
	{FRAME, "rgb", BYTES("\x82\xa5" "dtype" "\xa2" "u8" "\xa5" "dtype" "\xa2" "u8"), "frame 0: rgb: dtype given twice"},
	{TRUTH, "pose", ARRAY("\xa3" "f32", "\x91\x08", "\xc4\x20" "12345678901234567890123456789012"), "truth 0: pose: shape[0] is 8, expected 9"},
	{TRUTH, "depth", ARRAY("\xa2" "u8", "\x92\x04\x06", "\xc4\x18" "123456789012345678901234"), "truth 0: depth: is u8, expected f32"},
	{TRUTH, "intrinsics", BYTES("\x94\x00\x01\x00\x00"), "truth 0: intrinsics: focal lengths 0, 1; both must be above 0"},
	{TRUTH, "intrinsics", BYTES("\x93\x01\x01\x00"), "truth 0: intrinsics: expected a list of 4 numbers"},
	{TRUTH, "w", BYTES("\x07"), "truth 0: depth: shape[1] is 6, expected 7"},
	{MASK, "class", BYTES("\xa0"), "mask 0: class: '': expected a name of 1 to 63 bytes, without a comma"},
	{MASK, "class", BYTES("\xa7" "sky,sea"), "mask 0: class: 'sky,sea': expected a name of 1 to 63 bytes, without a comma"},
	{MASK, "class", BYTES("\xa4" " sky"), "mask 0: class: ' sky': expected a name"},
	{MASK, "class", BYTES("\xd9\x40" "0123456701234567012345670123456701234567012345670123456701234567"), "mask 0: class: '0123"},
	{MASK, "fit", BYTES("\x94\x00\x01\x00\x00"), "mask 0: fit: scale 0, 1; both must be above 0"},
	{MASK, "mask", ARRAY("\xa3" "f32", "\x92\x01\x01", "\xc4\x04" "1234"), "mask 0: mask: is f32, expected u8"},
	{MASK, "mask", ARRAY("\xa2" "u8", "\x91\x04", "\xc4\x04" "1234"), "mask 0: mask: has 1 dimensions, expected 2"},
	{MASK, "mask", ARRAY("\xa2" "u8", "\x92\x00\x04", "\xc4\x00"), "mask 0: mask: size 4 × 0; each side must be 1 to 65535"},
	{PRED, "pose", ARRAY("\xa3" "f32", "\x91\x09", "\xc4\x24\0\0\xc0\x7f" "12345678901234567890123456789012"),
	 "pred 0: pose[0]: is not a number, expected a finite number"},
	{PRED, "pose", ARRAY("\xa3" "f32", "\x91\x09", "\xc4\x24" ZEROS36), "pred 0: pose: the quaternion is zero"},
	{TRUTH, "pose", ARRAY("\xa3" "f32", "\x91\x09", "\xc4\x24" ZEROS36), "truth 0: pose: the quaternion is zero"},
	{PRED, "ms", INF64, "pred 0: ms: is infinite, expected a finite number"},
	{PRED, "depth", ARRAY("\xa2" "u8", "\x92\x04\x06", "\xc4\x18" "123456789012345678901234"), "pred 0: depth: is u8, expected f32"},
	{PRED, "points", ARRAY("\xa3" "f32", "\x93\x04\x06\x00", "\xc4\x00"), "pred 0: points: shape[2] is 0, expected 3"},
	{EVICT, "layers", BYTES("\xc0"), "evict 0: layers: is nil, expected a list"},
	{EVICT, "layers", BYTES("\x91\xc0"), "evict 0: layers[0]: is nil, expected a map"},
	{EVICT, "layers", BYTES("\x91\x80"), "evict 0: layers[0]: layer: missing"},
	{EVICT, "layers", BYTES("\x91\x81\x01\x01"), "evict 0: layers[0]: a key is a whole number, expected text"},
	{ATTN, "key", ARRAY("\xa3" "u32", "\x91\x02", "\xc4\x08" "\5\0\0\0\5\0\0\0"), "attn 0: key: [1] is 5 after 5, ids must ascend"},
	{ATTN, "mass", ARRAY("\xa3" "f32", "\x91\x01", "\xc4\x04" "1234"), "attn 0: mass: shape[0] is 1, expected 3"},
	{ATTN, "map", ARRAY("\xa3" "f32", "\x92\x01\x02", "\xc4\x08" "12345678"), "attn 0: map: shape[1] is 2, expected 3"},
	{ATTN, "layer", BYTES("\xff"), "attn 0: layer: is -1, expected 0 to 2147483647"},
	{END, "frames", BYTES("\x03"), "message 9: end counts 3 frames, the stream had 2"},
	{END, "seconds", NAN64, "end: seconds: is not a number, expected a finite number"},
	{END, "peak_rss", BYTES("\xff"), "end: peak_rss: is a whole number, expected a whole number, not negative"},
	/* Structure: counts beyond the bytes present, reserved bytes, nesting. */
	{END, "seconds", BYTES("\xdd\x03\xff\xff\xff"), "message 9: end: damaged near byte"},
	{END, "seconds", BYTES("\xdf\xff\xff\xff\xff"), "message 9: end: damaged near byte"},
	{END, "seconds", BYTES("\xc6\xff\xff\xff\xff"), "message 9: end: damaged near byte"},
	{END, "seconds", BYTES("\xc9\xff\xff\xff\xff\x01"), "message 9: end: damaged near byte"},
	{END, "seconds", BYTES("\xc1"), "message 9: end: damaged near byte"},
	{END, "seconds", BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x00"), "nested deeper than 8"},
};
// clang-format on

static void test_every_field(void **state)
{
	for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
		size_t len;
		char what[64];
		uint8_t *copy = replaced(fields[k].m, fields[k].key, fields[k].value, fields[k].n, &len);
		snprintf(what, sizeof what, "row %zu: %s", k, fields[k].key);
		refused(copy, len, fields[k].text, what);
		free(copy);
	}
	printf("# %zu rows\n", sizeof fields / sizeof *fields);
}

/* Every required key: absent (its last letter changed), and given twice (the key after it takes its name). */
static void test_missing_keys(void **state)
{
	// clang-format off
	static const struct {
		int m;
		const char *key, *text;
	} rows[] = {
		{HEAD, "tool", "head: tool: missing"}, {HEAD, "version", "head: version: missing"}, {HEAD, "source", "head: source: missing"},
		{HEAD, "frames", "head: frames: missing"}, {HEAD, "fps", "head: fps: missing"},
		{FRAME, "pts", "frame 0: pts: missing"}, {FRAME, "src_i", "frame 0: src_i: missing"}, {FRAME, "src_w", "frame 0: src_w: missing"},
		{FRAME, "src_h", "frame 0: src_h: missing"}, {FRAME, "rot", "frame 0: rot: missing"}, {FRAME, "fit", "frame 0: fit: missing"},
		{FRAME, "rgb", "frame 0: rgb: missing"}, {PRED, "rgb", "pred 0: rgb: missing"}, {PRED, "ms", "pred 0: ms: missing"},
		{PRED, "depth", "pred 0: depth_conf without depth"}, {PRED, "depth_conf", "pred 0: depth without depth_conf"},
		{PRED, "points", "pred 0: points_conf without points"}, {TRUTH, "w", "truth 0: w and h: missing"},
		{MASK, "class", "mask 0: class: missing"}, {MASK, "mask", "mask 0: mask: missing"},
		{EVICT, "layers", "evict 0: layers: missing"}, {ATTN, "layer", "attn 0: layer: missing"}, {ATTN, "key", "attn 0: key: missing"},
		{ATTN, "mass", "attn 0: mass: missing"}, {ATTN, "frame_mass", "attn 0: frame_mass: missing"},
		{END, "frames", "end: frames: missing"}, {END, "seconds", "end: seconds: missing"},
	};
	// clang-format on
	uint8_t *copy = malloc(size);
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_value v;
		e3_cursor c;
		assert_true(
			e3_body_find(golden + at[rows[k].m] + 6, at[rows[k].m + 1] - at[rows[k].m] - 6, rows[k].key, &v, &c));
		memcpy(copy, golden, size);
		copy[c.at - golden - 1] = '?';
		refused(copy, size, rows[k].text, rows[k].key);
	}
	size_t w = (size_t)((uint8_t *)memmem(golden + at[FRAME], at[TRUTH] - at[FRAME], "src_w", 5) - golden);
	memcpy(copy, golden, size);
	memcpy(copy + w, "src_h", 5);
	refused(copy, size, "frame 0: src_h: given twice", "src_h twice");
	free(copy);
}

static void test_abort_from_upstream(void **state)
{
	static const char body[] = "\x83\xa4"
							   "tool\xa9"
							   "e3-decode\xa4"
							   "code\x02\xa4"
							   "text\xac"
							   "lens\x1b[m cap.";
	e3_err err = {""};
	e3_msg msg;
	uint8_t stream[64] = {0xc9, 0, 0, 0, sizeof body - 1, E3_ABORT};
	memcpy(stream + 6, body, sizeof body - 1);
	e3_in *in = e3_in_memory(stream, 6 + sizeof body - 1, &err);
	assert_int_equal(e3_in_next(in, &msg, &err), -1);
	assert_string_equal(err.text, "e3-decode failed (exit 2): lens?[m cap.");
	assert_string_equal(e3_in_abort(in)->tool, "e3-decode");
	assert_int_equal(e3_in_abort(in)->code, 2);
	assert_int_equal(e3_in_next(in, &msg, &err), -1);
	e3_in_close(in);
}

/* An abort made of an abort's text keeps the stage that failed first. */
static void test_first_failure_is_kept(void **state)
{
	e3_err err = {""};
	e3_msg msg;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	char name[32];
	snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
	e3_out *out = e3_out_open(name, NULL, &err);
	assert_non_null(out);
	e3_out_abort(out, "e3-infer", 1, "e3-decode failed (exit 2): opening: x.mp4: No such file or directory");
	close(ends[1]);
	snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
	e3_in *in = e3_in_open(name, NULL, &err);
	assert_int_equal(e3_in_next(in, &msg, &err), -1);
	assert_string_equal(err.text, "e3-decode failed (exit 2): opening: x.mp4: No such file or directory");
	e3_in_close(in);
	close(ends[0]);
}

/* A pipe that gives the given bytes, `step` at a time, from another process. */
static e3_in *from_pipe(const uint8_t *bytes, size_t n, size_t step, pid_t *child)
{
	int ends[2];
	char name[32];
	e3_err err = {""};
	assert_int_equal(pipe(ends), 0);
	*child = fork();
	if (*child == 0) {
		close(ends[0]);
		for (size_t k = 0; k < n; k += step)
			if (e3_write_full(ends[1], bytes + k, n - k < step ? n - k : step))
				_exit(1);
		_exit(0);
	}
	close(ends[1]);
	snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
	e3_in *in = e3_in_open(name, NULL, &err);
	close(ends[0]);
	if (!in)
		fail_msg("%s", err.text);
	return in;
}

static void test_byte_by_byte(void **state)
{
	e3_err err = {""};
	pid_t child;
	int status;
	if (read_all(from_pipe(golden, size, 1, &child), &err))
		fail_msg("%s", err.text);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* 512 MiB are claimed, 100 bytes come: with 64 MiB of address space to spare it is "truncated", not "out of memory". */
static void test_claimed_length_is_not_allocated(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
	skip(); /* a sanitizer's own reservations make the limit meaningless */
#else
	e3_err err = {""};
	pid_t child;
	struct rlimit before, tight;
	uint8_t *copy = malloc(at[PRED] + 106);
	memcpy(copy, golden, at[PRED] + 106);
	e3_put_be32(copy + at[PRED] + 1, (uint32_t)512 << 20);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	tight = before;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	assert_true(f && fscanf(f, "%lu", &pages) == 1);
	fclose(f);
	e3_in *in = from_pipe(copy, at[PRED] + 106, 64, &child);
	tight.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)64 << 20);
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	int rc = read_all(in, &err);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(rc, -1);
	assert_non_null(strstr(err.text, "truncated: message 5 (pred): expected 536870918 bytes, got 106"));
	waitpid(child, NULL, 0);
	free(copy);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_every_length_field),
		cmocka_unit_test(test_bytes_of_the_envelope),
		cmocka_unit_test(test_order_of_messages),
		cmocka_unit_test(test_every_field),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_abort_from_upstream),
		cmocka_unit_test(test_first_failure_is_kept),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_claimed_length_is_not_allocated),
	};
	return cmocka_run_group_tests_name("wire_damage", tests, setup, teardown);
}
