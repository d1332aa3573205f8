/* video: which kind of input a name stands for, and the settings that FFmpeg needs to open a live source. */
#include "video/live.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char camera_prefix[] = "v4l2:", drawn_prefix[] = "lavfi:";
enum { V4L2_MAJOR = 81 };

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static bool is_live_scheme(const char *input, size_t n)
{
	static const char *const schemes[] = {"rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "rtmpe", "rtp", "srtp", "udp",
		"udplite", "tcp", "tls", "srt", "rist", "mmst", "mmsh", "sctp", "unix", "zmq", "amqp"};
	for (size_t k = 0; k < sizeof schemes / sizeof *schemes; k++)
		if (strlen(schemes[k]) == n && strncmp(input, schemes[k], n) == 0)
			return true;
	return false;
}

e3_input_kind e3_input_kind_of(const char *input)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-";
	struct stat st;
	size_t n = strspn(input, letters);
	if (strcmp(input, "-") == 0)
		return E3_INPUT_PIPE;
	if (begins(input, camera_prefix))
		return E3_INPUT_CAMERA;
	if (begins(input, drawn_prefix))
		return E3_INPUT_DRAWN;
	if (stat(input, &st) == 0) {
		if (S_ISCHR(st.st_mode) && major(st.st_rdev) == V4L2_MAJOR)
			return E3_INPUT_CAMERA;
		return S_ISFIFO(st.st_mode) ? E3_INPUT_PIPE : E3_INPUT_FILE;
	}
	if (n == 0 || !begins(input + n, "://") || strncmp(input, "file", n) == 0)
		return E3_INPUT_FILE;
	return is_live_scheme(input, n) ? E3_INPUT_NETWORK : E3_INPUT_URL;
}

const char *live_input_path(const char *input)
{
	if (begins(input, camera_prefix))
		return input + strlen(camera_prefix);
	return begins(input, drawn_prefix) ? input + strlen(drawn_prefix) : input;
}

static int set(live_settings *s, e3_err *err, const char *key, const char *value)
{
	int n = snprintf(s->text[s->n], sizeof s->text[s->n], "%s=%s", key, value);
	if (n < 0 || (size_t)n >= sizeof s->text[s->n])
		return e3_fail(err, "input option %s: too long", key);
	s->list[s->n] = s->text[s->n];
	s->n++;
	return 0;
}

int live_settings_make(live_settings *s, const e3_live_options *o, e3_err *err)
{
	char text[64];
	int rc = 0;
	s->n = 0;
	if (o->kind == E3_INPUT_CAMERA && o->w > 0) {
		snprintf(text, sizeof text, "%dx%d", o->w, o->h);
		rc = set(s, err, "video_size", text);
	}
	if (!rc && o->kind == E3_INPUT_CAMERA && o->rate > 0) {
		snprintf(text, sizeof text, "%.9g", o->rate);
		rc = set(s, err, "framerate", text);
	}
	if (!rc && o->kind == E3_INPUT_CAMERA && o->pixfmt)
		rc = set(s, err, "input_format", o->pixfmt);
	/* Over UDP, packets are lost when we are slow for a moment. The user's settings come later and take precedence. */
	if (!rc && (begins(o->video.input, "rtsp:") || begins(o->video.input, "rtsps:")))
		rc = set(s, err, "rtsp_transport", "tcp");
	for (int k = 0; !rc && k < o->video.n_set; k++) {
		if (s->n == LIVE_MAX_SETTINGS)
			return e3_fail(err, "more than %d input options", LIVE_MAX_SETTINGS);
		s->list[s->n++] = o->video.set[k]; /* checked when it is used */
	}
	return rc;
}
