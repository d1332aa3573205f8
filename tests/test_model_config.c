/* Configurations from shapes and metadata: any size of network, every miss found, the released layout bound. */
#include "check.h"
#include "model_samples.h"
#include <unistd.h>

static const e3_config small = {
	.name = "small",
	.embed = 96,
	.patch = 8,
	.registers = 3,
	.vit_registers = 2,
	.vit_depth = 3,
	.vit_heads = 4,
	.vit_hidden = 200,
	.pos_grid = 3,
	.layers = 5,
	.heads = 4,
	.head_dim = 24,
	.hidden = 288,
	.qk_norm = true,
	.camera_dim = 192,
	.camera_depth = 1,
	.camera_heads = 12,
	.camera_hidden = 100,
	.camera_mlp = 40,
	.dpt_layers = {0, 2, 3, 4},
	.depth = {true, 16, {4, 8, 12, 20}, 6, 2, {4, 2}},
	.point = {true, 24, {8, 4, 16, 4}, 10, 4, {4, 2}},
	.image_size = 64,
};
static const char small_meta[] =
	"\"e3.name\":\"small\",\"e3.vit_heads\":\"4\",\"e3.camera_heads\":\"12\",\"e3.dpt_layers\":\"0,2,3,4\","
	"\"e3.image_size\":\"64\",\"e3.rope_angles\":\"f32\"";

/* The least of everything, for tests that make a file for each tensor. */
static const e3_config least = {
	.name = "least",
	.embed = 16,
	.patch = 2,
	.registers = 2,
	.vit_registers = 3,
	.vit_depth = 1,
	.vit_heads = 4,
	.vit_hidden = 24,
	.pos_grid = 2,
	.layers = 4,
	.heads = 2,
	.head_dim = 8,
	.hidden = 20,
	.qk_norm = true,
	.camera_dim = 32,
	.camera_depth = 1,
	.camera_heads = 2,
	.camera_hidden = 12,
	.camera_mlp = 6,
	.dpt_layers = {0, 1, 2, 3},
	.depth = {true, 8, {4, 4, 8, 4}, 2, 2, {4, 2}},
	.point = {true, 8, {8, 4, 4, 4}, 3, 4, {2, 2}},
	.image_size = 8,
};
static const char least_meta[] =
	"\"e3.vit_heads\":\"4\",\"e3.camera_heads\":\"2\",\"e3.dpt_layers\":\"0,1,2,3\",\"e3.image_size\":\"8\"";

/* A sample is built from a configuration with at most one tensor changed. */
typedef struct edit {
	sample *s;
	const char *name; /* the tensor to change */
	int drop;         /* leave it out */
	int axis;         /* add `by` to this dimension; -1: none */
	int64_t by;
	int dtype; /* -1: F16 like the rest */
	int n;
} edit;

static int add(void *ctx, const char *name, int rank, const int64_t *shape)
{
	edit *e = ctx;
	int64_t s[E3_MAX_RANK];
	bool hit = e->name && strcmp(e->name, name) == 0;
	memcpy(s, shape, (size_t)rank * sizeof *s);
	if (hit && e->axis >= 0)
		s[e->axis] += e->by;
	e->n++;
	if (!hit || !e->drop)
		sample_entry(e->s, name, hit && e->dtype >= 0 ? (e3_dtype)e->dtype : E3_F16, rank, s);
	return 0;
}

/* The result of e3_config_read on a network of this shape; the report is left in `report`. */
static int read_edited(const e3_config *shape, const char *meta, edit e, e3_config *out, e3_buf *report, e3_err *err)
{
	sample s = {0};
	e.s = &s;
	sample_meta(&s, meta);
	e3_config_each(shape, add, &e);
	e3_ckpt *c = sample_open(&s, err);
	assert_non_null(c);
	*report = (e3_buf){0};
	int rc = e3_config_read(c, out, report, err);
	e3_ckpt_close(c);
	sample_release(&s);
	return rc;
}

static const edit no_edit = {.axis = -1, .dtype = -1};

static size_t lines(const e3_buf *b)
{
	size_t n = 0;
	for (size_t k = 0; k < b->len; k++)
		n += b->data[k] == '\n';
	return n;
}

