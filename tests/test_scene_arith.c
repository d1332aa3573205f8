/* The scene's own elementary functions against the C library's, and its random numbers. */
#include "check.h"
#include "scene/arith.h"

static void functions_equal_the_library(void **state)
{
	double worst[7] = {0};
	for (int k = 0; k < 20000; k++) {
		double x = scene_uniform(1, 0, (uint64_t)k, -100, 100), p = exp(x / 8), s, c;
		scene_sincos(x, &s, &c);
		worst[0] = fmax(worst[0], fmax(fabs(s - sin(x)), fabs(c - cos(x))));
		worst[1] = fmax(worst[1], fabs(scene_exp(x) / exp(x) - 1));
		worst[2] = fmax(worst[2], fabs(scene_log(p) - log(p)) / fmax(fabs(log(p)), 0.1));
		worst[3] = fmax(worst[3], fabs(scene_atan(x / 20) - atan(x / 20)));
		double y = scene_uniform(2, 0, (uint64_t)k, -100, 100);
		worst[4] = fmax(worst[4], fabs(scene_atan2(y, x) - atan2(y, x)));
		worst[5] = fmax(worst[5], fabs(scene_pow(p, y / 100) / pow(p, y / 100) - 1));
		worst[6] = fmax(worst[6], fabs(scene_tan(x / 70) / tan(x / 70) - 1));
	}
	static const char *const name[7] = {"sin, cos", "exp", "log", "atan", "atan2", "pow", "tan"};
	for (int k = 0; k < 7; k++) {
		printf("# %-9s %.1e\n", name[k], worst[k]);
		assert_true(worst[k] < 1e-14);
	}
	assert_true(scene_sin(0) == 0 && scene_cos(0) == 1 && scene_exp(0) == 1 && scene_log(1) == 0 &&
		scene_atan2(0, -1) == SCENE_PI);
	assert_true(scene_atan2(2, 0) == SCENE_PI / 2 && scene_atan2(-2, 0) == -SCENE_PI / 2 && scene_atan2(0, 0) == 0);
}

/* The purpose of these functions: not the library's last bits but these, on every machine. */
static void bits_are_fixed(void **state)
{
	double s, c;
	scene_sincos(2.5, &s, &c);
	printf("# %a %a %a %a %a\n", s, c, scene_exp(0.7), scene_log(0.13), scene_atan2(-0.3, -2.7));
	assert_true(s == 0x1.326af0dcfcabp-1 && c == -0x1.9a2f7ef858b7dp-1);
	assert_true(scene_exp(0.7) == 0x1.01c2a61268987p+1);
	assert_true(scene_log(0.13) == -0x1.0525f4c391ddap+1);
	assert_true(scene_atan2(-0.3, -2.7) == -0x1.83f5b13741c76p+1);
	assert_int_equal(scene_bits(7, 3, 0), 0x5f694cc017d13271u);
}

static void numbers_are_uniform_and_normal(void **state)
{
	enum { N = 100000, BINS = 20 };
	int bin[BINS] = {0}, tail = 0;
	double sum = 0, squares = 0, fourth = 0, serial = 0, before = 0;
	for (uint64_t k = 0; k < N; k++) {
		double u = scene_uniform(k % 100, k / 100 % 10, k / 1000, 0, BINS),
			   g = scene_normal(k % 100, k / 100 % 10, k / 1000);
		assert_true(u >= 0 && u < BINS);
		bin[(int)u]++;
		sum += g, squares += g * g, fourth += g * g * g * g, tail += fabs(g) > 1.959964, serial += g * before;
		before = g;
	}
	double chi = 0;
	for (int k = 0; k < BINS; k++)
		chi += (bin[k] - N / BINS) * (double)(bin[k] - N / BINS) / (N / BINS);
	printf("# chi2 %.1f of 19; mean %.4f, variance %.4f, kurtosis %.4f, beyond 1.96 %.4f, serial %.4f\n", chi, sum / N,
		squares / N, fourth / N, (double)tail / N, serial / N);
	assert_true(chi < 43.8); /* one in a thousand */
	assert_true(fabs(sum / N) < 0.013 && fabs(squares / N - 1) < 0.018 && fabs(fourth / N - 3) < 0.13);
	assert_true(fabs((double)tail / N - 0.05) < 0.003 && fabs(serial / N) < 0.013);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_equal_the_library),
		cmocka_unit_test(bits_are_fixed),
		cmocka_unit_test(numbers_are_uniform_and_normal),
	};
	return cmocka_run_group_tests_name("scene: arithmetic", tests, NULL, NULL);
}
