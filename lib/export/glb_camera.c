/* export: the shapes and colours of cameras in a GLB: lines along the real field of view, and the reference's cones. */
#include "e3/num.h"
#include "export/glb.h"
#include <math.h>
#include <string.h>

#define CONE_RADIUS 0.05
#define CONE_HEIGHT 0.10
#define CONE_INNER 0.95                              /* the second copy, scaled about the base */
#define CONE_TURN (2 * 3.14159265358979323846 / 180) /* the third copy, turned about the axis */

/* Numbers of the vertices around the base: of the cone, the inner copy, the turned copy; and of the two apexes. */
static const int base[4] = {0, 2, 3, 4}, inner[4] = {5, 7, 8, 9}, turned[4] = {10, 11, 12, 13};
enum { APEX = 1, INNER_APEX = 6 };

void e3_cone_vertices(double v[E3_CONE_VERTICES][3])
{
	static const int corner[4][2] = {{1, -1}, {-1, -1}, {-1, 1}, {1, 1}};
	double half = CONE_RADIUS / sqrt(2), c = cos(CONE_TURN), s = sin(CONE_TURN);
	memset(v, 0, E3_CONE_VERTICES * sizeof *v);
	for (int k = 0; k < 4; k++) {
		double x = half * corner[k][0], y = half * corner[k][1];
		memcpy(v[base[k]], (double[3]){x, y, CONE_HEIGHT}, sizeof *v);
		memcpy(v[inner[k]], (double[3]){CONE_INNER * x, CONE_INNER * y, CONE_HEIGHT}, sizeof *v);
		memcpy(v[turned[k]], (double[3]){c * x + s * y, c * y - s * x, CONE_HEIGHT}, sizeof *v);
	}
	v[INNER_APEX][2] = CONE_HEIGHT * (1 - CONE_INNER);
}

int e3_cone_triangles(uint16_t tri[E3_CONE_TRIANGLES][3], bool degenerate)
{
	int n = 0;
	for (int j = 0; j < 4; j++) {
		int p = base[j], q = base[(j + 1) % 4];
		const int side[6][3] = {
			{p, q, inner[(j + 1) % 4]},
			{p, inner[j], APEX},
			{INNER_APEX, q, APEX},
			{p, q, turned[(j + 1) % 4]},
			{p, turned[j], APEX},
			{APEX, q, APEX},
		};
		for (int k = 0; k < (degenerate ? 6 : 5); k++, n++)
			for (int i = 0; i < 3; i++)
				tri[n][i] = (uint16_t)side[k][i];
	}
	for (int k = 0; k < n; k++)
		for (int i = 0; i < 3; i++)
			tri[n + k][i] = tri[k][2 - i];
	return 2 * n;
}

const uint16_t e3_lines_indices[E3_LINES_INDICES] = {
	0, 1, 0, 2, 0, 3, 0, 4, /* apex to corners */
	1, 2, 2, 3, 3, 4, 4, 1, /* the picture's edges */
	1, 5, 5, 2,             /* the tick on top */
};

void e3_lines_vertices(float fov_h, float fov_w, double size, float v[E3_LINES_VERTICES][3])
{
	float x = (float)(size * tan(fov_w / 2.0)), y = (float)(size * tan(fov_h / 2.0)), z = (float)-size;
	float all[E3_LINES_VERTICES][3] = {{0, 0, 0}, {-x, y, z}, {x, y, z}, {x, -y, z}, {-x, -y, z},
		{0, (float)(1.4 * y), z}};
	memcpy(v, all, sizeof all);
}

int e3_camera_colour(int64_t k, int64_t n, uint8_t rgb[3])
{
	double x = (double)k / (double)n;
	e3_cmap_rgb(E3_RAINBOW, x, rgb);
	return (int)(256 * x);
}

uint16_t e3_linear16(uint8_t srgb)
{
	double c = srgb / 255.0;
	return (uint16_t)lround(65535 * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4)));
}