static void any_size_of_network_is_read(void **state)
{
	e3_config shapes[6];
	for (int k = 0; k < 6; k++)
		shapes[k] = small;
	shapes[1].depth = (e3_dpt_config){0};
	shapes[2].point = (e3_dpt_config){0};
	shapes[3].unscaled = E3_UNSCALED_VIT | E3_UNSCALED_CAMERA, shapes[2].unscaled = E3_UNSCALED_AGGREGATOR;
	shapes[3].qk_norm = false, shapes[3].head_dim = 32, shapes[3].heads = 3;
	shapes[4].registers = 0, shapes[4].vit_registers = 0;
	shapes[5].registers = 7, shapes[5].vit_registers = 1, shapes[5].layers = 256, shapes[5].depth.up[0] = 2,
	shapes[5].depth.up[1] = 3;
	for (int k = 0; k < 6; k++) {
		char meta[512];
		e3_err err = {""};
		e3_config got;
		e3_buf report;
		snprintf(meta, sizeof meta, "%s%s", small_meta, k == 3 ? ",\"e3.head_dim\":\"32\"" : "");
		if (read_edited(&shapes[k], meta, no_edit, &got, &report, &err))
			fail_msg("shape %d: %s\n%s", k, err.text, report.data);
		assert_int_equal(report.len, 0);
		assert_true(got.parameters > 500000);
		got.parameters = 0;
		assert_memory_equal(&got, &shapes[k], sizeof got);
	}
}

static int collect(void *ctx, const char *name, int rank, const int64_t *shape)
{
	char ***at = ctx;
	*(*at)++ = strdup(name);
	return 0;
}

static void each_missing_tensor_is_named(void **state)
{
	char *names[1024] = {0}, **end = names;
	e3_config_each(&least, collect, &end);
	assert_int_equal(end - names, 2 + 3 + 2 + 14 + 2 + 2 * 4 * 18 + 14 + 13 + 2 * 62);
	for (char **name = names; name < end; name++) {
		e3_config got;
		e3_buf report;
		e3_err err = {""};
		char line[256];
		edit e = no_edit;
		e.name = *name, e.drop = 1;
		assert_int_equal(read_edited(&least, least_meta, e, &got, &report, &err), -1);
		snprintf(line, sizeof line, "missing: %s: expected [", *name);
		if (!strstr(report.data, line))
			fail_msg("without %s: %s", *name, report.data);
		/* Nothing else is wrong, so nothing else is said. */
		if (lines(&report) != 1)
			fail_msg("without %s:\n%s", *name, report.data);
		assert_non_null(strstr(err.text, "reading configuration: sample: 1 problem: missing: "));
		e3_buf_release(&report);
		free(*name);
	}
}

static int break_each(void *ctx, const char *name, int rank, const int64_t *shape)
{
	for (int k = 0; k <= rank; k++) { /* each dimension, then the type */
		e3_config got;
		e3_buf report;
		e3_err err = {""};
		edit e = no_edit;
		e.name = name;
		if (k < rank)
			e.axis = k, e.by = 1;
		else
			e.dtype = E3_I32;
		if (read_edited(ctx, least_meta, e, &got, &report, &err) == 0) {
			/* These alone decide: another size is another network. */
			bool free_size = (strcmp(name, "aggregator.patch_embed.register_tokens") == 0 && k == 1) ||
				(strcmp(name, "aggregator.register_token") == 0 && k == 2);
			if (!free_size)
				fail_msg("%s: dimension %d changed, and accepted", name, k);
		} else if (k == rank) {
			char line[256];
			snprintf(line, sizeof line, "type: %s: expected F32, F16 or BF16, got I32\n", name);
			assert_string_equal(report.data, line);
		}
		e3_buf_release(&report);
	}
	return 0;
}

static void each_wrong_dimension_and_type_is_found(void **state)
{
	e3_config_each(&least, break_each, (void *)(uintptr_t)&least);
}

