/* model: the table of architectures. Owns nothing else: what a field does is in the code that reads it. */
#include "e3/arch.h"
#include <stdio.h>
#include <string.h>

const e3_arch e3_archs[] = {
	{.name = "streamvggt",
		.title = "StreamVGGT",
		.token = {{"camera_token", false, E3_FIRST_FRAME}, {"register_token", true, E3_FIRST_FRAME}},
		.rope = E3_ROPE_GRID,
		.start = 1,
		.heads = E3_HEAD_DEPTH | E3_HEAD_POINTS,
		.policy = "evict3r",
		.license = "CC BY-NC-SA 4.0, non-commercial",
		.source = "https://huggingface.co/lch01/StreamVGGT"},
	{.name = "lingbot-map",
		.title = "LingBot-Map",
		.mark = "aggregator.scale_token",
		.token = {{"camera_token", false, E3_FIRST_FRAME}, {"register_token", true, E3_FIRST_FRAME},
			{"scale_token", false, E3_FIRST_START}},
		.rope = E3_ROPE_TIME,
		.axis = {20, 22, 22},
		.base = 10000,
		.times = 1024,
		.start = 8,
		.joint = true,
		.to_world = true,
		.heads = E3_HEAD_DEPTH,
		.policy = "lingbot",
		.window = 64,
		.license = "not settled: their page names none; the code is under Apache-2.0",
		.source = "https://huggingface.co/robbyant/lingbot-map"},
	{.name = NULL},
};

int e3_arch_find(const char *name)
{
	for (int k = 0; e3_archs[k].name; k++)
		if (strcmp(e3_archs[k].name, name) == 0)
			return k;
	return -1;
}

const char *e3_arch_names(char *to, size_t size)
{
	size_t n = 0;
	to[0] = 0;
	for (const e3_arch *a = e3_archs; a->name && n < size; a++)
		n += (size_t)snprintf(to + n, size - n, "%s%s", n ? " or " : "", a->name);
	return to;
}
