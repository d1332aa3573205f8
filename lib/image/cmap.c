/* image: colour maps as piecewise-linear knots over 256 entries, with matplotlib's rule from value to entry.
 *
 * Sources: doc/formats.md 2.5 (viridis, plasma, magma: CC0; turbo: Apache-2.0, Google) and 1.5 (gist_rainbow). The
 * knots reproduce the published tables within 1.5/255 a channel before rounding; gist_rainbow is exact. No table is
 * computed or stored.
 */
#include "e3/image.h"
#include <math.h>
#include <string.h>

typedef struct knot {
	uint8_t at;
	uint32_t rgb; /* 0xrrggbb */
} knot;

static const knot viridis[] = {{0, 0x440154}, {24, 0x482374}, {48, 0x424086}, {82, 0x32658e}, {132, 0x1f948c},
	{149, 0x20a486}, {163, 0x2cb17e}, {179, 0x44bf70}, {200, 0x70cf57}, {236, 0xcde11d}, {244, 0xe2e418},
	{253, 0xf8e621}, {255, 0xfde725}};
static const knot plasma[] = {{0, 0x0d0887}, {9, 0x240691}, {38, 0x5601a4}, {59, 0x7701a8}, {73, 0x8b0aa5},
	{99, 0xad2793}, {138, 0xd5536f}, {182, 0xf48849}, {211, 0xfdb130}, {233, 0xfbd324}, {252, 0xf1f426},
	{255, 0xf0f921}};
static const knot magma[] = {{0, 0x000004}, {7, 0x03030f}, {23, 0x120d31}, {39, 0x271258}, {51, 0x3b0f70},
	{64, 0x51127c}, {93, 0x7e2482}, {125, 0xb2357b}, {153, 0xde4968}, {171, 0xf2625d}, {185, 0xf97b5d}, {203, 0xfe9d6c},
	{227, 0xfeca8d}, {255, 0xfcfdbf}};
static const knot turbo[] = {{0, 0x30123b}, {8, 0x392a73}, {17, 0x4143a7}, {26, 0x455ccf}, {34, 0x4771e9},
	{43, 0x4687fb}, {50, 0x4099ff}, {58, 0x33adf7}, {70, 0x1fc9dd}, {78, 0x18d9c8}, {85, 0x1ae4b6}, {92, 0x27eea4},
	{102, 0x46f884}, {117, 0x80ff53}, {126, 0x9ffd3f}, {134, 0xb4f836}, {145, 0xd0ea34}, {160, 0xeecf3a},
	{171, 0xfbb838}, {186, 0xfe9029}, {202, 0xf26014}, {215, 0xe14109}, {231, 0xc12302}, {248, 0x920b01},
	{255, 0x7a0403}};
static const knot grey[] = {{0, 0x000000}, {255, 0xffffff}};

/* gist_rainbow's knots lie between entries: x, red, green, blue in [0,1]; bytes are truncated, not rounded. */
static const double rainbow[][4] = {{0, 1, 0, .16}, {.030, 1, 0, 0}, {.215, 1, 1, 0}, {.400, 0, 1, 0}, {.586, 0, 1, 1},
	{.770, 0, 0, 1}, {.954, 1, 0, 1}, {1, 1, 0, .75}};

static const struct {
	const char *name;
	const knot *knots; /* NULL: from_rainbow */
} maps[] = {
	[E3_VIRIDIS] = {"viridis", viridis},
	[E3_PLASMA] = {"plasma", plasma},
	[E3_MAGMA] = {"magma", magma},
	[E3_TURBO] = {"turbo", turbo},
	[E3_GREY] = {"grey", grey},
	[E3_RAINBOW] = {"gist_rainbow", NULL},
};

static void from_rainbow(int entry, uint8_t rgb[3])
{
	double x = entry / 255.0;
	int k = 1;
	while (x > rainbow[k][0])
		k++;
	const double *a = rainbow[k - 1], *b = rainbow[k];
	double f = (x - a[0]) / (b[0] - a[0]);
	for (int c = 0; c < 3; c++)
		rgb[c] = (uint8_t)(255.0 * (a[c + 1] + (b[c + 1] - a[c + 1]) * f));
}

static void from_knots(const knot *table, int entry, uint8_t rgb[3])
{
	while (table[1].at < entry)
		table++;
	double f = (double)(entry - table[0].at) / (table[1].at - table[0].at);
	for (int c = 0; c < 3; c++) {
		int shift = 16 - 8 * c;
		int a = (int)(table[0].rgb >> shift & 255), b = (int)(table[1].rgb >> shift & 255);
		rgb[c] = (uint8_t)lrint(a + (b - a) * f);
	}
}

void e3_cmap_rgb(e3_cmap cmap, double x, uint8_t rgb[3])
{
	if (isnan(x)) {
		memset(rgb, 0x80, 3);
		return;
	}
	int entry = x <= 0 ? 0 : x >= 1 ? 255 : (int)(256 * x);
	if (maps[cmap].knots)
		from_knots(maps[cmap].knots, entry, rgb);
	else
		from_rainbow(entry, rgb);
}

const char *e3_cmap_name(int cmap)
{
	return cmap >= 0 && cmap < (int)(sizeof maps / sizeof *maps) ? maps[cmap].name : NULL;
}