static void all_problems_are_reported_at_once(void **state)
{
	e3_err err = {""};
	sample s = {0};
	e3_config got;
	e3_buf report = {0};
	edit e = no_edit;
	e.s = &s, e.name = "aggregator.frame_blocks.3.mlp.fc1.weight", e.axis = 1, e.by = -1;
	sample_meta(&s,
		"\"e3.arch\":\"vggt\",\"e3.vit_heads\":\"5\",\"e3.camera_heads\":\"x\",\"e3.dpt_layers\":\"0,2,2,9\","
		"\"e3.image_size\":\"65\",\"e3.rope_angles\":\"f64\"");
	e3_config_each(&small, add, &e);
	sample_entry(&s, "surprise", E3_F32, 2, (int64_t[]){2, 3});
	sample_entry(&s, "aggregator.global_blocks.999999999999.norm1.weight", E3_F32, 1, (int64_t[]){2});
	sample_entry(&s, "track_head.tracker.fmap_norm.weight", E3_F32, 1, (int64_t[]){128});
	sample_entry(&s, "aggregator.patch_embed.mask_token", E3_F32, 2, (int64_t[]){1, 96});
	e3_ckpt *c = sample_open(&s, &err);
	assert_int_equal(e3_config_read(c, &got, &report, &err), -1);
	static const char *const want[] = {
		"metadata: e3.arch: expected streamvggt or lingbot-map, got 'vggt'\n",
		"metadata: e3.rope_angles: expected bf16 or f32, got 'f64'\n",
		"metadata: e3.camera_heads: expected a whole number from 1 to 1048576, got 'x'\n",
		"configuration: embedding of 96 is not a multiple of e3.vit_heads 5\n",
		"configuration: e3.image_size 65 is not a multiple of the patch size 8\n",
		"configuration: e3.dpt_layers 0,2,2,9: expected ascending, below the 5 layers\n",
		"shape: aggregator.frame_blocks.3.mlp.fc1.weight: expected [288,96], got [288,95]\n",
		"unknown: surprise: F32 [2,3]\n",
		"unknown: aggregator.global_blocks.999999999999.norm1.weight: F32 [2]\n",
	};
	for (size_t k = 0; k < sizeof want / sizeof *want; k++)
		if (!strstr(report.data, want[k]))
			fail_msg("not said: %s in:\n%s", want[k], report.data);
	assert_int_equal(lines(&report), sizeof want / sizeof *want);
	assert_non_null(strstr(err.text, "9 problems: "));
	assert_true(got.has_track);
	assert_int_equal(got.parameters_track, 128);
	e3_buf_release(&report);
	e3_ckpt_close(c);
	sample_release(&s);
}

static void shapes_are_checked_against_each_other(void **state)
{
	static const struct {
		size_t field;
		int value;
		const char *line;
	} table[] = {
		{offsetof(e3_config, head_dim), 26, "configuration: head width 26, expected a multiple of 4"},
		{offsetof(e3_config, head_dim), 28, "configuration: embedding of 96 is not a multiple of the head width 28"},
		{offsetof(e3_config, camera_dim), 96,
			"configuration: camera head of width 96, expected 192, twice the embedding"},
		{offsetof(e3_config, depth.oc[2]), 10,
			"configuration: depth_head.projects.2.weight: 10 channels, expected a multiple of 4"},
		{offsetof(e3_config, point.features), 20, "configuration: point_head. 20 features, expected a multiple of 8"},
		{offsetof(e3_config, depth.out), 3, "configuration: depth_head. 3 outputs, expected 2"},
		{offsetof(e3_config, point.out), 2, "configuration: point_head. 2 outputs, expected 4"},
		{offsetof(e3_config, camera_depth), 0,
			"configuration: 3 ViT blocks, 5 layers, 0 camera blocks: expected at least one of each"},
	};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		e3_config shape = small, got;
		e3_buf report;
		e3_err err;
		memcpy((char *)&shape + table[k].field, &table[k].value, sizeof(int));
		assert_int_equal(read_edited(&shape, small_meta, no_edit, &got, &report, &err), -1);
		if (!strstr(report.data, table[k].line))
			fail_msg("expected '%s', got:\n%s", table[k].line, report.data);
		e3_buf_release(&report);
	}
	e3_config got;
	e3_buf report;
	e3_err err;
	edit e = no_edit;
	e.name = "aggregator.patch_embed.pos_embed", e.axis = 1, e.by = 1;
	assert_int_equal(read_edited(&small, small_meta, e, &got, &report, &err), -1);
	assert_non_null(
		strstr(report.data, "pos_embed has 10 positions beside the class token, expected a square number\n"));
	e3_buf_release(&report);
}

