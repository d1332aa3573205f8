/* Packed keys and values on the CPU: the bytes of a page are what they are said to be; what is read of them is as near
 * as the codes allow, by a decoder of its own; attention, mass and match see just that; moves copy it. */
#include "check.h"
#include "dev/cpu.h"
#include "e3/num.h"
#include <math.h>

enum { HEADS = 3, KEYS = 64 };

static e3_dev *dev;
static uint32_t seed = 1;

static float any(void) { return (float)((double)e3_fmix32(seed++) / 2147483648.0 - 1); }

static double bf16(const uint8_t *p) { return e3_bf16_to_f32((uint16_t)(p[0] | p[1] << 8)); }

/* e4m3 by its definition. */
static double e4m3(int code)
{
	int e = code >> 3 & 15, m = code & 7;
	double v = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
	return code & 0x80 ? -v : v;
}

/* Where part k of a page begins, and bytes of a slot in it, by hand. */
static size_t row_bytes(e3_kv_pack pack, int d, int part)
{
	static const int eighths[E3_PACKS][2] = {{32, 32}, {16, 16}, {8, 8}, {8, 8}, {8, 4}};
	if (part < 2)
		return (size_t)(eighths[pack][part] == 4 ? (d + 7) / 8 * 4 : d * eighths[pack][part] / 8);
	return pack <= E3_PACK_BF16 ? 0 : pack == E3_PACK_K8V4 && part == 3 ? (size_t)(d + 31) / 32 * 4 : 2;
}

static const uint8_t *at(const e3_kv *kv, int part, int head, int slot)
{
	size_t first = 0;
	for (int k = 0; k < part; k++)
		first = (first + row_bytes(kv->pack, kv->head_dim, k) * HEADS * (size_t)kv->page_keys + 15) / 16 * 16;
	size_t row = (size_t)head * (size_t)kv->page_keys + (size_t)(slot % kv->page_keys);
	return kv->page[slot / kv->page_keys] + first + row * row_bytes(kv->pack, kv->head_dim, part);
}

/* Value c of a row, and the most that it can be off: half a step. */
static double decoded(const e3_kv *kv, int half, int head, int slot, int c, double *off)
{
	const uint8_t *code = at(kv, half, head, slot), *scale = at(kv, 2 + half, head, slot);
	double s = kv->pack > E3_PACK_BF16 ? bf16(scale) : 1;
	if (kv->pack == E3_PACK_BF16) {
		double v = bf16(code + 2 * c);
		*off = fabs(v) * 0x1p-8;
		return v;
	}
	if (kv->pack == E3_PACK_K8V4 && half) {
		static const int place[8] = {0, 16, 4, 20, 8, 24, 12, 28};
		uint32_t word = e3_le32(code + c / 8 * 4);
		scale += c / 32 * 4;
		*off = 0.5 * bf16(scale) + fabs(bf16(scale + 2)) * 0x1p-8;
		return bf16(scale + 2) + bf16(scale) * (word >> place[c % 8] & 15);
	}
	if (kv->pack == E3_PACK_FP8) {
		double v = e4m3(code[c]);
		*off = s * fmax(fabs(v) / 16, 0x1p-10);
		return s * v;
	}
	*off = 0.5 * s;
	return s * (int8_t)code[c];
}

typedef struct pages {
	e3_kv kv;
	uint8_t *page[8];
	float *row; /* [slot][2 HEADS][d] what was packed */
} pages;

/* Rows of all sizes, among them zeros and rows with one large value. */
static void pages_open(pages *p, e3_kv_pack pack, int d, int n)
{
	*p = (pages){.kv = {.dtype = E3_F32,
					 .page_keys = KEYS,
					 .n_keys = n,
					 .heads = HEADS,
					 .head_dim = d,
					 .scored = true,
					 .pack = pack}};
	p->kv.page = p->page;
	p->row = malloc((size_t)(n * 2 * HEADS * d) * sizeof *p->row);
	for (int k = 0; k * KEYS < n; k++)
		p->page[k] = calloc(1, e3_page_bytes(&p->kv));
	for (int slot = 0; slot < n; slot++)
		for (int r = 0; r < 2 * HEADS; r++) {
			float *v = p->row + ((size_t)slot * 2 * HEADS + (size_t)r) * (size_t)d, scale = ldexpf(1, slot % 7 - 3);
			for (int c = 0; c < d; c++)
				v[c] = slot % 11 == 10 ? 0 : scale * any() + (slot % 5 == 4 ? 0.5f : 0);
			if (slot % 13 == 12)
				v[slot % d] = -40;
			e3_cpu_put_row(&p->kv, r / HEADS, r % HEADS, slot, v);
		}
}

static void pages_close(pages *p)
{
	for (int k = 0; p->page[k]; k++)
		free(p->page[k]);
	free(p->row);
}

