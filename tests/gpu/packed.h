/* Packed keys and values on CUDA, in each packing: the bytes that qkv and move leave are the CPU's; attention, mass,
 * match, means and novelty of the same bytes are compared with the CPU's. Part of test_gpu_ops.c. */
#ifndef GPU_PACKED_H
#define GPU_PACKED_H

#include "dev/cpu.h"

static const char *const pack_names[E3_PACKS] = {"none", "bf16", "fp8", "int8", "k8v4"};

/* The same pages on both sides. */
typedef struct packed {
	e3_kv host, dev;
	uint8_t *host_list[16], *dev_list[16];
	int pages;
	size_t floats;
} packed;

/* Random rows in every slot, packed by the CPU; in slots without a key there are numbers that a mask must keep out. */
static void packed_make(mixed *m, packed *x, e3_kv_pack pack, const int *heads, int page_keys, int n_keys)
{
	*x = (packed){.host = {.dtype = E3_F32,
					  .page_keys = page_keys,
					  .n_keys = n_keys,
					  .heads = heads[0],
					  .head_dim = heads[1],
					  .scored = true,
					  .pack = pack},
		.pages = (n_keys + page_keys - 1) / page_keys};
	x->floats = e3_page_bytes(&x->host) / sizeof(float);
	assert_true(x->pages <= 16);
	for (int p = 0; p < x->pages; p++)
		x->host_list[p] = calloc(x->floats, sizeof(float));
	x->host.page = x->host_list;
	for (int slot = 0; slot < x->pages * page_keys; slot++)
		for (int row = 0; row < 2 * heads[0]; row++) {
			float *v = values(&m->t, (size_t)heads[1], slot < n_keys ? 1 : 1e30f);
			e3_cpu_put_row(&x->host, row / heads[0], row % heads[0], slot, v);
			free(v);
		}
	for (int p = 0; p < x->pages; p++)
		x->dev_list[p] = (uint8_t *)on_device(&m->t, (float *)(void *)x->host_list[p], x->floats);
	x->dev = x->host;
	x->dev.page = x->dev_list, x->dev.dtype = m->gpu->attn_dtype;
}

static void packed_free(packed *x)
{
	for (int p = 0; p < x->pages; p++)
		free(x->host_list[p]);
}

static void same_bytes(mixed *m, const packed *x, const char *what)
{
	e3_err err = {""};
	uint8_t *got = malloc(x->floats * sizeof(float));
	size_t different = 0, n = e3_kv_bytes(&x->host);
	for (int p = 0; p < x->pages; p++) {
		e3_tensor from = e3_tensor_f32((const float *)(void *)x->dev_list[p]);
		must(&m->t, m->gpu->ops->finish(m->gpu, &err) || m->gpu->ops->download(m->gpu, got, from, x->floats, &err),
			&err);
		for (size_t k = 0; k < n; k++)
			different += got[k] != x->host_list[p][k];
	}
	m->n++;
	printf("# %-52s %zu of %zu bytes differ\n", what, different, n * (size_t)x->pages);
	assert_int_equal(different, 0);
	free(got);
}

/* n values of a tensor as f32. */
static float *fetched(mixed *m, e3_tensor t, size_t n)
{
	e3_err err = {""};
	float *v = malloc(n * sizeof *v);
	uint16_t *half = malloc(n * sizeof *half);
	void *to = t.dtype == E3_F32 ? (void *)v : half;
	must(&m->t, m->gpu->ops->finish(m->gpu, &err) || m->gpu->ops->download(m->gpu, to, t, n, &err), &err);
	for (size_t k = 0; t.dtype != E3_F32 && k < n; k++)
		v[k] = e3_f16_to_f32(half[k]);
	free(half);
	return v;
}