/* Parameter counts of doc/network.md 1.6. */
static int64_t block(int64_t d, int64_t h) { return 12 * d * d + 15 * d + 4 * h; }

static int64_t dpt_count(const e3_dpt_config *d, int64_t e)
{
	int64_t f = d->features, n = 2 * e, sum = 0;
	for (int k = 0; k < 4; k++)
		n += e * d->oc[k] + d->oc[k], sum += d->oc[k];
	n += 16 * d->oc[0] * d->oc[0] + d->oc[0] + 4 * d->oc[1] * d->oc[1] + d->oc[1] + 9 * d->oc[3] * d->oc[3] + d->oc[3];
	n += 9 * f * sum + 14 * (9 * f * f + f) + 4 * (f * f + f);
	return n + (9 * f * f / 2 + f / 2) + (9 * 32 * f / 2 + 32) + (32 * d->out + d->out);
}

static int64_t formula(const e3_config *c)
{
	int64_t C = c->embed, E = 2 * C, R = c->registers, M = c->pos_grid, mask = C;
	int64_t vit = 588 * C + C + C + R * C + (1 + M * M) * C + C + 2 * C + c->vit_depth * block(C, 0);
	int64_t rest = 2 * C + 2 * R * C + 2 * c->layers * block(C, c->head_dim);
	int64_t camera = c->camera_depth * block(E, 0) + 4 * E + 9 + 10 * E + (3 * E * E + 3 * E) + (E * E / 2 + E / 2) +
		(9 * E / 2 + 9);
	return vit - mask + rest + camera + dpt_count(&c->point, E) + dpt_count(&c->depth, E);
}

static void parameters_agree_with_the_formulas(void **state)
{
	e3_config c;
	e3_err err;
	assert_int_equal(e3_config_builtin("full", &c, &err), 0);
	assert_int_equal(c.parameters, 1190596120 - 1024);
	assert_int_equal(c.parameters, formula(&c));
	assert_int_equal(e3_config_builtin("tiny", &c, &err), 0);
	assert_int_equal(c.parameters, formula(&c));
	assert_int_equal(e3_config_builtin("huge", &c, &err), -1);
	assert_string_equal(err.text, "no configuration 'huge': expected tiny, full, lingbot-tiny or lingbot-full");
}

/* 5 GB of zeros that take no room: a header, and a file made long. */
static e3_ckpt *open_sparse(sample *s, char *path, e3_err *err)
{
	uint8_t length[8];
	int fd = mkstemp(path);
	e3_buf_add(&s->header, "}", 1, err);
	e3_put_le64(length, s->header.len);
	bool ok = fd >= 0 && write(fd, length, 8) == 8 &&
		write(fd, s->header.data, s->header.len) == (ssize_t)s->header.len &&
		ftruncate(fd, (off_t)(8 + s->header.len + s->size)) == 0;
	assert_true(ok);
	close(fd);
	return e3_ckpt_open(path, err);
}

/* name TAB [a, b] TAB type; the next name of the list that is used, checked against the order of e3_config_each. */
static int in_order(void *ctx, const char *name, int rank, const int64_t *shape)
{
	FILE *f = ctx;
	char line[512];
	do {
		if (!fgets(line, sizeof line, f))
			fail_msg("%s: the list ends", name);
		*strchr(line, '\t') = 0;
	} while (strcmp(line, "aggregator.patch_embed.mask_token") == 0 || strncmp(line, "track_head.", 11) == 0);
	assert_string_equal(line, name);
	return 0;
}

