/* scene: elementary functions, computed with the four operations and square roots: argument reduction, then a power
 * series. */
#include "arith.h"

/* 1 - x2/(n (n+1)) + x2^2/(n (n+1) (n+2) (n+3)) - ..., n = first: the series of sine (2) and cosine (1), by Horner's
 * rule. */
static double alternating(double x2, int first, int terms)
{
	double sum = 1;
	for (int k = terms; k > 0; k--)
		sum = 1 - sum * x2 / (double)((first + 2 * k - 2) * (first + 2 * k - 1));
	return sum;
}

void scene_sincos(double x, double *sine, double *cosine)
{
	const double half_pi_high = 0x1.921fb544p0,
				 half_pi_low = 0x1.0b4611a626331p-34; /* k × high is exact for |k| < 2^20 */
	double k = floor(x / (SCENE_PI / 2) + 0.5), r = x - k * half_pi_high - k * half_pi_low;
	double s = r * alternating(r * r, 2, 10), c = alternating(r * r, 1, 10);
	int quarter = (int)(k - 4 * floor(k / 4));
	*sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
	*cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

double scene_sin(double x)
{
	double s, c;
	scene_sincos(x, &s, &c);
	return s;
}

double scene_cos(double x)
{
	double s, c;
	scene_sincos(x, &s, &c);
	return c;
}

double scene_tan(double x)
{
	double s, c;
	scene_sincos(x, &s, &c);
	return s / c;
}

static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;

double scene_exp(double x)
{
	double k = floor(x / 0.69314718055994530942 + 0.5), r = x - k * ln2_high - k * ln2_low, sum = 1;
	for (int n = 15; n > 0; n--)
		sum = 1 + sum * r / n;
	return ldexp(sum, (int)k);
}

double scene_log(double x)
{
	int e;
	double m = frexp(x, &e);
	if (m < 0.70710678118654752440)
		m *= 2, e--;
	double s = (m - 1) / (m + 1), sum = 0;
	for (int n = 23; n > 0; n -= 2)
		sum = sum * s * s + 1.0 / n;
	return 2 * s * sum + e * ln2_low + e * ln2_high;
}

double scene_pow(double x, double y) { return scene_exp(y * scene_log(x)); }

double scene_atan(double x)
{
	double a = fabs(x), base = 0, v;
	if (a > 1)
		v = SCENE_PI / 2 - scene_atan(1 / a);
	else {
		if (a > 0.41421356237309504880)
			base = SCENE_PI / 4, a = (a - 1) / (a + 1);
		double sum = 0;
		for (int n = 39; n > 0; n -= 2)
			sum = 1.0 / n - sum * a * a;
		v = base + a * sum;
	}
	return x < 0 ? -v : v;
}

double scene_atan2(double y, double x)
{
	if (x == 0)
		return y > 0 ? SCENE_PI / 2 : y < 0 ? -SCENE_PI / 2 : 0;
	double v = scene_atan(y / x);
	return x > 0 ? v : y < 0 ? v - SCENE_PI : v + SCENE_PI;
}

double scene_normal(uint64_t seed, uint64_t what, uint64_t index)
{
	double a = scene_uniform(seed, what, 2 * index, 0, 1), b = scene_uniform(seed, what, 2 * index + 1, 0, 1);
	return sqrt(-2 * scene_log(1 - a)) * scene_cos(2 * SCENE_PI * b); /* 1 - a is in (0, 1] */
}