/* The error of all rows, relative L2: keys, then values. */
static void check_rows(const pages *p, const double most[2])
{
	int d = p->kv.head_dim;
	float *room = malloc((size_t)(KEYS * d) * sizeof *room);
	double num[2] = {0, 0}, den[2] = {0, 0};
	for (int slot = 0; slot < p->kv.n_keys; slot++)
		for (int r = 0; r < 2 * HEADS; r++) {
			const float *v = p->row + ((size_t)slot * 2 * HEADS + (size_t)r) * (size_t)d,
						*got = e3_cpu_rows(&p->kv, r / HEADS, r % HEADS, slot, 1, room);
			for (int c = 0; c < d; c++) {
				double off, want = decoded(&p->kv, r / HEADS, r % HEADS, slot, c, &off);
				assert_true(fabs(got[c] - want) <= 1e-6 * fabs(want) + 1e-30);
				if (!(fabs(want - v[c]) <= off * (1 + 1e-4) + 1e-30))
					fail_msg("slot %d, row %d, channel %d: %g of %g, off by more than %g", slot, r, c, want, v[c], off);
				num[r / HEADS] += (want - v[c]) * (want - v[c]), den[r / HEADS] += v[c] * (double)v[c];
			}
		}
	for (int half = 0; half < 2; half++) {
		double rel = sqrt(num[half] / den[half]);
		printf("# packing %d, heads of %d: %s off by %.1e, at most %.0e\n", (int)p->kv.pack, d,
			half ? "values" : "keys", rel, most[half]);
		assert_true(rel <= most[half]);
	}
	free(room);
}

/* By packing: the error of keys and of values. */
static const double most[E3_PACKS][2] = {{0, 0}, {2e-3, 2e-3}, {3e-2, 3e-2}, {2e-2, 2e-2}, {2e-2, 1e-1}};

static void rows_are_what_their_codes_say(void **state)
{
	static const int dims[] = {64, 32, 128, 12, 20};
	for (e3_kv_pack pack = E3_PACK_BF16; pack < E3_PACKS; pack++)
		for (int k = 0; k < 5; k++) {
			pages p;
			pages_open(&p, pack, dims[k], 150);
			check_rows(&p, most[pack]);
			pages_close(&p);
		}
}

static void a_page_has_the_bytes_that_it_is_said_to_have(void **state)
{
	/* 16 heads of 64: keys, values, scales, with 16 bytes for eviction; 256 tokens. */
	static const size_t token[E3_PACKS] = {8192, 4096, 2112, 2112, 1024 + 32 + 512 + 128};
	for (e3_kv_pack pack = E3_PACK_NONE; pack < E3_PACKS; pack++) {
		e3_kv kv = {.page_keys = 256, .heads = 16, .head_dim = 64, .scored = true, .pack = pack};
		assert_int_equal(e3_kv_token(&kv), token[pack]);
		assert_int_equal(e3_kv_bytes(&kv), 256 * token[pack]);
		assert_int_equal(e3_page_bytes(&kv), 256 * (token[pack] + 16));
	}
}

/* What is not a number, and what has no scale. */
static void odd_values_stay_in_range(void **state)
{
	for (e3_kv_pack pack = E3_PACK_FP8; pack < E3_PACKS; pack++) {
		pages p;
		float v[32] = {NAN, 1, -1e-38f, 3e38f}, room[32];
		pages_open(&p, pack, 32, 3);
		e3_cpu_put_row(&p.kv, 0, 0, 0, v);
		const float *got = e3_cpu_rows(&p.kv, 0, 0, 0, 1, room);
		assert_true(got[0] == 0 && fabsf(got[3] / 3e38f - 1) < 0.01f);
		memset(v, 0, sizeof v), v[5] = 1e-38f;
		for (int half = 0; half < 2; half++) {
			e3_cpu_put_row(&p.kv, half, 0, 1, v);
			got = e3_cpu_rows(&p.kv, half, 0, 1, 1, room);
			for (int c = 0; c < 32; c++)
				assert_true(fabsf(got[c]) <= 1e-38f);
		}
		pages_close(&p);
	}
}

/* The same pages, not packed, with what the codes say. */
static void spread(const pages *p, pages *flat)
{
	*flat = (pages){.kv = p->kv};
	flat->kv.pack = E3_PACK_NONE, flat->kv.page = flat->page;
	int d = p->kv.head_dim;
	for (int k = 0; p->page[k]; k++)
		flat->page[k] = calloc(1, e3_page_bytes(&flat->kv));
	for (int slot = 0; slot < p->kv.n_keys; slot++)
		for (int r = 0; r < 2 * HEADS; r++) {
			double off;
			float v[128];
			for (int c = 0; c < d; c++)
				v[c] = (float)decoded(&p->kv, r / HEADS, r % HEADS, slot, c, &off);
			e3_cpu_put_row(&flat->kv, r / HEADS, r % HEADS, slot, v);
		}
}