/* qkv into packed pages against the rows that it writes where they are not packed. Returns the queries. */
static e3_tensor packed_qkv(mixed *m, packed *x, int rows)
{
	e3_err err = {""};
	e3_dtype type = m->gpu->attn_dtype;
	int heads = x->host.heads, d = x->host.head_dim, dim = heads * d;
	size_t nq = (size_t)(rows * dim);
	mat_pair mat = weights(m, 3 * dim, dim, E3_ROLE_FEATURES, 3 * dim);
	norm_pair norm = norm_make(&m->t, dim, 1e-5f, true), qn = norm_make(&m->t, d, 1e-5f, true),
			  kn = norm_make(&m->t, d, 1e-5f, true);
	float *rows_in = values(&m->t, nq, 1), *rope = values(&m->t, (size_t)(rows * d), 1);
	uint32_t *slot = malloc((size_t)rows * sizeof *slot), *order = malloc((size_t)rows * sizeof *order);
	for (int r = 0; r < rows; r++)
		slot[r] = (uint32_t)(x->host.n_keys - 1 - r), order[r] = (uint32_t)r;
	uint8_t *one = put_as(m, type, NULL, 2 * nq).p;
	e3_kv plain = {.page = &one, .dtype = type, .page_keys = rows, .n_keys = rows, .heads = heads, .head_dim = d};
	e3_qkv op = {on_device(&m->t, rows_in, nq), rows, &norm.dev, &mat.dev, &qn.dev, &kn.dev,
		on_device(&m->t, rope, (size_t)(rows * d)), put_as(m, type, NULL, nq), &x->dev, slot};
	e3_qkv apart = op;
	apart.kv = &plain, apart.slot = order, apart.q = put_as(m, type, NULL, nq);
	must(&m->t, m->gpu->ops->qkv(m->gpu, &op, &err) || m->gpu->ops->qkv(m->gpu, &apart, &err), &err);
	float *kv = fetched(m, (e3_tensor){one, type}, 2 * nq);
	for (int r = 0; r < rows; r++)
		for (int row = 0; row < 2 * heads; row++)
			e3_cpu_put_row(&x->host, row / heads, row % heads, (int)slot[r],
				kv + ((size_t)row * (size_t)rows + (size_t)r) * (size_t)d);
	free(kv), free(rows_in), free(rope), free(slot), free(order);
	weights_free(m, &mat), norm_free(&norm), norm_free(&qn), norm_free(&kn);
	return op.q;
}

static void packed_attention(mixed *m, packed *x, e3_tensor q, int rows)
{
	e3_err err = {""};
	e3_dtype type = m->gpu->attn_dtype;
	bool f32 = type == E3_F32;
	int heads = x->host.heads, d = x->host.head_dim, n_keys = x->host.n_keys;
	size_t nq = (size_t)(rows * heads * d), nl = (size_t)(rows * heads), nm = (size_t)rows * (size_t)n_keys;
	float *hq = fetched(m, q, nq), *y = malloc(nq * sizeof *y), *lse = malloc(nl * sizeof *lse),
		  *mass = malloc((size_t)n_keys * sizeof *mass), *map = malloc(nm * sizeof *map);
	e3_attend host = {e3_tensor_f32(hq), rows, &x->host, e3_tensor_f32(y), lse, 0, 0},
			  dev = {q, rows, &x->dev, put_as(m, type, NULL, nq), on_device(&m->t, NULL, nl), 0, 0};
	e3_mass host_mass = {host.q, rows, &x->host, lse, mass, map, 0},
			dev_mass = {q, rows, &x->dev, dev.lse, on_device(&m->t, NULL, (size_t)n_keys), NULL, 0},
			with_map = dev_mass;
	with_map.mass = on_device(&m->t, NULL, (size_t)n_keys), with_map.attn_map = on_device(&m->t, NULL, nm);
	must(&m->t,
		m->cpu->ops->attend(m->cpu, &host, &err) || m->gpu->ops->attend(m->gpu, &dev, &err) ||
			m->cpu->ops->mass(m->cpu, &host_mass, &err) || m->gpu->ops->mass(m->gpu, &dev_mass, &err) ||
			m->gpu->ops->mass(m->gpu, &with_map, &err),
		&err);
	const double of_mass = f32 ? 4e-6 : d == 64 ? 5e-3 : 1e-3; /* Hopper's kernel makes it of f16 */
	/* Tensor cores take keys and values rounded to 16 bits. */
	compare_as(m, "  attend", dev.out, y, nq, f32 ? 2e-6 : 8e-3);
	compare_as(m, "  log-sum-exp", e3_tensor_f32(dev.lse), lse, nl, f32 ? 1e-6 : 1e-3);
	compare_as(m, "  mass", e3_tensor_f32(dev_mass.mass), mass, (size_t)n_keys, of_mass);
	compare_as(m, "  attention map", e3_tensor_f32(with_map.attn_map), map, nm, f32 ? 1e-5 : 4e-3);
	free(hq), free(y), free(lse), free(mass), free(map);
}

/* The sums of the slots, which match and novelty write. */
static void packed_scores(mixed *m, const packed *x, const char *what)
{
	e3_err err = {""};
	double num = 0, den = 0;
	must(&m->t, m->gpu->ops->finish(m->gpu, &err), &err);
	for (int k = 0; k < x->host.n_keys; k++) {
		size_t at = e3_kv_bytes(&x->host) + sizeof(double) * (size_t)(k % x->host.page_keys);
		int p = k / x->host.page_keys;
		double ours, theirs;
		memcpy(&ours, x->host_list[p] + at, sizeof ours);
		must(&m->t, m->gpu->ops->download(m->gpu, &theirs, (e3_tensor){x->dev_list[p] + at, E3_F64}, 1, &err), &err);
		num += (ours - theirs) * (ours - theirs), den += ours * ours;
	}
	m->n++;
	printf("# %-52s relative L2 %.1e, bound 1e-05\n", what, sqrt(num / den));
	assert_true(den > 0 && sqrt(num / den) <= 1e-5);
}

