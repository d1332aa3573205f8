/* image: reading a picture of any format from bytes or a file. Holds the choice of decoder and nothing else. */
#include "read.h"
#include "e3/io.h"

static int decode(const picture_bytes *from, const char *name, e3_image *out, int *orientation, e3_err *err)
{
	const uint8_t *bytes = from->bytes;
	size_t n = from->n;
	int rc, ignored;
	bool gaps = false;
	*out = (e3_image){0};
	orientation = orientation ? orientation : &ignored;
	*orientation = 1;
	switch (e3_image_sniff(bytes, n)) {
	case E3_IMAGE_PNG:
		rc = png_decode(from, out, orientation, err);
		break;
	case E3_IMAGE_JPEG:
		rc = jpeg_decode(bytes, n, out, orientation, &gaps, err);
		break;
	case E3_IMAGE_PNM:
		rc = pnm_decode(bytes, n, out, err);
		break;
	default:
		rc = e3_fail(err, n ? "not a PNG, JPEG or PNM picture" : "empty");
	}
	if (rc)
		return e3_fail_in(err, "reading: %s", name);
	out->damaged = gaps;
	return 0;
}

void e3_image_tell_damage(const e3_image *im, const char *name)
{
	if (im->damaged)
		e3_tell(E3_TELL_WARN, "reading: %s: JPEG data are damaged or missing inside: part of the picture is wrong",
			name);
}

int e3_image_decode(const uint8_t *bytes, size_t n, const char *name, e3_image *out, int *orientation, e3_err *err)
{
	return decode(&(picture_bytes){.bytes = bytes, .n = n}, name, out, orientation, err);
}

int e3_image_decode_opaque(const uint8_t *bytes, size_t n, const char *name, e3_image *out, int *orientation,
	e3_err *err)
{
	return decode(&(picture_bytes){.bytes = bytes, .n = n, .opaque = true}, name, out, orientation, err);
}

static int load(const char *path, bool mask, e3_image *out, int *orientation, e3_err *err)
{
	e3_map map;
	*out = (e3_image){0};
	if (e3_map_open(&map, path, err))
		return -1;
	int rc = decode(&(picture_bytes){.bytes = map.data, .n = map.size, .mask = mask}, path, out, orientation, err);
	e3_map_close(&map);
	e3_image_tell_damage(out, path);
	return rc;
}

int e3_image_load(const char *path, e3_image *out, int *orientation, e3_err *err)
{
	return load(path, false, out, orientation, err);
}

int e3_image_load_mask(const char *path, e3_image *out, e3_err *err) { return load(path, true, out, NULL, err); }
