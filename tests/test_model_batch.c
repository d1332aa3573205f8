/* Several streams on one device: each is what it is alone, whoever else is there; one that ends, waits or fails costs
 * the others nothing. */
#include "check.h"
#include "e3/thread.h"
#include "model/together.h"
#include "model_custom.h"

enum { MOST = 11, FRAMES = 6 };

static e3_dev *dev;
static e3_ckpt *file[2];
static e3_net *net[2]; /* a network of the custom ones, LingBot's */
static sample bytes;

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	file[0] = custom_open(&custom_wide.c, custom_wide.seed, &bytes, &err);
	file[1] = e3_ckpt_open("seed:lingbot-tiny:7", &err);
	for (int k = 0; k < 2; k++)
		net[k] = dev && file[k] ? e3_net_open(file[k], dev, &err) : NULL;
	if (!net[0] || !net[1])
		print_error("%s\n", err.text);
	return net[0] && net[1] ? 0 : -1;
}

static int tear_down(void **state)
{
	for (int k = 0; k < 2; k++)
		e3_net_close(net[k]), e3_ckpt_close(file[k]);
	e3_dev_close(dev);
	sample_release(&bytes);
	return 0;
}

/* One stream, and what it has seen. */
typedef struct one {
	const e3_net *net;
	e3_infer_options o;
	int number, frames, size[2];
	bool fails; /* its session cannot take more than `frames`, and is asked for more */
	e3_thread thread;
	float *maps[FRAMES + 1]; /* depth, confidence, points */
	float pose[FRAMES + 1][9];
	uint32_t kept[FRAMES + 1][16];
	uint64_t removed[FRAMES + 1];
	int done;
	char error[1024];
} one;

static void note_result(one *u, int i, const e3_result *r, const e3_evict *evict)
{
	size_t area = (size_t)(r->w * r->h);
	free(u->maps[i]);
	u->maps[i] = malloc(5 * area * sizeof(float));
	memcpy(u->maps[i], r->depth, area * sizeof(float));
	memcpy(u->maps[i] + area, r->depth_conf, area * sizeof(float));
	if (r->points)
		memcpy(u->maps[i] + 2 * area, r->points, 3 * area * sizeof(float));
	else
		memset(u->maps[i] + 2 * area, 0, 3 * area * sizeof(float));
	memcpy(u->pose[i], r->pose, sizeof r->pose);
	u->removed[i] = 14695981039346656037u;
	for (int l = 0; l < evict->n_layers && l < 16; l++) {
		u->kept[i][l] = evict->layer[l].k_after;
		for (size_t k = 0; k < evict->layer[l].n_removed; k++)
			u->removed[i] = (u->removed[i] ^ evict->layer[l].removed[k]) * 1099511628211u;
	}
}

static void *stream(void *arg)
{
	one *u = arg;
	e3_err err = {""};
	e3_result r;
	e3_evict evict = {0};
	e3_batch *b = u->o.batch;
	e3_batch_wake(b);
	e3_batch_lock(b);
	e3_session *s = e3_session_open(u->net, dev, &u->o, u->size, &err);
	e3_batch_unlock(b);
	u->done = 0;
	for (int i = 0; s && i < u->frames + u->fails; i++) {
		uint8_t *rgb = custom_picture(100 * u->number + i, u->size[0], u->size[1]);
		int rc = e3_session_step(s, rgb, &r, &evict, &err);
		free(rgb);
		if (rc)
			break;
		note_result(u, i, &r, &evict);
		u->done++;
	}
	snprintf(u->error, sizeof u->error, "%s", err.text);
	e3_evict_release(&evict);
	e3_batch_lock(b);
	e3_session_close(s);
	e3_batch_unlock(b);
	e3_batch_rest(b);
	return NULL;
}

static void alone(one *u)
{
	u->o.batch = NULL;
	stream(u);
}

static double together(one *u, int n, bool force)
{
	e3_err err = {""};
	e3_batch *b = e3_batch_open(n, &err);
	assert_non_null(b);
	if (force)
		e3_batch_force(b);
	for (int k = 0; k < n; k++) {
		u[k].o.batch = b;
		assert_int_equal(e3_thread_start(&u[k].thread, stream, &u[k], &err), 0);
	}
	for (int k = 0; k < n; k++)
		e3_thread_join(&u[k].thread);
	double mean = e3_batch_mean(b);
	e3_batch_close(b);
	return mean;
}

static one make(int number, int frames, const char *policy)
{
	one u = {.net = net[0], .o = e3_infer_defaults(), .number = number, .frames = frames, .size = {42, 84}};
	u.o.budget_kind = E3_BUDGET_FRAMES, u.o.budget = 3, u.o.start = 1;
	if (strcmp(policy, "lingbot") == 0)
		u.net = net[1], u.o.window = 2, u.size[0] = 56, u.size[1] = 84, u.o.outputs = E3_OUT_POSE | E3_OUT_DEPTH;
	e3_infer_use_policy(&u.o, e3_policy_find(policy));
	return u;
}

static void release(one *u)
{
	for (int k = 0; k <= FRAMES; k++)
		free(u->maps[k]);
}