static void packed_measures(mixed *m, packed *x, e3_tensor q, int rows)
{
	e3_err err = {""};
	int heads = x->host.heads, d = x->host.head_dim, n = x->host.n_keys;
	size_t dim = (size_t)(heads * d);
	float *hq = fetched(m, q, (size_t)rows * dim), *mean = malloc(dim * sizeof *mean);
	uint32_t *slot = malloc((size_t)n * sizeof *slot);
	for (int k = 0; k < n; k++)
		slot[k] = (uint32_t)k;
	e3_match a = {e3_tensor_f32(hq), rows, 5, 16, &x->host, 0}, b = {q, rows, 5, 16, &x->dev, 0};
	e3_mean_keys c = {&x->host, slot, n, mean}, e = {&x->dev, slot, n, on_device(&m->t, NULL, dim)};
	must(&m->t,
		m->cpu->ops->match(m->cpu, &a, &err) || m->gpu->ops->match(m->gpu, &b, &err) ||
			m->cpu->ops->mean_keys(m->cpu, &c, 1, &err) || m->gpu->ops->mean_keys(m->gpu, &e, 1, &err),
		&err);
	compare_as(m, "  mean_keys", e3_tensor_f32(e.out), mean, dim, 1e-6);
	packed_scores(m, x, "  match");
	e3_entered in[2] = {{&x->host, slot, n, 0, true}, {&x->dev, slot, n, 0, true}};
	e3_rule rule = {.scoring = {.measure = E3_MEASURE_NOVELTY},
		.tokens = 25,
		.special = 5,
		.columns = 5,
		.t = (n - 1) / 25,
		.protected_frames = 1,
		.free_first = true};
	void *means;
	must(&m->t, m->gpu->ops->alloc_host(m->gpu, 2 * sizeof(double), &means, &err), &err);
	e3_novelty u = {&x->host, NULL, (double *)means}, v = {&x->dev, NULL, (double *)means + 1};
	must(&m->t,
		m->cpu->ops->enter(m->cpu, &in[0], 1, &err) || m->gpu->ops->enter(m->gpu, &in[1], 1, &err) ||
			m->cpu->ops->novelty(m->cpu, &rule, &u, 1, &err) || m->gpu->ops->novelty(m->gpu, &rule, &v, 1, &err),
		&err);
	packed_scores(m, x, "  novelty");
	m->gpu->ops->free_host(m->gpu, means), free(hq), free(mean), free(slot);
}

static void packed_as(mixed *m, e3_kv_pack pack, int rows, const int *heads, int page_keys, int n_keys)
{
	e3_err err = {""};
	packed x;
	char what[80];
	packed_make(m, &x, pack, heads, page_keys, n_keys);
	e3_tensor q = packed_qkv(m, &x, rows);
	snprintf(what, sizeof what, "%s: %d rows, %d heads of %d, %d keys: qkv", pack_names[pack], rows, heads[0], heads[1],
		n_keys);
	same_bytes(m, &x, what);
	packed_attention(m, &x, q, rows);
	packed_measures(m, &x, q, rows);
	uint32_t from[3] = {(uint32_t)n_keys - 1, (uint32_t)n_keys - 2, (uint32_t)n_keys / 2}, to[3] = {0, 3, 1};
	must(&m->t,
		m->cpu->ops->move(m->cpu, &x.host, from, to, 3, &err) || m->gpu->ops->move(m->gpu, &x.dev, from, to, 3, &err),
		&err);
	same_bytes(m, &x, "  move");
	end_case(&m->t);
	packed_free(&x);
}

static void every_packing(bool strict)
{
	e3_err err = {""};
	mixed m = {.gpu = open_or_skip(strict), .cpu = e3_dev_cpu(0, &err)};
	assert_non_null(m.cpu);
	m.t = (table){.dev = m.gpu, .seed = 99};
	for (e3_kv_pack pack = strict ? E3_PACK_BF16 : E3_PACK_FP8; pack < E3_PACKS; pack++) {
		packed_as(&m, pack, 1041, (const int[]){2, 64}, 256, 1300);
		packed_as(&m, pack, 200, (const int[]){4, 64}, 64, 777);
		packed_as(&m, pack, 25, (const int[]){2, 64}, 64, 25);
		packed_as(&m, pack, 150, (const int[]){2, 128}, 64, 333);
		packed_as(&m, pack, 37, (const int[]){3, 32}, 64, 130);
		packed_as(&m, pack, 9, (const int[]){3, 12}, 64, 70);
		packed_as(&m, pack, 5, (const int[]){2, 64}, 64, 200);
	}
	e3_dev_close(m.cpu);
	e3_dev_close(m.gpu);
}

static void packed_keys_and_values(void **state) { every_packing(false); }
static void packed_keys_and_values_in_f32(void **state) { every_packing(true); }

#endif
