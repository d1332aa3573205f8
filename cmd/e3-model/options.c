/* e3-model: the commands and their options. Refuses options that the command does not use. */
#include "model.h"
#include "e3/config.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <stdio.h>
#include <string.h>

static const em_command commands[] = {
	{.name = "list", .operands = 1, .reports = true, .run = em_list},
	{.name = "check", .operands = 1, .reports = true, .run = em_check},
	{.name = "convert", .operands = 2, .writes = true, .run = em_save},
	{.name = "seed", .operands = 0, .writes = true, .run = em_save},
	{.name = "fetch", .operands = 1},
};
static const em_command *const convert = &commands[2], *const seed = &commands[3], *const fetch = &commands[4];

static int add_meta(void *to, const char *arg, e3_err *err)
{
	em_options *o = to;
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : 0;
	if (len == 0 || len >= sizeof o->meta[0].key)
		return e3_fail(err, "expected KEY=VALUE, got '%s'", arg);
	if (o->n_meta == EM_MAX_META)
		return e3_fail(err, "at most %d entries can be set", EM_MAX_META);
	memcpy(o->meta[o->n_meta].key, arg, len);
	o->meta[o->n_meta].key[len] = 0;
	o->meta[o->n_meta++].value = equals + 1;
	return 0;
}

static const em_command *pick(int operands, char **operand)
{
	if (operands < 1)
		e3_usage_error("expected a command: list, check, convert, seed or fetch");
	for (size_t k = 0; k < sizeof commands / sizeof *commands; k++)
		if (strcmp(operand[0], commands[k].name) == 0) {
			const em_command *c = &commands[k];
			if (operands - 1 != c->operands)
				e3_usage_error("%s: expected %d %s%s, got %d", c->name, c->operands, c == fetch ? "name" : "file name",
					c->operands == 1 ? "" : "s", operands - 1);
			return c;
		}
	e3_usage_error("expected list, check, convert, seed or fetch, got '%s'", operand[0]);
}

static void check(const em_options *o, const char *config, int64_t number)
{
	const em_command *c = o->command;
	const char *unused = o->json && !c->reports ? "json"
		: o->dtype >= 0 && !c->writes           ? "dtype"
		: o->n_meta && !c->writes               ? "meta"
		: o->drop_track && c != convert         ? "drop-track"
		: config && c != seed                   ? "config"
		: number >= 0 && c != seed              ? "seed"
		: o->output && c != seed                ? "output"
		: o->force && c != fetch                ? "force"
		: o->from && c != fetch                 ? "from"
		: o->ca && c != fetch                   ? "cacert"
		: o->timeout >= 0 && c != fetch         ? "timeout"
		: o->retries >= 0 && c != fetch         ? "retries"
												: NULL;
	if (unused)
		e3_usage_error("%s: has no use for --%s", c->name, unused);
	if (c == seed && (!config || number < 0))
		e3_usage_error("seed: needs --config and --seed");
}

int em_parse(int argc, char **argv, em_options *o, e3_err *err)
{
	const char *config = NULL;
	int64_t number = -1;
	*o = (em_options){.dtype = -1, .timeout = -1, .retries = -1};
	const e3_opt table[] = {
		E3_OPT_TITLE("list and check"),
		E3_OPT_FLAG("json", &o->json, "one JSON object instead of text"),
		E3_OPT_TITLE("convert and seed"),
		E3_OPT_CHOICE("dtype", &o->dtype, "TYPE", "f32|f16|bf16",
			"f32, f16 or bf16 for every floating-point tensor,\nrounded to nearest even"),
		E3_OPT_CALL("meta", o, "KEY=VALUE", add_meta,
			"set a metadata entry, for example e3.vit_heads=6;\nrepeatable; an empty value removes it"),
		E3_OPT_TITLE("convert"),
		E3_OPT_FLAG("drop-track", &o->drop_track, "leave out the track head, which e3-infer does not use"),
		E3_OPT_TITLE("seed"),
		E3_OPT_TEXT("config", &config, "NAME",
			"tiny, full (the released network's shape), lingbot-tiny,\nlingbot-full"),
		E3_OPT_INT("seed", &number, "N", 0, 9e18, "the seed: every value is a function of it"),
		E3_OPT_WRITES("output,o", &o->output, "FILE", "where to write; - is standard output (default)"),
		E3_OPT_TITLE("fetch"),
		E3_OPT_FLAG("force", &o->force, "fetch it again where it is there already"),
		E3_OPT_TEXT("from", &o->from, "URL", "address of the hub (default $HF_ENDPOINT, else\nhttps://huggingface.co)"),
		E3_OPT_READS("cacert", &o->ca, "FILE", "certificates that are trusted, as PEM, instead of the\nsystem's"),
		E3_OPT_REAL("timeout", &o->timeout, "SEC", 1, 1e6,
			"give up waiting after SEC seconds without a byte\n(default 30)"),
		E3_OPT_INT("retries", &o->retries, "N", 0, 1000, "after an interruption, try N times in a row (default 5)"),
		E3_OPT_END,
	};
	const e3_opts opts = {
		.tool = "e3-model",
		.usage =
			"list | check [--json] FILE\n       e3-model convert [options] IN OUT.safetensors\n"
			"       e3-model seed --config NAME --seed N [-o FILE]\n       e3-model fetch [--yes] streamvggt | lingbot-map | lingbot-map-long | skyseg",
		.summary =
			"List, check, convert, make and fetch checkpoints. FILE and IN: .safetensors, .pth, or seed:CONFIG:N.",
		.table = table,
		.tail = "  e3-model check checkpoints.pth\n"
				"  e3-model convert --dtype bf16 --drop-track checkpoints.pth model.safetensors\n"
				"  e3-model fetch streamvggt\n"
				"  e3-model fetch lingbot-map\n"
				"  e3-model seed --config tiny --seed 7 -o tiny.safetensors\n",
	};
	int first = e3_opts_parse(&opts, argc, argv);
	o->command = pick(argc - first, argv + first);
	check(o, config, number);
	o->timeout = o->timeout < 0 ? 30 : o->timeout, o->retries = o->retries < 0 ? 5 : o->retries;
	if (o->command == fetch) {
		o->input = argv[first + 1];
		return 0;
	}
	if (o->command != seed) {
		o->input = argv[first + 1];
		o->output = argc - first > 2 ? argv[first + 2] : "-";
		e3_opts_claim(&(e3_claim){.use = E3_READS, .path = o->input, .what = "the checkpoint that is read"});
		e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = o->output});
		return 0;
	}
	e3_config known;
	if (e3_config_builtin(config, &known, err))
		return -1;
	snprintf(o->seed_name, sizeof o->seed_name, "seed:%s:%lld", known.name, (long long)number);
	o->input = o->seed_name;
	o->output = o->output ? o->output : "-";
	return 0;
}
