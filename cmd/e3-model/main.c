/* e3-model: looks at, checks, converts and makes checkpoints. Owns the commands and their options; refuses options that
 * the command does not use. */
#include "model.h"
#include "e3/config.h"
#include "e3/io.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static em_options o = {.dtype = -1, .seed = -1};

static int add_meta(void *to, const char *arg, e3_err *err)
{
	em_options *all = to;
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : 0;
	if (len == 0 || len >= sizeof all->meta[0].key)
		return e3_fail(err, "expected KEY=VALUE, got '%s'", arg);
	if (all->n_meta == EM_MAX_META)
		return e3_fail(err, "at most %d are taken", EM_MAX_META);
	memcpy(all->meta[all->n_meta].key, arg, len);
	all->meta[all->n_meta].key[len] = 0;
	all->meta[all->n_meta++].value = equals + 1;
	return 0;
}

static const e3_opt table[] = {
	E3_OPT_TITLE("list and check"),
	E3_OPT_FLAG("json", &o.json, "one JSON object instead of text"),
	E3_OPT_TITLE("convert and seed"),
	E3_OPT_CHOICE("dtype", &o.dtype, "TYPE", "f32|f16|bf16",
		"f32, f16 or bf16 for every floating-point tensor,\nrounded to nearest even"),
	E3_OPT_CALL("meta", &o, "KEY=VALUE", add_meta,
		"set a metadata entry, for example e3.vit_heads=6;\nrepeatable; an empty value "
		"removes it"),
	E3_OPT_TITLE("convert"),
	E3_OPT_FLAG("drop-track", &o.drop_track, "leave out the track head, which e3-infer does not use"),
	E3_OPT_TITLE("seed"),
	E3_OPT_TEXT("config", &o.config, "NAME", "tiny or full (the released network's shape)"),
	E3_OPT_INT("seed", &o.seed, "N", 0, 9e18, "the seed: every value is a function of it"),
	E3_OPT_TEXT("output,o", &o.output, "FILE", "where to write; - is standard output (default)"),
	E3_OPT_END,
};

static const e3_opts opts = {
	.tool = "e3-model",
	.usage =
		"list | check [--json] FILE\n       e3-model convert [options] IN OUT.safetensors\n       e3-model seed --config NAME "
		"--seed N [-o FILE]",
	.summary =
		"Lists, checks, converts and makes checkpoints. FILE and IN: .safetensors, .pth, or seed:tiny:N, seed:full:N.",
	.table = table,
	.tail = "  e3-model check checkpoints.pth\n"
			"  e3-model convert --dtype bf16 --drop-track checkpoints.pth model.safetensors\n"
			"  e3-model seed --config tiny --seed 7 -o tiny.safetensors\n",
};

/* Which groups of options a command uses. */
typedef struct command {
	const char *name;
	int operands;
	bool report, write, convert, seed;
} command;

static const command commands[] = {
	{"list", 1, true, false, false, false},
	{"check", 1, true, false, false, false},
	{"convert", 2, false, true, true, false},
	{"seed", 0, false, true, false, true},
};

static const command *pick(int argc, char **argv, int first)
{
	const command *c = NULL;
	if (first >= argc)
		e3_usage_error("expected a command: list, check, convert or seed");
	for (size_t k = 0; k < sizeof commands / sizeof *commands; k++)
		if (strcmp(argv[first], commands[k].name) == 0)
			c = &commands[k];
	if (!c)
		e3_usage_error("expected list, check, convert or seed, got '%s'", argv[first]);
	if (argc - first - 1 != c->operands)
		e3_usage_error("%s: expected %d file name%s, got %d", c->name, c->operands, c->operands == 1 ? "" : "s",
			argc - first - 1);
	const char *wrong = o.json && !c->report ? "json"
		: o.dtype >= 0 && !c->write          ? "dtype"
		: o.n_meta && !c->write              ? "meta"
		: o.drop_track && !c->convert        ? "drop-track"
		: o.config && !c->seed               ? "config"
		: o.seed >= 0 && !c->seed            ? "seed"
		: o.output && !c->seed               ? "output"
											 : NULL;
	if (wrong)
		e3_usage_error("%s: has no use for --%s", c->name, wrong);
	if (c->seed && (!o.config || o.seed < 0))
		e3_usage_error("seed: needs --config and --seed");
	return c;
}

static int run(const command *c, char **operand, e3_err *err)
{
	char spec[192];
	const char *in = c->seed ? spec : operand[0], *out = c->seed ? (o.output ? o.output : "-") : operand[1];
	if (c->seed) {
		e3_config known;
		if (e3_config_builtin(o.config, &known, err))
			return -1;
		snprintf(spec, sizeof spec, "seed:%s:%lld", known.name, (long long)o.seed);
	}
	if (c->write && strcmp(out, "-") == 0 && e3_refuse_terminal(STDOUT_FILENO, err))
		return -1;
	e3_ckpt *ckpt = e3_ckpt_open(in, err);
	if (!ckpt)
		return -1;
	int rc = c->write                  ? em_save(ckpt, out, &o, err)
		: strcmp(c->name, "list") == 0 ? em_list(ckpt, &o, err)
									   : em_check(ckpt, &o, err);
	e3_ckpt_close(ckpt);
	return rc;
}

int main(int argc, char **argv)
{
	e3_err err;
	e3_tool_init("e3-model");
	int first = e3_opts_parse(&opts, argc, argv);
	const command *c = pick(argc, argv, first);
	return e3_tool_exit(run(c, argv + first + 1, &err), &err);
}
