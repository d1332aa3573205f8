/* image: HDR (PQ, HLG) and wide gamuts to SDR of BT.709 by fixed tables (doc/formats.md 5.5). The same code gives the
 * same colour in every frame: nothing is measured in the picture. */
#include "e3/tone.h"
#include "e3/mem.h"
#include <math.h>

enum { STEPS = 4096 };

#define WHITE 203.0    /* cd/m² of white in HDR: BT.2408 */
#define NOMINAL 1000.0 /* cd/m² of the brightest light where no metadata say it; of HLG always */
#define KNEE 0.3       /* up to here light stays as it is */
#define SDR_GAMMA 2.4  /* BT.1886 */
#define HLG_GAMMA 1.2  /* BT.2100, system gamma of a display of 1000 cd/m² */

struct e3_tone {
	float linear[STEPS + 1]; /* by code; 1 = white */
	float gain[STEPS + 1];   /* HLG: from scene to display, by the root of the luminance */
	uint8_t code[STEPS + 1]; /* by the root of light */
	float gamut[9], luma[3];
	bool hlg, curve;
	float a, b, scale; /* of the curve */
};

bool e3_tone_is_hdr(int transfer) { return transfer == E3_TRANSFER_PQ || transfer == E3_TRANSFER_HLG; }

bool e3_tone_is_wide(int primaries)
{
	return primaries == E3_PRIMARIES_2020 || primaries == E3_PRIMARIES_DCI || primaries == E3_PRIMARIES_P3;
}

/* --- transfer functions: 1 is the largest code, and the light that it stands for --- */

static const double PQ_M1 = 2610.0 / 16384, PQ_M2 = 2523.0 / 32, PQ_C1 = 3424.0 / 4096, PQ_C2 = 2413.0 / 128,
					PQ_C3 = 2392.0 / 128;
static const double HLG_A = 0.17883277, HLG_B = 0.28466892, HLG_C = 0.55991073;
static const double ALPHA = 1.09929682680944, BETA = 0.018053968510807; /* BT.2020, 12 bits */

float e3_tone_linear(int transfer, float code)
{
	double v = code < 0 ? 0 : code;
	if (transfer == E3_TRANSFER_PQ) {
		double p = pow(v, 1 / PQ_M2), top = p - PQ_C1;
		return (float)pow((top > 0 ? top : 0) / (PQ_C2 - PQ_C3 * p), 1 / PQ_M1);
	}
	if (transfer == E3_TRANSFER_HLG)
		return (float)(v <= 0.5 ? v * v / 3 : (exp((v - HLG_C) / HLG_A) + HLG_B) / 12);
	return (float)(v < 4.5 * BETA ? v / 4.5 : pow((v + ALPHA - 1) / ALPHA, 1 / 0.45));
}

float e3_tone_code(int transfer, float linear)
{
	double v = linear < 0 ? 0 : linear;
	if (transfer == E3_TRANSFER_PQ) {
		double p = pow(v, PQ_M1);
		return (float)pow((PQ_C1 + PQ_C2 * p) / (1 + PQ_C3 * p), PQ_M2);
	}
	if (transfer == E3_TRANSFER_HLG)
		return (float)(v <= 1.0 / 12 ? sqrt(3 * v) : HLG_A * log(12 * v - HLG_B) + HLG_C);
	return (float)(v < BETA ? 4.5 * v : ALPHA * pow(v, 0.45) - (ALPHA - 1));
}

/* --- gamuts --- */

void e3_tone_invert(const double m[9], double out[9])
{
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++) {
			int a = (c + 1) % 3, b = (c + 2) % 3, p = (r + 1) % 3, q = (r + 2) % 3;
			out[3 * r + c] = m[3 * a + p] * m[3 * b + q] - m[3 * a + q] * m[3 * b + p];
		}
	double det = m[0] * out[0] + m[1] * out[3] + m[2] * out[6];
	for (int k = 0; k < 9; k++)
		out[k] /= det;
}

static void multiply(const double a[9], const double b[9], double out[9])
{
	for (int k = 0; k < 9; k++)
		out[k] = a[k / 3 * 3] * b[k % 3] + a[k / 3 * 3 + 1] * b[3 + k % 3] + a[k / 3 * 3 + 2] * b[6 + k % 3];
}

/* Linear RGB to XYZ: chromaticities from H.273. The white of DCI cinema is taken as D65, as viewers do. */
static void to_xyz(int p, double out[9])
{
	static const double bt709[6] = {.64, .33, .30, .60, .15, .06}, bt2020[6] = {.708, .292, .170, .797, .131, .046},
						p3[6] = {.680, .320, .265, .690, .150, .060}, white[2] = {.3127, .3290};
	const double *xy = p == E3_PRIMARIES_2020 ? bt2020 : p == E3_PRIMARIES_DCI || p == E3_PRIMARIES_P3 ? p3 : bt709;
	double m[9], inverse[9];
	for (int c = 0; c < 3; c++)
		m[c] = xy[2 * c] / xy[2 * c + 1], m[3 + c] = 1, m[6 + c] = (1 - xy[2 * c] - xy[2 * c + 1]) / xy[2 * c + 1];
	e3_tone_invert(m, inverse);
	double wx = white[0] / white[1], wz = (1 - white[0] - white[1]) / white[1];
	for (int c = 0; c < 3; c++) {
		double s = inverse[3 * c] * wx + inverse[3 * c + 1] + inverse[3 * c + 2] * wz;
		for (int r = 0; r < 3; r++)
			out[3 * r + c] = m[3 * r + c] * s;
	}
}

