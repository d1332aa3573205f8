/* video: opening and closing the container of an input; how its errors read; FFmpeg's messages. */
#include "internal.h"
#include "e3/num.h"
#include "e3/plugin.h"
#include <dlfcn.h>
#include <errno.h>
#include <libavdevice/avdevice.h>
#include <string.h>

static void (*log_to)(const char *line);

static void on_log(void *context, int level, const char *fmt, va_list args)
{
	void (*say)(const char *) = log_to;
	if (!say || level > AV_LOG_WARNING)
		return;
	char line[1024];
	int prefix = 1;
	av_log_format_line2(context, level, fmt, args, line, sizeof line, &prefix);
	line[strcspn(line, "\n")] = 0;
	if (*line)
		say(line);
}

void e3_video_log(void (*say)(const char *line))
{
	log_to = say;
	av_log_set_callback(on_log);
}

static int on_interrupt(void *opaque)
{
	e3_video *v = opaque;
	if (v->deadline > 0 && e3_now() > v->deadline)
		v->stalled = true;
	return v->stalled || video_stopped(&v->options);
}

void video_expect(e3_video *v) { v->deadline = v->options.timeout > 0 ? e3_now() + v->options.timeout : 0; }

int video_fail(e3_video *v, int code, e3_err *err)
{
	char text[AV_ERROR_MAX_STRING_SIZE] = "";
	if (video_stopped(&v->options))
		return e3_fail(err, "reading: %s: interrupted", v->options.input);
	if (v->stalled || v->bytes.error == ETIMEDOUT)
		return e3_fail(err, "reading: %s: nothing came for %.3g s", v->options.input, v->options.timeout);
	if (v->bytes.error)
		return e3_fail(err, "reading: %s: %s", v->options.input, strerror(v->bytes.error));
	if ((code == AVERROR_INVALIDDATA || code == AVERROR_EOF) && !v->stream && video_index_missing(v, err))
		return -1;
	if (code == AVERROR_INVALIDDATA)
		return e3_fail(err, "reading: %s: %s", v->options.input,
			v->next_index ? "damaged" : "not a video or picture FFmpeg understands, or damaged");
	if (code == AVERROR(ENOTTY))
		return e3_fail(err, "reading: %s: not a camera", v->options.input);
	av_strerror(code, text, sizeof text);
	return e3_fail(err, "reading: %s: %s", v->options.input, text);
}

/* Cameras and drawn pictures are in a library of their own, which is opened when one is asked for: it brings some 150
 * others (of windows, sound, speech), and a tool that links it takes 0.1 s longer to start. */
static int register_devices(const e3_video *v, e3_err *err)
{
	char why[512] = "";
	void *handle = e3_plugin_open("libavdevice.so." AV_STRINGIFY(LIBAVDEVICE_VERSION_MAJOR), why, sizeof why);
	void (*all)(void) = NULL;
	if (handle)
		*(void **)&all = dlsym(handle, "avdevice_register_all");
	if (!all)
		return e3_fail(err, "opening: %s: %s inputs: %s", v->options.input, v->options.format,
			handle ? "libavdevice is damaged" : why);
	all(); /* the library stays open as long as the process */
	return 0;
}

/* The input format that was asked for by name; NULL: none was. */
static int find_format(const e3_video *v, const AVInputFormat **out, e3_err *err)
{
	*out = NULL;
	if (!v->options.format)
		return 0;
	*out = av_find_input_format(v->options.format);
	if (!*out) {
		if (register_devices(v, err))
			return -1;
		*out = av_find_input_format(v->options.format);
	}
	return *out ? 0 : e3_fail(err, "opening: %s: this FFmpeg has no %s input", v->options.input, v->options.format);
}

/* "key=value" texts for FFmpeg. */
static int make_settings(const e3_video *v, AVDictionary **out, e3_err *err)
{
	for (int k = 0; k < v->options.n_set; k++) {
		const char *text = v->options.set[k], *is = strchr(text, '=');
		char key[64];
		if (!is || is == text || (size_t)(is - text) >= sizeof key)
			return e3_fail(err, "opening: %s: input option '%s': expected KEY=VALUE", v->options.input, text);
		snprintf(key, sizeof key, "%.*s", (int)(is - text), text);
		if (av_dict_set(out, key, is + 1, 0) < 0)
			return e3_fail(err, "opening: %s: out of memory", v->options.input);
	}
	return 0;
}

