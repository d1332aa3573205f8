/* image: which format a picture has, from its first bytes. */
#include "e3/image.h"
#include <string.h>

static bool begins(const uint8_t *bytes, size_t n, const char *with, size_t n_with)
{
	return n >= n_with && memcmp(bytes, with, n_with) == 0;
}

/* Whether the four bytes are one of the words, which blanks separate. */
static bool one_of(const uint8_t *bytes, const char *words)
{
	for (const char *p = words; *p; p += 5)
		if (memcmp(bytes, p, 4) == 0)
			return true;
	return false;
}

/* BMP has a magic of two letters only: the reserved bytes and the size of the second header count too. */
static bool is_bmp(const uint8_t *p, size_t n)
{
	return n >= E3_IMAGE_HEAD && p[0] == 'B' && p[1] == 'M' && memcmp(p + 6, "\0\0\0\0", 4) == 0 && p[14] >= 12 &&
		p[14] <= 124 && p[15] == 0 && p[16] == 0 && p[17] == 0;
}

static bool is_raw(const uint8_t *p, size_t n)
{
	static const char fuji[] = "FUJIFILMCCD-RAW";
	if (n >= 10 && memcmp(p + 8, "CR", 2) == 0 && begins(p, n, "II*\0", 4))
		return true;
	if (n >= 12 && memcmp(p + 4, "ftypcrx ", 8) == 0)
		return true;
	return n >= 8 && (one_of(p, "IIRO IIRS MMOR ") || memcmp(p, "IIU\0", 4) == 0 || memcmp(p, fuji, 8) == 0);
}

/* AVIF and HEIC are kinds of HEIF; "crx " and the brands of mp4 are not. */
static bool is_heif(const uint8_t *p, size_t n)
{
	return n >= 12 && memcmp(p + 4, "ftyp", 4) == 0 &&
		one_of(p + 8, "heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 avif avis ");
}

e3_image_kind e3_image_sniff(const uint8_t *p, size_t n)
{
	if (begins(p, n, "\x89PNG\r\n\x1a\n", 8))
		return E3_IMAGE_PNG;
	if (begins(p, n, "\xff\xd8\xff", 3))
		return E3_IMAGE_JPEG;
	if (n >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6' && (strchr(" \t\n\v\f\r#", p[2]) && p[2]))
		return E3_IMAGE_PNM;
	if (n >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
		return E3_IMAGE_WEBP;
	if (is_raw(p, n))
		return E3_IMAGE_RAW;
	if (begins(p, n, "II*\0", 4) || begins(p, n, "MM\0*", 4) || begins(p, n, "II+\0", 4) || begins(p, n, "MM\0+", 4))
		return E3_IMAGE_TIFF;
	if (begins(p, n, "GIF87a", 6) || begins(p, n, "GIF89a", 6))
		return E3_IMAGE_GIF;
	if (is_heif(p, n))
		return E3_IMAGE_HEIF;
	if (begins(p, n, "\xff\x0a", 2) || begins(p, n, "\0\0\0\x0cJXL \r\n\x87\n", 12))
		return E3_IMAGE_JXL;
	if (begins(p, n, "\xff\x4f\xff\x51", 4) || begins(p, n, "\0\0\0\x0cjP  \r\n\x87\n", 12))
		return E3_IMAGE_J2K;
	return is_bmp(p, n) ? E3_IMAGE_BMP : E3_IMAGE_NONE;
}
