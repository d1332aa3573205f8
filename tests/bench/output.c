/* make bench: how fast e3-infer's output leaves: predictions and eviction records of the released network's size, from
 * two buffers in turn, as fast as the reader takes them: output ENDPOINT FRAMES [half]. Prints frames/s to standard
 * error, from the first to what the end of the stream waits for. What a GPU computes meanwhile is not here: it is
 * another thread's time in e3-infer (cmd/e3-infer/writer.c). */
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/stream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { W = 518, H = 392, LAYERS = 24, TOKENS = 1041 };

/* One result: all dense outputs. */
static int fill(e3_pred *p, int seed, e3_err *err)
{
	size_t n = (size_t)W * H;
	float **map[] = {&p->depth, &p->depth_conf, &p->points, &p->points_conf};
	*p = (e3_pred){.s = {.src_w = W, .src_h = H, .fit = {1, 1, 0, 0}},
		.w = W,
		.h = H,
		.has_pose = true,
		.pose = {[6] = 1, 1, 1}};
	p->rgb = e3_alloc(3 * n, 1, "a picture", err);
	for (size_t k = 0; p->rgb && k < 3 * n; k++)
		p->rgb[k] = (uint8_t)(k * 31 + (size_t)seed);
	for (int m = 0; m < 4; m++) {
		size_t many = m == 2 ? 3 * n : n;
		*map[m] = e3_alloc(many, sizeof(float), "a map", err);
		if (!p->rgb || !*map[m])
			return -1;
		for (size_t k = 0; k < many; k++)
			(*map[m])[k] = 1.5f + (float)((k + (size_t)seed) % 1000) / 1000;
	}
	return 0;
}

static int fill_record(e3_evict *e, e3_err *err)
{
	e->layer = e3_alloc(LAYERS, sizeof *e->layer, "layers", err);
	e->n_layers = e->layer ? LAYERS : 0;
	for (int k = 0; k < e->n_layers; k++) {
		e3_evict_layer *l = &e->layer[k];
		*l = (e3_evict_layer){.layer = k,
			.k_before = 12 * TOKENS,
			.k_after = 11 * TOKENS,
			.budget = 11 * TOKENS,
			.alpha = 1.0 / LAYERS};
		l->removed = e3_alloc(TOKENS, sizeof *l->removed, "tokens", err);
		if (!l->removed)
			return -1;
		l->n_removed = TOKENS;
		for (uint32_t t = 0; t < TOKENS; t++)
			l->removed[t] = t;
	}
	return e->layer ? 0 : -1;
}

static int write_all(e3_out *out, int frames, bool half, e3_err *err)
{
	e3_pred p[2];
	e3_evict gone = {0};
	e3_head head = {.tool = "output",
		.version = "0",
		.source = "-",
		.frames = frames,
		.model = "bench",
		.layers = LAYERS,
		.tokens_per_frame = TOKENS,
		.patch_grid = {28, 37},
		.policy = "evict3r",
		.budget = -1,
		.device = "cpu"};
	if (fill(&p[0], 0, err) || fill(&p[1], 7, err) || fill_record(&gone, err))
		return -1;
	double start = e3_now();
	int rc = e3_out_head(out, &head, err);
	for (int i = 0; !rc && i < frames; i++) {
		p[i & 1].s.i = gone.i = i, p[i & 1].s.pts = i, p[i & 1].half = half;
		rc = e3_out_pred(out, &p[i & 1], err) || e3_out_evict(out, &gone, err);
	}
	rc = rc || e3_out_end(out, &(e3_end){.frames = frames}, err) || e3_out_close(out, err);
	if (!rc)
		fprintf(stderr, "%.1f\n", frames / (e3_now() - start));
	return rc ? -1 : 0;
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	if (argc < 3) {
		fprintf(stderr, "output ENDPOINT FRAMES [half]\n");
		return 2;
	}
	e3_out *out = e3_out_open(argv[1], NULL, &err);
	if (out && write_all(out, atoi(argv[2]), argc > 3 && !strcmp(argv[3], "half"), &err) == 0)
		return 0;
	fprintf(stderr, "output: %s\n", err.text);
	return 1;
}
