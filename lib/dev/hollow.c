/* dev: a device that computes nothing and counts the memory that is asked of it. For plans: what a run on the CPU will
 * allocate is known in a moment, without its weights and without its work. */
#include "cpu.h"
#include "e3/mem.h"
#include <stdlib.h>

typedef struct hollow {
	e3_dev dev;
	uint64_t used;
	bool bf16;
} hollow;

/* What stands for memory: nothing is behind it. */
typedef struct block {
	uint64_t bytes;
} block;

static hollow *of(e3_dev *dev) { return (hollow *)dev; }

static const char *name(e3_dev *dev) { return "cpu"; }

static void shut(e3_dev *dev) { free(of(dev)); }

static e3_memory memory(e3_dev *dev) { return (e3_memory){e3_rss_now() + of(dev)->used, UINT64_MAX}; }

static int take(e3_dev *dev, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	block *s = malloc(sizeof *s);
	if (!s)
		return e3_fail(err, "planning: out of memory");
	s->bytes = (uint64_t)n * e3_dtype_size(dtype);
	of(dev)->used += s->bytes;
	*out = (e3_tensor){(void *)s, dtype};
	return 0;
}

static void give(e3_dev *dev, void *p)
{
	if (p)
		of(dev)->used -= ((block *)p)->bytes;
	free(p);
}

/* As the CPU does it. */
static int weight(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	size_t n = e3_area(mat->out, mat->in);
	bool half = of(dev)->bf16 && e3_cpu_in_bf16(mat);
	if (!e3_dtype_is_8(mat->packed)) {
		n = e3_cpu_weight_values(e3_tiles_usable(0), half, mat);
		return take(dev, half ? E3_BF16 : E3_F32, n, &mat->w, err);
	}
	return take(dev, mat->packed, (n + 63) / 64 * 64 + (size_t)mat->out * sizeof(float), &mat->w, err);
}

/* Results are read on the host: they are there, all zero. */
static int take_host(e3_dev *dev, size_t bytes, void **out, e3_err *err)
{
	*out = e3_alloc(bytes, 1, "results", err);
	return *out ? 0 : -1;
}

static void give_host(e3_dev *dev, void *p) { free(p); }

static int upload(e3_dev *dev, e3_tensor to, const void *from, size_t n, e3_err *err) { return 0; }
static int download(e3_dev *dev, void *to, e3_tensor from, size_t n, e3_err *err) { return 0; }
static int copy(e3_dev *dev, e3_tensor to, e3_tensor from, size_t n, e3_err *err) { return 0; }
static int nothing(e3_dev *dev, e3_err *err) { return 0; }
static int no_choice(e3_dev *dev, int which, e3_err *err) { return 0; }
static int note(e3_dev *dev, const e3_activation *x, e3_err *err) { return 0; }
static int patchify(e3_dev *dev, const e3_patchify *x, e3_err *err) { return 0; }
static int linear(e3_dev *dev, const e3_linear *x, e3_err *err) { return 0; }
static int norm(e3_dev *dev, e3_rows x, const e3_norm *n, e3_rows out, e3_err *err) { return 0; }
static int copy_rows(e3_dev *dev, e3_rows x, int dim, e3_rows out, e3_err *err) { return 0; }
static int mean_rows(e3_dev *dev, e3_rows x, int dim, float *out, e3_err *err) { return 0; }
static int qkv(e3_dev *dev, const e3_qkv *x, e3_err *err) { return 0; }
static int attend(e3_dev *dev, const e3_attend *x, e3_err *err) { return 0; }
static int mass(e3_dev *dev, const e3_mass *x, e3_err *err) { return 0; }
static int match(e3_dev *dev, const e3_match *x, e3_err *err) { return 0; }
static int mean_keys(e3_dev *dev, const e3_mean_keys *x, int layers, e3_err *err) { return 0; }
static int shift(e3_dev *dev, e3_rows a, e3_rows b, int dim, float *out, e3_err *err) { return 0; }
static int novelty(e3_dev *dev, const e3_rule *r, const e3_novelty *x, int layers, e3_err *err) { return 0; }
static int move(e3_dev *dev, const e3_kv *x, const uint32_t *from, const uint32_t *to, int n, e3_err *err) { return 0; }
static int modulate(e3_dev *dev, const float *p, const float *mod, int dim, float *out, e3_err *err) { return 0; }
static int conv(e3_dev *dev, const e3_conv *x, e3_err *err) { return 0; }
static int deconv(e3_dev *dev, e3_features x, const e3_mat *m, e3_features out, e3_err *err) { return 0; }
static int upsample(e3_dev *dev, e3_features x, e3_features out, e3_err *err) { return 0; }
static int add_uv(e3_dev *dev, e3_features x, e3_uv uv, e3_err *err) { return 0; }
static int dense(e3_dev *dev, const e3_dense *x, e3_err *err) { return 0; }
static int enter(e3_dev *dev, const e3_entered *x, int layers, e3_err *err) { return 0; }
static int reserve(e3_dev *dev, size_t keys, e3_err *err) { return 0; }
static int score(e3_dev *dev, const e3_rule *r, const e3_scored *x, int layers, e3_err *err) { return 0; }
static int choose(e3_dev *dev, const e3_rule *r, const e3_chosen *x, int layers, e3_err *err) { return 0; }

static const e3_dev_ops ops = {name, shut, memory, take, give, upload, download, weight, take_host, give_host, download,
	copy, nothing, nothing, no_choice, nothing, NULL, no_choice, nothing, note, patchify, linear, norm, copy_rows,
	mean_rows, qkv, attend, mass, match, mean_keys, shift, novelty, move, modulate, conv, deconv, upsample, add_uv,
	dense, enter, reserve, score, choose};

void e3_dev_hollow_bf16(e3_dev *dev) { of(dev)->bf16 = true; }

e3_dev *e3_dev_hollow(e3_err *err)
{
	hollow *h = e3_alloc(1, sizeof *h, "a plan", err);
	if (h)
		h->dev.ops = &ops;
	return h ? &h->dev : NULL;
}
