/* video: opening and closing a video: container, stream, decoder. */
#include "exact.h"
#include "tally.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The stream that the ffmpeg program takes: the largest, unless another one is marked as the default; -1: none. */
static int best_stream(const AVFormatContext *format)
{
	const int64_t marked = 5000000; /* pixels */
	int64_t best = -1;
	int found = -1;
	for (unsigned k = 0; k < format->nb_streams; k++) {
		const AVStream *s = format->streams[k];
		bool video = s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO, usual = s->disposition & AV_DISPOSITION_DEFAULT;
		int64_t score = (int64_t)s->codecpar->width * s->codecpar->height + (usual ? marked : 0);
		if (video && !(s->disposition & AV_DISPOSITION_ATTACHED_PIC) && score > best)
			best = score, found = (int)k;
	}
	return found;
}

/* Packets of all other streams are discarded. */
static int choose_stream(e3_video *v, e3_err *err)
{
	int want = v->options.stream;
	if (want >= (int)v->format->nb_streams)
		return e3_fail(err, "reading: %s: stream %d: there are %u", v->options.input, want, v->format->nb_streams);
	int k = want < 0 ? best_stream(v->format) : want;
	if (k < 0 || v->format->streams[k]->codecpar->codec_type != AVMEDIA_TYPE_VIDEO)
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
		.square_w = video_square_width(par->width, av_guess_sample_aspect_ratio(v->format, v->stream, NULL)),
		.picture = video_is_picture(v->format),
		.stills = video_is_stills(v->format),
		.hdr = e3_tone_is_hdr((int)par->color_trc),
		.wide = e3_tone_is_wide(tags_primaries(par->color_trc, par->color_primaries, par->color_space))};
	for (int k = 0; k < 3; k++)
		v->info.fps[k] = rates[k].num > 0 && rates[k].den > 0 ? av_q2d(rates[k]) : 0;
	for (unsigned k = 0; k < v->format->nb_streams; k++) {
		const AVStream *s = v->format->streams[k];
		v->info.streams += s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && s->codecpar->width > 0 &&
			!(s->disposition & AV_DISPOSITION_ATTACHED_PIC);
	}
	v->info.stream = v->stream->index, v->info.another = video_index_twice(v);
	if (v->stream->duration != AV_NOPTS_VALUE)
		v->info.seconds = (double)v->stream->duration * av_q2d(v->stream->time_base);
	else if (v->format->duration != AV_NOPTS_VALUE &&
		v->format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE)
		v->info.seconds = (double)v->format->duration / AV_TIME_BASE;
	/* Matroska counts it from 0, not from the first frame. */
	if (v->format->start_time > 0 && strstr(v->format->iformat->name, "matroska"))
		v->info.seconds -= (double)v->format->start_time / AV_TIME_BASE;
}

/* Stamps of formats that are joined by putting one after another are believed as the ffmpeg program does. */
static void prepare_times(e3_video *v)
{
	const double slack = 0.3, longest = 10, usual = 25, most = 300; /* s, s, frames/s */
	double fps = v->info.fps[E3_FPS_GUESS], base = av_q2d(v->stream->time_base);
	v->times = (video_times){.slack = (int64_t)(slack / base),
		.longest = v->format->iformat->flags & AVFMT_TS_DISCONT ? (int64_t)(longest / base) : 0,
		.step = (int64_t)(1 / (fps > 0 && fps < most ? fps : usual) / base)};
	v->times.step += v->times.step == 0;
}

static int open_all(e3_video *v, e3_err *err)
{
	if (video_format_open(v, &v->reader, true, &v->format, err) || choose_stream(v, err) || video_cut_check(v, err))
		return -1;
	v->units = video_units_open(v->stream->codecpar);
	return v->units ? open_decoder(v, err) : e3_fail(err, "reading: %s: out of memory", v->options.input);
}

int video_restart(e3_video *v, e3_err *err)
{
	av_frame_free(&v->frame);
	av_packet_free(&v->packet);
	avcodec_free_context(&v->codec);
	video_units_close(v->units);
	video_format_close(&v->format);
	free(v->failure), free(v->cut);
	v->failure = v->cut = NULL, v->units = NULL, v->stream = NULL;
	v->packets = v->next_index = v->errors = v->before = 0;
	v->held = v->draining = v->began = v->waits = false;
	if (open_all(v, err))
		return -1;
	prepare_times(v);
	return 0;
}

e3_video *e3_video_open(const e3_video_options *options, e3_err *err)
{
	e3_video *v = e3_alloc(1, sizeof *v, "a video", err);
	if (!v)
		return NULL;
	v->options = *options;
	v->colour = video_colour_of(options);
	v->frames = -1, v->origin = AV_NOPTS_VALUE, v->bytes.fd = -1;
	/* A name that exists is a file, even if it looks like a URL. Devices are opened by their plain name. */
	const char *what = options->url ? options->url : options->input;
	struct stat st;
	bool file = options->fd < 0 && !options->format && stat(what, &st) == 0;
	size_t n = strlen(what) + 6;
	v->url = malloc(n);
	int rc = v->url ? 0 : e3_fail(err, "opening: %s: out of memory", options->input);
	if (!rc && file && S_ISREG(st.st_mode) && st.st_size == 0)
		rc = e3_fail(err, "reading: %s: empty", options->input);
	if (!rc) {
		snprintf(v->url, n, "%s%s", file ? "file:" : "", what);
		rc = video_bytes_open(&v->bytes, &v->options, err);
	}
	if (!rc)
		rc = open_all(v, err);
	if (!rc)
		rc = video_check_colours(v, err);
	if (rc) {
		e3_video_close(v);
		return NULL;
	}
	describe(v);
	prepare_times(v);
	return v;
}

void e3_video_close(e3_video *v)
{
	if (!v)
		return;
	video_colour_release(&v->colour);
	av_frame_free(&v->kept);
	av_frame_free(&v->frame);
	av_packet_free(&v->packet);
	avcodec_free_context(&v->codec);
	video_units_close(v->units);
	video_format_close(&v->format);
	video_bytes_close(&v->bytes);
	if (v->tally)
		video_tally_release(v->tally);
	free(v->tally);
	free(v->url), free(v->ticks), free(v->failure), free(v->cut);
	free(v);
}

const e3_video_info *e3_video_describe(const e3_video *v) { return &v->info; }