static double distance(const float *a, const float *b, size_t n)
{
	double num = 0, den = 0;
	for (size_t k = 0; k < n; k++)
		num += (a[k] - b[k]) * (double)(a[k] - b[k]), den += b[k] * (double)b[k];
	return sqrt(num / den);
}

/* Everything that reads pages gives the same with packed ones and with what they stand for. */
static void readers_see_what_the_codes_say(void **state)
{
	enum { D = 64, N = 200, ROWS = 30 };
	for (e3_kv_pack pack = E3_PACK_BF16; pack < E3_PACKS; pack++) {
		pages p[2];
		e3_err err = {""};
		static float q[HEADS * ROWS * D], out[2][ROWS * HEADS * D], lse[2][HEADS * ROWS], mass[2][N],
			mean[2][HEADS * D], map[2][ROWS * N];
		uint32_t slot[ROWS];
		pages_open(&p[0], pack, D, N);
		spread(&p[0], &p[1]);
		for (size_t k = 0; k < sizeof q / sizeof *q; k++)
			q[k] = any();
		for (int k = 0; k < ROWS; k++)
			slot[k] = (uint32_t)(5 * k);
		for (int k = 0; k < 2; k++) {
			e3_attend attend = {.q = e3_tensor_f32(q),
				.rows = ROWS,
				.kv = &p[k].kv,
				.out = e3_tensor_f32(out[k]),
				.lse = lse[k]};
			e3_mass of =
				{.q = attend.q, .rows = ROWS, .kv = &p[k].kv, .lse = lse[k], .mass = mass[k], .attn_map = map[k]};
			e3_mean_keys means = {&p[k].kv, slot, ROWS, mean[k]};
			e3_match match = {.q = attend.q, .rows = ROWS, .special = 5, .pool = 4, .kv = &p[k].kv};
			if (dev->ops->attend(dev, &attend, &err) || dev->ops->mass(dev, &of, &err) ||
				dev->ops->mean_keys(dev, &means, 1, &err) || dev->ops->match(dev, &match, &err))
				fail_msg("%s", err.text);
		}
		assert_true(distance(out[0], out[1], ROWS * HEADS * D) < 1e-6);
		assert_true(distance(mass[0], mass[1], N) < 1e-6 && distance(map[0], map[1], ROWS * N) < 1e-6);
		assert_true(distance(lse[0], lse[1], HEADS * ROWS) < 1e-6 && distance(mean[0], mean[1], HEADS * D) < 1e-6);
		for (int k = 0; k < N; k++) {
			double score[2];
			for (int j = 0; j < 2; j++)
				memcpy(&score[j], p[j].page[k / KEYS] + e3_kv_bytes(&p[j].kv) + 8 * (size_t)(k % KEYS), 8);
			assert_true(fabs(score[0] - score[1]) <= 1e-5 * (1 + fabs(score[1])));
		}
		pages_close(&p[0]), pages_close(&p[1]);
	}
}

static void moved_rows_are_the_same(void **state)
{
	for (e3_kv_pack pack = E3_PACK_BF16; pack < E3_PACKS; pack++) {
		pages p;
		e3_err err = {""};
		float room[2][20], before[20];
		const uint32_t from[2] = {149, 70}, to[2] = {3, 64};
		pages_open(&p, pack, 20, 150);
		memcpy(before, e3_cpu_rows(&p.kv, 1, 2, 4, 1, room[0]), sizeof before);
		assert_int_equal(dev->ops->move(dev, &p.kv, from, to, 2, &err), 0);
		for (int k = 0; k < 2; k++)
			for (int r = 0; r < 2 * HEADS; r++)
				assert_memory_equal(e3_cpu_rows(&p.kv, r / HEADS, r % HEADS, (int)from[k], 1, room[0]),
					e3_cpu_rows(&p.kv, r / HEADS, r % HEADS, (int)to[k], 1, room[1]), sizeof room[0]);
		assert_memory_equal(e3_cpu_rows(&p.kv, 1, 2, 4, 1, room[0]), before, sizeof before); /* a neighbour */
		pages_close(&p);
	}
}

int main(void)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_what_their_codes_say),
		cmocka_unit_test(a_page_has_the_bytes_that_it_is_said_to_have),
		cmocka_unit_test(odd_values_stay_in_range),
		cmocka_unit_test(readers_see_what_the_codes_say),
		cmocka_unit_test(moved_rows_are_the_same),
	};
	int rc = dev ? cmocka_run_group_tests_name("dev: packed keys and values", tests, NULL, NULL) : 1;
	e3_dev_close(dev);
	return rc;
}