#define NO_SIZE \
	"opening: %s: raw video, whose size has to be stated: input options video_size=WxH, pixel_format and framerate"

/* Such files have no header: FFmpeg takes them for raw video by their names. */
static bool names_raw_video(const e3_video *v, int code)
{
	const AVInputFormat *raw = av_find_input_format("rawvideo");
	return code == AVERROR(EINVAL) && v->options.fd < 0 && raw && av_match_ext(v->url, raw->extensions);
}

static int open_input(e3_video *v, AVFormatContext **out, e3_err *err)
{
	const AVInputFormat *format;
	AVDictionary *set = NULL;
	int rc = 0;
	bool refused = find_format(v, &format, err) || make_settings(v, &set, err);
	if (refused) {
		avformat_free_context(*out);
		*out = NULL;
	} else {
		rc = avformat_open_input(out, v->options.fd >= 0 ? NULL : v->url, format, &set); /* frees *out when it fails */
	}
	const AVDictionaryEntry *left = av_dict_get(set, "", NULL, AV_DICT_IGNORE_SUFFIX);
	if (rc < 0)
		refused = names_raw_video(v, rc) ? e3_fail(err, NO_SIZE, v->options.input) : video_fail(v, rc, err);
	else if (!refused && left && v->options.n_set > 0)
		refused = e3_fail(err, "opening: %s: input option '%s': not one that FFmpeg's %s input has", v->options.input,
			left->key, (*out)->iformat->name);
	av_dict_free(&set);
	return refused ? -1 : 0;
}

int video_format_open(e3_video *v, video_reader *reader, bool probe, AVFormatContext **out, e3_err *err)
{
	enum { FEW = 3 };
	video_expect(v);
	v->stalled = false;
	*out = avformat_alloc_context();
	if (!*out)
		return e3_fail(err, "opening: %s: out of memory", v->options.input);
	(*out)->interrupt_callback = (AVIOInterruptCB){on_interrupt, v};
	if (v->options.fd >= 0) {
		(*out)->pb = video_reader_open(reader, &v->bytes, err);
		if (!(*out)->pb) {
			avformat_free_context(*out);
			*out = NULL;
			return -1;
		}
	}
	AVIOContext *ours = (*out)->pb;
	if (open_input(v, out, err)) {
		if (*out)
			video_format_close(out);
		else
			video_reader_close(&ours);
		return -1;
	}
	if (v->options.low_delay) { /* else FFmpeg takes seconds to find the frame rate; the user may still ask for that */
		(*out)->fps_probe_size = FEW;
		if ((*out)->max_analyze_duration == 0)
			(*out)->max_analyze_duration = AV_TIME_BASE / 2;
	}
	int rc = probe ? avformat_find_stream_info(*out, NULL) : 0;
	if (rc < 0) {
		video_format_close(out);
		return video_fail(v, rc, err);
	}
	return 0;
}

void video_format_close(AVFormatContext **format)
{
	AVIOContext *ours = *format && ((*format)->flags & AVFMT_FLAG_CUSTOM_IO) ? (*format)->pb : NULL;
	avformat_close_input(format);
	video_reader_close(&ours);
}

bool video_is_picture(const AVFormatContext *format)
{
	const char *name = format->iformat->name;
	return strstr(name, "_pipe") || strcmp(name, "image2") == 0 || strcmp(name, "gif") == 0 ||
		strcmp(name, "apng") == 0;
}

bool video_is_stills(const AVFormatContext *format)
{
	const char *name = format->iformat->name;
	return strstr(name, "_pipe") || strcmp(name, "image2") == 0 || strcmp(name, "mjpeg") == 0;
}

bool video_is_mov(const AVFormatContext *format) { return strstr(format->iformat->name, "mp4") != NULL; }
