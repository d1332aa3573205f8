/* video: inputs that are pictures: in files, or one after another on standard input. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/picture.h"
#include "video/input.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

double input_picture_time(const e3_input *in)
{
	double fps = in->o.choice.fps;
	return fps > 0 ? (double)in->index / fps : (double)in->index;
}

/* A damaged picture is named and left out, unless that is not wanted. */
int input_leave_out(e3_input *in, e3_err *err)
{
	if (in->o.strict || (in->list.n == 1 && in->o.n == 1))
		return -1;
	if (in->left_out++ == 0)
		in->damage = *err;
	e3_tell(E3_TELL_WARN, "%s: left out", err->text);
	return 0;
}

/* Without files: a pipe, whose number of pictures is not known. With them the headers are looked through, so that
 * what can be known early is said early, and the number of frames is right. */
static int begin(e3_input *in, int64_t n, e3_err *err)
{
	headers seen = {0};
	int rc = 0;
	e3_sampling rule;
	bool sharpest = in->o.choice.sharpest, good = false;
	if (input_rule(&in->o.choice, true, in->o.choice.fps, &rule, &in->fps, err))
		return -1;
	if (sharpest && (n < 0 || rule.step < 2))
		return e3_fail(err, "reading: %s: pictures: the sharpest is chosen of every Nth in files, N above 1", in->name);
	e3_sampler_init(&in->sampler, &rule);
	in->total = n < 0 ? -1 : 0;
	for (; !rc && in->index < n; in->index++) {
		int64_t before = in->sampler.seen;
		e3_sample what = e3_sampler_feed(&in->sampler, input_picture_time(in));
		if (what == E3_SAMPLE_DONE || (in->o.stop && in->o.stop()))
			break;
		bool keep = what == E3_SAMPLE_KEEP, wanted = sharpest ? in->sampler.seen > before : keep;
		if (wanted && input_header_look(in, &seen, err) == 0)
			good = true;
		else if (wanted && (rc = input_leave_out(in, err)) == 0)
			in->bad[in->index] = true;
		in->total += keep && good; /* of an interval with a picture to choose */
		good = good && !keep;
	}
	if (rc)
		return -1;
	in->known = in->left_out;
	input_headers_report(in, &seen);
	in->index = 0;
	e3_sampler_init(&in->sampler, &rule);
	return 0;
}

/* A picture of n bytes, turned upright. */
static int decode(e3_input *in, const e3_map *map, const char *name, e3_image *im, e3_source *at, e3_err *err)
{
	static const int degrees[9] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
	int orientation;
	e3_image_release(im);
	if (e3_picture_decode(&(e3_picture){.bytes = map->data,
							  .n = map->size,
							  .name = name,
							  .tonemap = in->o.tonemap,
							  .upstream = in->o.upstream,
							  .strict = in->o.strict,
							  .stored = !in->o.autorotate},
			im, &orientation, err))
		return -1;
	*at = (e3_source){.pts = input_picture_time(in), .src_i = in->index, .rot = in->o.exif ? degrees[orientation] : 0};
	return in->o.exif ? e3_image_orient(im, orientation, err) : 0;
}

/* At the end: without any picture that could be read, the first damage is the error. */
static int at_end(const e3_input *in, e3_err *err)
{
	return in->left_out && in->given == 0 ? e3_fail(err, "%s", in->damage.text) : 0;
}

static void report(e3_input *in)
{
	if (in->left_out && in->given)
		e3_tell(E3_TELL_WARN, "reading: %s: %" PRId64 " picture%s left out, the first: %s", in->name, in->left_out,
			in->left_out == 1 ? " was" : "s were", in->damage.text);
}

/* Whether another picture of the same kind and size comes behind the first one: a camera's stream. Those that belong to
 * the first one of a JPEG (depth, preview) are smaller. */
static bool more_follow(const e3_map *map, const char *name)
{
	e3_image_facts first, next;
	size_t length = 0;
	e3_image_kind kind = e3_image_sniff(map->data, map->size);
	if ((kind != E3_IMAGE_PNM && kind != E3_IMAGE_JPEG && kind != E3_IMAGE_PNG) ||
		e3_image_extent(map->data, map->size, &length, NULL) <= 0)
		return false;
	while (kind != E3_IMAGE_PNM && length < map->size && map->data[length] == 0)
		length++;
	return e3_image_sniff(map->data + length, map->size - length) == kind &&
		e3_image_look(map->data, map->size, name, &first, NULL) == 0 &&
		e3_image_look(map->data + length, map->size - length, name, &next, NULL) == 0 && first.w == next.w &&
		first.h == next.h;
}

