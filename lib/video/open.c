/* video: opening and closing: container, stream, decoder; FFmpeg's messages. */
#include "internal.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <libavdevice/avdevice.h>
#include <libavutil/pixdesc.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	if (code == AVERROR_INVALIDDATA)
		return e3_fail(err, "reading: %s: %s", v->options.input,
			v->next_index ? "damaged" : "not a video or picture FFmpeg understands, or damaged");
	if (code == AVERROR(ENOTTY))
		return e3_fail(err, "reading: %s: not a camera", v->options.input);
	av_strerror(code, text, sizeof text);
	return e3_fail(err, "reading: %s: %s", v->options.input, text);
}

/* The input format that was asked for by name; NULL: none was. */
static int find_format(const e3_video *v, const AVInputFormat **out, e3_err *err)
{
	*out = NULL;
	if (!v->options.format)
		return 0;
	avdevice_register_all();
	*out = av_find_input_format(v->options.format);
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
		refused = video_fail(v, rc, err);
	else if (!refused && left && v->options.n_set > 0)
		refused = e3_fail(err, "opening: %s: input option '%s': not one that FFmpeg's %s input has", v->options.input,
			left->key, (*out)->iformat->name);
	av_dict_free(&set);
	return refused ? -1 : 0;
}

int video_format_open(e3_video *v, video_reader *reader, AVFormatContext **out, e3_err *err)
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
	int rc = avformat_find_stream_info(*out, NULL);
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

bool video_is_mov(const AVFormatContext *format) { return strstr(format->iformat->name, "mp4") != NULL; }

/* Packets of all other streams are discarded. */
static int choose_stream(e3_video *v, e3_err *err)
{
	int want = v->options.stream;
	if (want >= (int)v->format->nb_streams)
		return e3_fail(err, "reading: %s: stream %d: there are %u", v->options.input, want, v->format->nb_streams);
	int k = av_find_best_stream(v->format, AVMEDIA_TYPE_VIDEO, want, -1, NULL, 0);
	if (k < 0 || (want < 0 && (v->format->streams[k]->disposition & AV_DISPOSITION_ATTACHED_PIC)))
		return want >= 0 ? e3_fail(err, "reading: %s: stream %d: not a video stream", v->options.input, want)
						 : e3_fail(err, "reading: %s: no video stream", v->options.input);
	v->stream = v->format->streams[k];
	for (unsigned s = 0; s < v->format->nb_streams; s++)
		v->format->streams[s]->discard = (int)s == k ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
	return 0;
}

static int open_decoder(e3_video *v, e3_err *err)
{
	const AVCodecParameters *par = v->stream->codecpar;
	const AVCodec *decoder = avcodec_find_decoder(par->codec_id);
	if (!decoder)
		return e3_fail(err, "reading: %s: no decoder for %s", v->options.input, avcodec_get_name(par->codec_id));
	v->codec = avcodec_alloc_context3(decoder);
	v->packet = av_packet_alloc();
	v->frame = av_frame_alloc();
	if (!v->codec || !v->packet || !v->frame)
		return e3_fail(err, "reading: %s: out of memory", v->options.input);
	int rc = avcodec_parameters_to_context(v->codec, par);
	v->codec->thread_count = v->options.threads;
	if (v->options.low_delay) { /* threads that share a frame, not threads that are frames apart */
		v->codec->thread_type = FF_THREAD_SLICE;
		v->codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
	}
	v->codec->pkt_timebase = v->stream->time_base;
	if (rc >= 0)
		rc = avcodec_open2(v->codec, decoder, NULL);
	return rc < 0 ? video_fail(v, rc, err) : 0;
}

static void describe(e3_video *v)
{
	const AVCodecParameters *par = v->stream->codecpar;
	const char *format = av_get_pix_fmt_name((enum AVPixelFormat)par->format);
	AVRational rates[3] = {av_guess_frame_rate(v->format, v->stream, NULL), v->stream->avg_frame_rate,
		v->stream->r_frame_rate};
	v->info = (e3_video_info){.codec = avcodec_get_name(par->codec_id),
		.format = format ? format : "unknown",
		.w = par->width,
		.h = par->height,
		.hdr = par->color_trc == AVCOL_TRC_SMPTE2084 || par->color_trc == AVCOL_TRC_ARIB_STD_B67};
	for (int k = 0; k < 3; k++)
		v->info.fps[k] = rates[k].num > 0 && rates[k].den > 0 ? av_q2d(rates[k]) : 0;
	if (v->stream->duration != AV_NOPTS_VALUE)
		v->info.seconds = (double)v->stream->duration * av_q2d(v->stream->time_base);
	else if (v->format->duration != AV_NOPTS_VALUE &&
		v->format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE)
		v->info.seconds = (double)v->format->duration / AV_TIME_BASE;
}

static int open_all(e3_video *v, e3_err *err)
{
	if (video_format_open(v, &v->reader, &v->format, err) || choose_stream(v, err) || video_truncation_check(v, err))
		return -1;
	return open_decoder(v, err);
}

int video_restart(e3_video *v, e3_err *err)
{
	av_frame_free(&v->frame);
	av_packet_free(&v->packet);
	avcodec_free_context(&v->codec);
	video_format_close(&v->format);
	free(v->failure);
	v->failure = NULL;
	v->packets = v->next_index = v->errors = 0;
	v->held = v->seeked = v->draining = false;
	return open_all(v, err);
}

e3_video *e3_video_open(const e3_video_options *options, e3_err *err)
{
	e3_video *v = e3_alloc(1, sizeof *v, "a video", err);
	if (!v)
		return NULL;
	v->options = *options;
	v->colour = (video_colour){.input = options->input, .matrix = options->matrix};
	v->frames = -1, v->origin = AV_NOPTS_VALUE, v->bytes.fd = -1;
	/* A name that exists is a file, even if it looks like a URL. Devices are opened by their plain name. */
	const char *what = options->url ? options->url : options->input;
	bool file = options->fd < 0 && !options->format && access(what, F_OK) == 0;
	size_t n = strlen(what) + 6;
	v->url = malloc(n);
	int rc = v->url ? 0 : e3_fail(err, "opening: %s: out of memory", options->input);
	if (!rc) {
		snprintf(v->url, n, "%s%s", file ? "file:" : "", what);
		rc = video_bytes_open(&v->bytes, &v->options, err);
	}
	if (!rc)
		rc = open_all(v, err);
	if (rc) {
		e3_video_close(v);
		return NULL;
	}
	describe(v);
	return v;
}

void e3_video_close(e3_video *v)
{
	if (!v)
		return;
	video_colour_release(&v->colour);
	av_frame_free(&v->frame);
	av_packet_free(&v->packet);
	avcodec_free_context(&v->codec);
	video_format_close(&v->format);
	video_bytes_close(&v->bytes);
	free(v->url), free(v->ticks), free(v->failure);
	free(v);
}

const e3_video_info *e3_video_describe(const e3_video *v) { return &v->info; }
