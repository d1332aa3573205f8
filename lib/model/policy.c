/* model: the table of policies, and the arithmetic of shares and budgets. */
#include "policy.h"
#include "e3/num.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const e3_policy e3_policies[] = {
	{.name = "evict3r", .help = "the tokens that got the least attention", .scoring = {.measure = E3_MEASURE_SHARE}},
	{.name = "window", .help = "the oldest tokens", .scoring = {.measure = E3_MEASURE_FRAME}},
	{.name = "random",
		.help = "random tokens, the same in every run",
		.scoring = {.measure = E3_MEASURE_NOTHING, .dither = E3_DITHER_RANDOM}},
	{.name = "spread",
		.old_name = "e3",
		.help = "a draw, even over picture and time; attention lowers the chance",
		.protects_newest = true,
		.no_compat = true,
		.scoring = {.measure = E3_MEASURE_SHARE, .root = true, .dither = E3_DITHER_EVEN}},
	/* ywh187/XStreamVGGT, prune mode XStreamVGGT. */
	{.name = "xstream",
		.help = "the tokens whose keys fit the newest frame's queries least",
		.protects_newest = true,
		.newest_whole = true,
		.no_compat = true,
		.scoring = {.measure = E3_MEASURE_MATCH}},
	/* VAISR/OVGGT, strategy repr_shift_spatial. */
	{.name = "ovggt",
		.help = "tokens that are like the mean key, or that their layer hardly changed",
		.first_only = true,
		.no_compat = true,
		.scoring = {.measure = E3_MEASURE_NOVELTY}},
	/* UniverseXing/eStreamVGGT (anchor_recent_dino_diverse_k4, _k6, _k8). */
	{.name = "k4",
		.help = "all frames but the first, the newest and two unlike it",
		.no_compat = true,
		.whole = {.rule = E3_WHOLE_UNLIKE, .frames = 4, .newest = 1}},
	{.name = "k6",
		.help = "all frames but the first, the newest three and two unlike them",
		.no_compat = true,
		.whole = {.rule = E3_WHOLE_UNLIKE, .frames = 6, .newest = 3}},
	{.name = "k8",
		.help = "all frames but the first, the newest four and three of greater ages",
		.no_compat = true,
		.whole = {.rule = E3_WHOLE_AGES, .frames = 8, .newest = 4}},
	/* FrameVGGT, arXiv 2603.07690: its bank, without the anchors. */
	{.name = "frames",
		.help = "whole frames, but those most unlike each other, layer by layer",
		.no_compat = true,
		.whole = {.rule = E3_WHOLE_FARTHEST, .newest = 1, .by_layer = true}},
	/* Robbyant/lingbot-map, class GCTStream. */
	{.name = "lingbot",
		.help = "the patches of all key frames but the first and the newest",
		.no_compat = true,
		.slides = true},
	{.name = "none", .help = "no tokens: memory grows with the stream", .keeps_all = true},
	{.name = NULL},
};

const e3_policy *e3_policy_find(const char *name)
{
	for (const e3_policy *p = e3_policies; p->name; p++)
		if (strcmp(p->name, name) == 0 || (p->old_name && strcmp(p->old_name, name) == 0))
			return p;
	return NULL;
}

void e3_policy_shares(const double *variance, int layers, double temperature, double *alpha)
{
	double least = INFINITY, sum = 0;
	for (int l = 0; l < layers; l++)
		least = fmin(least, variance[l]);
	for (int l = 0; l < layers; l++)
		sum += alpha[l] = exp(-(variance[l] - least) / temperature);
	for (int l = 0; l < layers; l++)
		alpha[l] /= sum;
}

/* sum over layers of level × alpha, held inside the bounds; budget receives the terms. */
static double fill(const double *alpha, int layers, double level, const double *floors, const double *ceilings,
	double *budget)
{
	double sum = 0;
	for (int l = 0; l < layers; l++)
		sum += budget[l] = fmin(fmax(level * alpha[l], floors[l]), ceilings[l]);
	return sum;
}

void e3_policy_budgets(const double *alpha, int layers, double total, const double *floors, const double *ceilings,
	double *budget)
{
	bool bounded = false;
	fill(alpha, layers, total, floors, ceilings, budget);
	for (int l = 0; l < layers; l++)
		bounded |= budget[l] != total * alpha[l];
	if (!bounded)
		return;
	/* The sum grows with the level: halve an interval until doubles are exhausted. */
	double low = 0, high = total;
	for (int k = 0; k < 1000 && fill(alpha, layers, high, floors, ceilings, budget) < total; k++)
		high *= 2;
	for (int k = 0; k < 200; k++) {
		double middle = low + (high - low) / 2;
		if (fill(alpha, layers, middle, floors, ceilings, budget) > total)
			high = middle;
		else
			low = middle;
	}
	fill(alpha, layers, low, floors, ceilings, budget);
}