static void set_gamut(e3_tone *t, int from)
{
	double in[9], bt709[9], inverse[9], both[9];
	to_xyz(from, in);
	to_xyz(E3_PRIMARIES_709, bt709);
	e3_tone_invert(bt709, inverse);
	multiply(inverse, in, both);
	for (int k = 0; k < 9; k++)
		t->gamut[k] = (float)both[k];
	for (int c = 0; c < 3; c++)
		t->luma[c] = (float)in[3 + c];
}

/* --- tables --- */

/* Mobius: x up to the knee j, then (x + a) scale / (x + b), which goes on with the same slope and gives 1 at the peak.
 */
static void set_curve(e3_tone *t, double peak)
{
	const double j = KNEE, d = peak - 1;
	double a = -j * j * d / (j * j - 2 * j + peak), b = (j * j - 2 * j * peak + peak) / d;
	t->curve = true, t->a = (float)a, t->b = (float)b;
	t->scale = (float)((b * b + 2 * b * j + j * j) / (b - a));
}

e3_tone *e3_tone_open(int transfer, int primaries, double peak, e3_err *err)
{
	e3_tone *t = e3_alloc(1, sizeof *t, "a table of colours", err);
	if (!t)
		return NULL;
	bool hdr = e3_tone_is_hdr(transfer);
	peak = peak <= 0 || transfer == E3_TRANSFER_HLG ? NOMINAL : peak > 10000 ? 10000 : peak;
	t->hlg = transfer == E3_TRANSFER_HLG;
	for (int k = 0; k <= STEPS; k++) {
		double at = (double)k / STEPS;
		t->linear[k] = hdr ? e3_tone_linear(transfer, (float)at) : (float)pow(at, SDR_GAMMA);
		if (hdr && !t->hlg)
			t->linear[k] *= (float)(10000 / WHITE);
		t->gain[k] = (float)(pow(at * at, HLG_GAMMA - 1) * NOMINAL / WHITE);
		t->code[k] = (uint8_t)(255 * pow(at * at, 1 / SDR_GAMMA) + 0.5);
	}
	set_gamut(t, primaries);
	if (hdr && peak > 1.001 * WHITE)
		set_curve(t, peak / WHITE);
	return t;
}

/* Pixels of a row at a time: loops over floats apart from those over tables, so that compilers make vectors of them. */
enum { RUN = 128 };

static float unit(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

static void look_up(const float table[STEPS + 1], const float *code, int n, float *out)
{
	int at[RUN];
	for (int x = 0; x < n; x++)
		at[x] = (int)(unit(code[x]) * STEPS + 0.5f);
	for (int x = 0; x < n; x++)
		out[x] = table[at[x]];
}

/* HLG: from the light of the scene to that of the display. */
static void add_system_gamma(const e3_tone *t, int n, float v[3][RUN])
{
	float root[RUN], gain[RUN];
	for (int x = 0; x < n; x++)
		root[x] = sqrtf(t->luma[0] * v[0][x] + t->luma[1] * v[1][x] + t->luma[2] * v[2][x]);
	look_up(t->gain, root, n, gain);
	for (int c = 0; c < 3; c++)
		for (int x = 0; x < n; x++)
			v[c][x] *= gain[x];
}

static void to_bt709(const float m[9], int n, float v[3][RUN])
{
	for (int x = 0; x < n; x++) {
		float r = v[0][x], g = v[1][x], b = v[2][x];
		float to[3] = {m[0] * r + m[1] * g + m[2] * b, m[3] * r + m[4] * g + m[5] * b, m[6] * r + m[7] * g + m[8] * b};
		v[0][x] = to[0] < 0 ? 0 : to[0], v[1][x] = to[1] < 0 ? 0 : to[1], v[2][x] = to[2] < 0 ? 0 : to[2];
	}
}

/* By the brightest of the three, so that the hue stays. */
static void compress(const e3_tone *t, int n, float v[3][RUN])
{
	const float knee = (float)KNEE;
	for (int x = 0; x < n; x++) {
		float most = v[0][x] > v[1][x] ? v[0][x] : v[1][x];
		most = most > v[2][x] ? most : v[2][x];
		float high = most > knee ? most : knee; /* at the knee the gain is 1 */
		float gain = (high + t->a) * t->scale / ((high + t->b) * high);
		v[0][x] *= gain, v[1][x] *= gain, v[2][x] *= gain;
	}
}

static void write_codes(const e3_tone *t, int n, float v[3][RUN], uint8_t *out)
{
	for (int c = 0; c < 3; c++) {
		int at[RUN];
		for (int x = 0; x < n; x++)
			at[x] = (int)(sqrtf(unit(v[c][x])) * STEPS + 0.5f);
		for (int x = 0; x < n; x++)
			out[3 * x + c] = t->code[at[x]];
	}
}

void e3_tone_row(const e3_tone *t, float *const rgb[3], int w, uint8_t *out)
{
	float v[3][RUN];
	for (int from = 0; from < w; from += RUN) {
		int n = w - from < RUN ? w - from : RUN;
		for (int c = 0; c < 3; c++)
			look_up(t->linear, rgb[c] + from, n, v[c]);
		if (t->hlg)
			add_system_gamma(t, n, v);
		to_bt709(t->gamut, n, v);
		if (t->curve)
			compress(t, n, v);
		write_codes(t, n, v, out + 3 * (size_t)from);
	}
}