static void the_released_layout_is_read(void **state)
{
	char line[512], path[] = "/tmp/e3-test-full-XXXXXX";
	FILE *f = fopen("tests/data/model/state_dict_full.txt", "r");
	assert_non_null(f);
	sample s = {0};
	e3_err err = {""};
	int n = 0;
	for (; fgets(line, sizeof line, f); n++) {
		int64_t shape[E3_MAX_RANK];
		int rank = 0;
		char *p = strchr(line, '\t');
		*p++ = 0;
		for (p++; *p != ']'; p += strspn(p, ", "))
			shape[rank++] = strtoll(p, &p, 10);
		sample_entry(&s, line, E3_F32, rank, shape);
	}
	assert_int_equal(n, 1797);
	assert_int_equal(s.size, 5026150064);
	e3_ckpt *c = open_sparse(&s, path, &err);
	unlink(path);
	if (!c)
		fail_msg("%s", err.text);
	e3_config got, want;
	e3_buf report = {0};
	if (e3_config_read(c, &got, &report, &err))
		fail_msg("%s\n%s", err.text, report.data);
	assert_int_equal(e3_config_builtin("full", &want, &err), 0);
	assert_true(got.has_track && got.rope_bf16);
	assert_int_equal(got.parameters_track, 65941396);
	assert_int_equal(got.parameters + 1024 + got.parameters_track, 1256537516);
	got.has_track = false, got.parameters_track = 0;
	memcpy(got.name, want.name, sizeof got.name), memcpy(got.license, want.license, sizeof got.license);
	assert_memory_equal(&got, &want, sizeof want);
	rewind(f);
	assert_int_equal(e3_config_each(&want, in_order, f), 0);
	fclose(f);
	e3_ckpt_close(c);
	sample_release(&s);
}

static void the_demo_model_is_read(void **state)
{
	e3_err err = {""};
	e3_config got;
	e3_ckpt *c = e3_ckpt_open("pipelines/demo/model.safetensors", &err);
	if (!c || e3_config_read(c, &got, NULL, &err))
		fail_msg("%s", err.text);
	static const e3_config want = {
		.name = "e3-demo-rooms",
		.license = "MIT",
		.embed = 192,
		.patch = 14,
		.registers = 4,
		.vit_registers = 4,
		.vit_depth = 6,
		.vit_heads = 3,
		.vit_hidden = 768,
		.pos_grid = 16,
		.layers = 8,
		.heads = 3,
		.head_dim = 64,
		.hidden = 768,
		.qk_norm = true,
		.camera_dim = 384,
		.camera_depth = 2,
		.camera_heads = 6,
		.camera_hidden = 1536,
		.camera_mlp = 192,
		.dpt_layers = {1, 3, 5, 7},
		.depth = {true, 64, {48, 96, 192, 192}, 32, 2, {4, 2}},
		.point = {true, 64, {48, 96, 192, 192}, 32, 4, {4, 2}},
		.image_size = 224,
	};
	assert_int_equal(got.parameters, formula(&got));
	got.parameters = 0;
	assert_memory_equal(&got, &want, sizeof want);
	e3_ckpt_close(c);
}

static int same_pair(void *ctx, const char *key, const char *value)
{
	e3_ckpt *c = ctx;
	const char *was = e3_ckpt_meta(c, key);
	return !was || strcmp(was, value) != 0;
}

static void metadata_describes_the_configuration(void **state)
{
	e3_err err;
	e3_config got;
	e3_ckpt *c = e3_ckpt_open("pipelines/demo/model.safetensors", &err);
	assert_int_equal(e3_config_read(c, &got, NULL, &err), 0);
	assert_int_equal(e3_config_each_meta(&got, same_pair, c), 0);
	got.vit_heads = 4;
	assert_int_equal(e3_config_each_meta(&got, same_pair, c), 1);
	e3_ckpt_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_of_network_is_read),
		cmocka_unit_test(each_missing_tensor_is_named),
		cmocka_unit_test(each_wrong_dimension_and_type_is_found),
		cmocka_unit_test(all_problems_are_reported_at_once),
		cmocka_unit_test(shapes_are_checked_against_each_other),
		cmocka_unit_test(parameters_agree_with_the_formulas),
		cmocka_unit_test(the_released_layout_is_read),
		cmocka_unit_test(the_demo_model_is_read),
		cmocka_unit_test(metadata_describes_the_configuration),
	};
	return cmocka_run_group_tests_name("model: configuration", tests, NULL, NULL);
}
