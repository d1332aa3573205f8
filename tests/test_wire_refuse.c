/* wire: what writers refuse to send and endpoints refuse to open, each with the message it must give. */
#include "check.h"
#include "wire_samples.h"
#include <unistd.h>

/* What a writer is made to send, and what it says. */
static void test_writers_refuse(void **state)
{
	char path[64], text[256];
	e3_err err = {""};
	snprintf(path, sizeof path, "/tmp/e3-wire-refuse-%ld.e3", (long)getpid());
	e3_head head = sample_head();
	e3_frame frame = sample_frame(0);
	e3_pred pred = sample_pred(0, false);
	e3_evict evict = sample_evict(0);
	e3_end end = sample_end(2);
	e3_out *out = e3_out_open(path, NULL, &err);
	assert_non_null(out);
#define REFUSES(call, expected) \
	do { \
		assert_int_equal(call, -1); \
		snprintf(text, sizeof text, "writing: %s: %s", path, expected); \
		assert_string_equal(err.text, text); \
	} while (0)
	REFUSES(e3_out_frame(out, &frame, &err), "frame before the head");
	head.fps = NAN;
	REFUSES(e3_out_head(out, &head, &err), "head: fps: is not a number, expected a finite number");
	head.fps = 1;
	assert_int_equal(e3_out_head(out, &head, &err), 0);
	REFUSES(e3_out_head(out, &head, &err), "a second head");
	frame.s.pts = INFINITY;
	REFUSES(e3_out_frame(out, &frame, &err), "frame 0: pts: is infinite, expected a finite number");
	frame.s.pts = 0, frame.w = 0;
	REFUSES(e3_out_frame(out, &frame, &err), "frame 0: size 0 × 4; each side must be 1 to 65535");
	pred.pose[4] = NAN;
	REFUSES(e3_out_pred(out, &pred, &err), "pred 0: pose[4]: is not a number, expected a finite number");
	pred.pose[4] = 0;
	evict.layer[1].variance = NAN;
	REFUSES(e3_out_evict(out, &evict, &err), "evict 0: layers[1]: variance: is not a number, expected a finite number");
	assert_int_equal(e3_out_pred(out, &pred, &err), 0);
	REFUSES(e3_out_pred(out, &pred, &err), "pred 0 after pred 0: indices must increase");
	REFUSES(e3_out_end(out, &end, &err), "end counts 2 frames, the stream had 1");
	snprintf(text, sizeof text, "closing: %s: the stream has no end yet", path);
	assert_int_equal(e3_out_close(out, &err), -1);
	assert_string_equal(err.text, text);
	assert_int_equal(access(path, F_OK), -1);
	e3_head_release(&head), e3_frame_release(&frame), e3_pred_release(&pred), e3_evict_release(&evict);
}

/* Too large for its kind: said before anything is written. */
static void test_over_long_message_is_refused(void **state)
{
	e3_err err = {""};
	e3_head head = sample_head();
	free(head.source);
	head.source = malloc(70000);
	memset(head.source, 'x', 69999), head.source[69999] = 0;
	e3_out *out = e3_out_open("/dev/null", NULL, &err);
	assert_non_null(out);
	assert_int_equal(e3_out_head(out, &head, &err), -1);
	assert_non_null(strstr(err.text, "writing: /dev/null: head of 70"));
	assert_non_null(strstr(err.text, "bytes; at most 65536 are allowed"));
	e3_out_abort(out, "test", 1, err.text);
	e3_head_release(&head);
}

static void test_endpoints_that_are_refused(void **state)
{
	static const struct {
		bool reading;
		const char *endpoint, *text;
	} rows[] = {
		{true, "", "endpoint: empty name"},
		{true, "zmq:push:ipc:///tmp/x", "read with zmq:pull:ADDRESS or zmq:sub:ADDRESS"},
		{false, "zmq:pull:ipc:///tmp/x", "write with zmq:push:ADDRESS or zmq:pub:ADDRESS"},
		{true, "zmq:pull:udp://127.0.0.1:5", "expected tcp:// or ipc://"},
		{true, "zmq:pull:tcp://127.0.0.1", "expected tcp://host:port"},
		{true, "zmq:pull:tcp://127.0.0.1:x", "expected tcp://host:port"},
		{true, "zmq:pull:tcp://:5", "expected tcp://host:port"},
		{true, "zmq:pull:tcp://*:5", "or 'insecure' on a network you trust"},
		{true, "zmq:pull:>tcp://127.0.0.1.example.com:5", "reaches beyond this machine"},
		{false, "zmq:push:tcp://192.168.0.1:5",
			"use 'curve_key' (keys: 'keygen'), 127.0.0.1, a tunnel (ssh -L), or 'insecure'"},
		{false, "zmq:push:tcp://[2001:db8::1]:5", "reaches beyond this machine"},
		{true, "zmq:pull:ipc://", "a path of 1 to 100 bytes"},
		{true, "zmq:pull:ipc:///dev/null", "/dev/null exists and is not a socket"},
		{true, "zmq:pull:ipc:///nonexistent/x", "No such file or directory"},
		{true, "/nonexistent", "opening: /nonexistent: No such file or directory"},
		{true, "/tmp", "reading: /tmp: failed: Is a directory"},
		{false, "/dev/null/x", "creating a directory: /dev/null: exists and is not a directory"},
	};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		e3_err err = {"(no error)"};
		e3_msg msg;
		e3_in *in = rows[k].reading ? e3_in_open(rows[k].endpoint, NULL, &err) : NULL;
		e3_out *out = rows[k].reading ? NULL : e3_out_open(rows[k].endpoint, NULL, &err);
		if (in)
			assert_int_equal(e3_in_next(in, &msg, &err), -1);
		if (!strstr(err.text, rows[k].text))
			fail_msg("%s: '%s', expected '%s'", rows[k].endpoint, err.text, rows[k].text);
		e3_in_close(in);
		e3_out_abort(out, "test", 1, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writers_refuse),
		cmocka_unit_test(test_over_long_message_is_refused),
		cmocka_unit_test(test_endpoints_that_are_refused),
	};
	return cmocka_run_group_tests_name("wire_refuse", tests, NULL, NULL);
}
