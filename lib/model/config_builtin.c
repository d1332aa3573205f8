/* model: the built-in configurations (doc/design.md 6). Owns their shapes: two sizes, and for each architecture what it
 * has of them. */
#include "e3/config.h"
#include <stdio.h>
#include <string.h>

static const e3_config tiny = {
	.license = "MIT",
	.embed = 128,
	.patch = 14,
	.registers = 4,
	.vit_registers = 4,
	.vit_depth = 2,
	.vit_heads = 2,
	.vit_hidden = 512,
	.pos_grid = 5,
	.layers = 4,
	.heads = 2,
	.head_dim = 64,
	.hidden = 512,
	.qk_norm = true,
	.camera_dim = 256,
	.camera_depth = 2,
	.camera_heads = 4,
	.camera_hidden = 1024,
	.camera_mlp = 128,
	.dpt_layers = {0, 1, 2, 3},
	.depth = {true, 32, {32, 64, 128, 128}, 32, 2, {4, 2}},
	.point = {true, 32, {32, 64, 128, 128}, 32, 4, {4, 2}},
	.image_size = 70,
};
static const e3_config full = {
	.license = "MIT",
	.embed = 1024,
	.patch = 14,
	.registers = 4,
	.vit_registers = 4,
	.vit_depth = 24,
	.vit_heads = 16,
	.vit_hidden = 4096,
	.pos_grid = 37,
	.layers = 24,
	.heads = 16,
	.head_dim = 64,
	.hidden = 4096,
	.qk_norm = true,
	.camera_dim = 2048,
	.camera_depth = 4,
	.camera_heads = 16,
	.camera_hidden = 8192,
	.camera_mlp = 1024,
	.dpt_layers = {4, 11, 17, 23},
	.depth = {true, 256, {256, 512, 1024, 1024}, 32, 2, {4, 2}},
	.point = {true, 256, {256, 512, 1024, 1024}, 32, 4, {4, 2}},
	.image_size = 518,
};

/* rope_bf16: as the golden files were made (tests/data/golden/README.md). */
static const struct builtin {
	const char *name, *arch;
	const e3_config *shape;
	bool rope_bf16;
} builtins[] = {
	{"tiny", "streamvggt", &tiny, false},
	{"full", "streamvggt", &full, true},
	{"lingbot-tiny", "lingbot-map", &tiny, false},
	{"lingbot-full", "lingbot-map", &full, false},
};
enum { BUILTINS = sizeof builtins / sizeof *builtins };

static int add_count(void *ctx, const char *name, int rank, const int64_t *shape)
{
	int64_t n = 1;
	for (int k = 0; k < rank; k++)
		n *= shape[k];
	*(int64_t *)ctx += n;
	return 0;
}

int e3_config_builtin(const char *name, e3_config *out, e3_err *err)
{
	char names[128];
	for (int k = 0; k < BUILTINS; k++) {
		const struct builtin *b = &builtins[k];
		if (strcmp(b->name, name) != 0)
			continue;
		*out = *b->shape;
		snprintf(out->name, sizeof out->name, "%s", b->name);
		out->arch = e3_arch_find(b->arch);
		out->rope_bf16 = b->rope_bf16;
		if (!(e3_config_arch(out)->heads & E3_HEAD_POINTS))
			out->point = (e3_dpt_config){0};
		e3_config_each(out, add_count, &out->parameters);
		return 0;
	}
	return e3_fail(err, "no configuration '%s': expected %s", name, e3_config_builtins(names, sizeof names));
}

const char *e3_config_builtins(char *to, size_t size)
{
	size_t n = 0;
	to[0] = 0;
	for (int k = 0; k < BUILTINS && n < size; k++)
		n += (size_t)snprintf(to + n, size - n, "%s%s",
			k == 0                 ? ""
				: k + 1 < BUILTINS ? ", "
								   : " or ",
			builtins[k].name);
	return to;
}