/* Relative L2 of all maps, or 0 for the same bits. */
static double apart(const one *a, const one *b)
{
	double num = 0, den = 0;
	size_t n = 5 * (size_t)(a->size[0] * a->size[1]);
	assert_int_equal(a->done, b->done);
	for (int i = 0; i < a->done; i++) {
		for (size_t k = 0; k < n; k++) {
			double x = a->maps[i][k], y = b->maps[i][k];
			num += (x - y) * (x - y), den += y * y;
		}
		for (int k = 0; k < 9; k++)
			num += pow((double)a->pose[i][k] - (double)b->pose[i][k], 2);
		assert_memory_equal(a->kept[i], b->kept[i], sizeof a->kept[i]);
	}
	return sqrt(num / den);
}

/* As rows of one matrix: within rounding, with every policy, and the same tokens are evicted. */
static void streams_are_what_they_are_alone(void **state)
{
	double worst = 0;
	for (const e3_policy *p = e3_policies; p->name; p++) {
		one u[3], v[3];
		for (int k = 0; k < 3; k++) {
			u[k] = v[k] = make(k, FRAMES, p->name);
			alone(&u[k]);
			assert_string_equal(u[k].error, "");
		}
		double mean = together(v, 3, true);
		for (int k = 0; k < 3; k++) {
			assert_string_equal(v[k].error, "");
			double d = apart(&v[k], &u[k]);
			worst = d > worst ? d : worst;
			assert_memory_equal(v[k].removed, u[k].removed, sizeof u[k].removed);
			release(&u[k]), release(&v[k]);
		}
		assert_true(mean > 1.5);
	}
	print_message("# relative L2 of maps of streams that went together: %.1e, bound 2e-6\n", worst);
	assert_true(worst < 2e-6);
}

/* On the CPU they are not put together, and so have the same bits. */
static void on_the_cpu_they_have_the_same_bits(void **state)
{
	one u[2], v[2];
	for (int k = 0; k < 2; k++) {
		u[k] = v[k] = make(k, FRAMES, "evict3r");
		alone(&u[k]);
	}
	together(v, 2, false);
	for (int k = 0; k < 2; k++) {
		assert_true(apart(&v[k], &u[k]) == 0);
		release(&u[k]), release(&v[k]);
	}
}

/* Pictures of three sizes, streams of different lengths, more of them than go together; one fails in the middle. */
static void streams_come_and_go(void **state)
{
	one u[MOST], v[MOST];
	for (int k = 0; k < MOST; k++) {
		u[k] = make(k, 1 + k % FRAMES, "evict3r");
		if (k % 3 == 1)
			u[k].size[0] = 56;
		if (k % 3 == 2)
			u[k].size[1] = 56;
		if (k == 4) { /* it may have no more frames than it says: a policy that slides keeps something of each */
			u[k].o.frames = 3, u[k].frames = 3, u[k].fails = true;
			e3_infer_use_policy(&u[k].o, e3_policy_find("lingbot"));
		}
		v[k] = u[k];
		alone(&u[k]);
	}
	double mean = together(v, MOST, true);
	for (int k = 0; k < MOST; k++) {
		assert_string_equal(v[k].error, u[k].error);
		assert_int_equal(v[k].done, u[k].frames);
		assert_true(apart(&v[k], &u[k]) < 2e-6);
		release(&u[k]), release(&v[k]);
	}
	assert_non_null(strstr(v[4].error, "'frames'"));
	print_message("# %d streams: %.1f frames in a batch\n", MOST, mean);
	assert_true(mean > 1);
}

/* A stream that has no frame rests, and the other goes on to its end. */
static void nobody_waits_for_a_stream_that_rests(void **state)
{
	e3_err err = {""};
	e3_batch *b = e3_batch_open(2, &err);
	one u = make(0, FRAMES, "evict3r");
	u.o.batch = b;
	e3_batch_wake(b); /* of the other one */
	assert_int_equal(e3_thread_start(&u.thread, stream, &u, &err), 0);
	e3_batch_rest(b);
	e3_thread_join(&u.thread);
	assert_int_equal(u.done, FRAMES);
	release(&u);
	e3_batch_close(b);
}

/* Memory of all streams: their caches, and one place to work in. */
static void a_batch_takes_less_than_its_streams_alone(void **state)
{
	e3_err err = {""};
	e3_dev *hollow = e3_dev_hollow(&err);
	e3_ckpt *ckpt = e3_ckpt_open("seed:tiny:1", &err);
	e3_net *n = e3_net_open(ckpt, hollow, &err);
	e3_infer_options o = make(0, 0, "evict3r").o;
	const int size[2] = {56, 84};
	uint64_t weights = hollow->ops->memory(hollow).used;
	e3_session_memory one_stream, four;
	assert_int_equal(e3_session_measure(n, hollow, &o, size, &one_stream, &err), 0);
	o.batch = e3_batch_open(4, &err);
	assert_int_equal(e3_session_measure(n, hollow, &o, size, &four, &err), 0);
	e3_batch_close(o.batch);
	assert_int_equal(hollow->ops->memory(hollow).used, weights);
	assert_true(four.in_use - weights > 4 * four.plan.cache_bytes);
	assert_true(four.in_use - weights < 4 * (one_stream.in_use - weights));
	e3_net_close(n), e3_ckpt_close(ckpt), e3_dev_close(hollow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_what_they_are_alone),
		cmocka_unit_test(on_the_cpu_they_have_the_same_bits),
		cmocka_unit_test(streams_come_and_go),
		cmocka_unit_test(nobody_waits_for_a_stream_that_rests),
		cmocka_unit_test(a_batch_takes_less_than_its_streams_alone),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
