/* image: which format a picture has, from its first bytes. */
#include "e3/image.h"
#include <string.h>

e3_image_kind e3_image_sniff(const uint8_t *bytes, size_t n)
{
	if (n >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
		return E3_IMAGE_PNG;
	if (n >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
		return E3_IMAGE_JPEG;
	if (n >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
		(strchr(" \t\n\v\f\r#", bytes[2]) && bytes[2]))
		return E3_IMAGE_PNM;
	return E3_IMAGE_NONE;
}
