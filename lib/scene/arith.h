/* scene: arithmetic that gives the same bits everywhere: elementary functions from the four operations and square
 * roots, and random numbers as a function of seed, purpose and index. The C library's functions differ in their last
 * bits from machine to machine. Compiled without contraction (Makefile: EXTRA_scene). */
#ifndef SCENE_ARITH_H
#define SCENE_ARITH_H

#include <math.h>
#include <stdint.h>

#define SCENE_PI 3.14159265358979323846

/* Errors below 1e-14 (absolute for sine and cosine, else relative) on the ranges a scene uses: |x| < 1e4, exp to ±300.
 */
void scene_sincos(double x, double *sine, double *cosine);
double scene_sin(double x);
double scene_cos(double x);
double scene_tan(double x);
double scene_exp(double x);
double scene_log(double x);           /* x > 0, normal */
double scene_pow(double x, double y); /* x > 0 */
double scene_atan(double x);
double scene_atan2(double y, double x);

/* 64 random bits (the finaliser of SplitMix64 over its counter). */
static inline uint64_t scene_mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static inline uint64_t scene_bits(uint64_t seed, uint64_t what, uint64_t index)
{
	const uint64_t gold = 0x9E3779B97F4A7C15u;
	return scene_mix(scene_mix(scene_mix(seed + gold) + (what + 1) * gold) + (index + 1) * gold);
}

/* Uniform in [lo, hi). */
static inline double scene_uniform(uint64_t seed, uint64_t what, uint64_t index, double lo, double hi)
{
	return (double)(scene_bits(seed, what, index) >> 11) * 0x1p-53 * (hi - lo) + lo;
}

/* Normal with mean 0 and deviation 1 (Box and Muller). */
double scene_normal(uint64_t seed, uint64_t what, uint64_t index);

#endif
