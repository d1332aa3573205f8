/* video: the headers of pictures in files are looked through before the first frame leaves: a picture that is damaged
 * there, and pictures of different sizes, are known at once, however many there are. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/picture.h"
#include "video/input.h"
#include <inttypes.h>

#define READ_MOST ((uint64_t)256 << 20) /* bytes of pictures that are read to their end */
enum { SIZES = sizeof((headers){0}).size / sizeof *((headers){0}).size };

static void count(headers *seen, int w, int h, const char *path)
{
	int k = 0;
	while (k < seen->sizes && k < SIZES && (seen->size[k].w != w || seen->size[k].h != h))
		k++;
	if (k == seen->sizes && k < SIZES) {
		seen->size[k].w = w, seen->size[k].h = h, seen->size[k].first = path;
		seen->sizes++;
	}
	if (k < SIZES)
		seen->size[k].n++;
}

/* Whether a JPEG may have been cut off. Motion photos end so too: a limit keeps the look short where they are many. */
static bool ends_oddly(const e3_map *map)
{
	return e3_image_sniff(map->data, map->size) == E3_IMAGE_JPEG && map->data[map->size - 1] != 0xd9;
}

int input_header_look(const e3_input *in, headers *seen, e3_err *err)
{
	const char *path = in->list.path[in->index];
	e3_image_facts facts;
	e3_map map;
	if (e3_map_open(&map, path, err))
		return -1;
	e3_picture picture = {.bytes = map.data, .n = map.size, .name = path, .stored = !in->o.autorotate};
	picture.to_end = ends_oddly(&map) && seen->read + map.size < READ_MOST;
	seen->read += picture.to_end ? map.size : 0;
	int rc = e3_picture_look(&picture, &facts, err);
	e3_map_close(&map);
	if (rc)
		return -1;
	seen->kind[facts.kind]++;
	bool swap = in->o.exif && facts.orientation >= 5;
	if (facts.w > 0)
		count(seen, swap ? facts.h : facts.w, swap ? facts.w : facts.h, path);
	if (facts.animated && seen->animated++ == 0)
		seen->moves = path;
	return 0;
}

/* Folders often mix what a phone and a camera wrote: one line says what was found. */
static void report_kinds(const e3_input *in, const headers *seen)
{
	e3_buf text = {0};
	int kinds = 0;
	for (int k = 0; k <= E3_IMAGE_RAW; k++)
		if (seen->kind[k])
			(void)e3_buf_printf(&text, NULL, "%s%" PRId64 " %s", kinds++ ? ", " : "", seen->kind[k],
				e3_picture_kind_name((e3_image_kind)k));
	if (kinds > 1 && text.data)
		e3_tell(E3_TELL_NOTE, "reading: %s: pictures of different kinds: %s", in->name, text.data);
	e3_buf_release(&text);
}

void input_headers_report(const e3_input *in, const headers *seen)
{
	e3_buf text = {0};
	report_kinds(in, seen);
	for (int k = 0; k < seen->sizes; k++)
		(void)e3_buf_printf(&text, NULL, "%s%d x %d (%" PRId64 ", the first: %s)", k ? "; " : "", seen->size[k].w,
			seen->size[k].h, seen->size[k].n, seen->size[k].first);
	if (seen->sizes > 1 && text.data)
		e3_tell(E3_TELL_NOTE, "reading: %s: pictures of different sizes: %s%s", in->name, text.data,
			seen->sizes == SIZES ? "; perhaps more" : "");
	if (seen->animated)
		e3_tell(E3_TELL_WARN, "reading: %s: has several images: only the first is used%s", seen->moves,
			seen->animated > 1 ? ", and so with others" : "");
	e3_buf_release(&text);
}