int input_load_picture(e3_input *in, const char *path, e3_image *im, e3_source *at, e3_err *err)
{
	e3_map map;
	if (e3_map_open(&map, path, err))
		return -1;
	int rc = decode(in, &map, path, im, at, err);
	if (!rc && !in->told && more_follow(&map, path)) {
		e3_tell(E3_TELL_WARN,
			"reading: %s: only the first of its pictures is used; standard input takes several in one file", path);
		in->told = true;
	}
	e3_map_close(&map);
	return rc;
}

static int next_file(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	*key = true;
	while (in->index < (int64_t)in->list.n) {
		e3_sample what = e3_sampler_feed(&in->sampler, input_picture_time(in));
		if (what == E3_SAMPLE_DONE)
			break;
		bool keep = what == E3_SAMPLE_KEEP && !in->bad[in->index],
			 good = keep && input_load_picture(in, in->list.path[in->index], im, at, err) == 0;
		if (keep && !good && input_leave_out(in, err))
			return -1;
		in->picture = in->list.path[in->index++];
		if (good)
			return 1;
	}
	return at_end(in, err);
}

/* Of an animated PNG on a pipe the first image was decoded. */
static void tell_animation(e3_input *in, const e3_map *map, const char *name)
{
	e3_image_facts facts;
	if (!in->told && e3_image_sniff(map->data, map->size) == E3_IMAGE_PNG &&
		e3_image_look(map->data, map->size, name, &facts, NULL) == 0 && facts.animated) {
		e3_tell(E3_TELL_WARN, "reading: %s: has several images: only the first is used; give it as a file", name);
		in->told = true;
	}
}

static int next_on_pipe(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	e3_map map;
	char name[256];
	*key = true;
	while (!e3_sampler_full(&in->sampler)) {
		int got = e3_image_stream_next(in->stream, &map.data, &map.size, err);
		if (got < 0)
			return e3_fail_in(err, "reading: %s: picture %" PRId64, in->name, in->index);
		e3_sample what = got ? e3_sampler_feed(&in->sampler, input_picture_time(in)) : E3_SAMPLE_DONE;
		if (what == E3_SAMPLE_DONE)
			break;
		snprintf(name, sizeof name, "%s: picture %" PRId64, in->name, in->index);
		bool keep = what == E3_SAMPLE_KEEP, good = keep && decode(in, &map, name, im, at, err) == 0;
		if (good)
			tell_animation(in, &map, name);
		if (keep && !good && (e3_image_stream_cut(in->stream) || input_leave_out(in, err)))
			return -1;
		in->index++;
		if (good)
			return 1;
	}
	return at_end(in, err);
}

int input_open_pictures(e3_input *in, e3_err *err)
{
	static const input_kind kind = {.next = next_file, .report = report},
							sharpest = {.next = input_next_sharpest_file, .report = report};
	const e3_picture_list *list = &in->list;
	in->kind = in->o.choice.sharpest ? &sharpest : &kind;
	in->bad = e3_alloc(list->n, sizeof *in->bad, "a list of files", err);
	if (!in->bad || begin(in, (int64_t)list->n, err))
		return -1;
	if (in->left_out && in->total == 0)
		return e3_fail(err, "%s", in->damage.text);
	e3_tell(E3_TELL_DETAIL, "%zu picture%s, from %s to %s", list->n, list->n == 1 ? "" : "s", list->path[0],
		list->path[list->n - 1]);
	return 0;
}

int input_open_picture_stream(e3_input *in, e3_err *err)
{
	static const input_kind kind = {.next = next_on_pipe, .report = report};
	in->kind = &kind;
	if (begin(in, -1, err))
		return -1;
	in->stream = e3_image_stream_open(input_pipe(in), in->head.bytes, in->head.n, in->o.stop, err);
	return in->stream ? 0 : -1;
}
