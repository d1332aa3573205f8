/* kernels: the CUDA backend's table: opening the device, memory, order of work. Refuses devices older than compute
 * capability 8.0 and says what is missing when there is none. */
#include "cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 4 << 20, OLDEST = 80 }; /* after the weights only small arrays are uploaded */
/* Blocks of the network in a part of a piece, so that the device need not wait until all are gathered: fewer in the
 * first. */
enum { BLOCKS = 8, FIRST_BLOCKS = 2 };

int e3_cuda_fail(e3_err *err, const char *what, cudaError_t code)
{
	size_t left = 0, total = 0;
	if (code == cudaErrorMemoryAllocation && cudaMemGetInfo(&left, &total) == cudaSuccess)
		return e3_fail(err, "%s: out of device memory: %.0f of %.0f MiB are left", what, (double)left / 1048576,
			(double)total / 1048576);
	return e3_fail(err, "%s: %s", what, cudaGetErrorString(code));
}

static const char *cuda_name(e3_dev *dev) { return e3_cuda_of(dev)->label; }

static void free_retired(e3_cuda *c)
{
	while (c->n_retired)
		cudaFree(c->retired[--c->n_retired]);
}

/* After a failure between gather and launch. */
static void drop_gathered(e3_cuda *c)
{
	cudaGraph_t graph = NULL;
	if (!c->gathering)
		return;
	c->gathering = 0;
	if (cudaStreamEndCapture(c->stream[c->origin], &graph) == cudaSuccess)
		cudaGraphDestroy(graph);
	cudaGetLastError();
}

static void cuda_close(e3_dev *dev)
{
	e3_cuda *c = e3_cuda_of(dev);
	drop_gathered(c);
	cudaDeviceSynchronize();
	free_retired(c);
	for (auto &parts : c->piece)
		for (cudaGraphExec_t part : parts)
			if (part)
				cudaGraphExecDestroy(part);
	e3_cuda_gemm_close(c);
	e3_cuda_upload_close(c);
	e3_cuda_scales_close(c);
	e3_cuda_shared_close(c);
	for (int b = 0; b < E3_BRANCHES; b++) {
		for (int k = 0; k < SCRATCH_KINDS; k++)
			cudaFree(c->scratch[b][k].p);
		if (c->stream[b])
			cudaStreamDestroy(c->stream[b]);
	}
	cudaFreeHost(c->ring.host);
	cudaFree(c->ring.device);
	if (c->marked)
		cudaEventDestroy(c->marked);
	if (c->staged)
		cudaEventDestroy(c->staged);
	if (c->early)
		cudaEventDestroy(c->early);
	if (c->staging)
		cudaStreamDestroy(c->staging);
	for (cudaEvent_t event : c->gathered)
		if (event)
			cudaEventDestroy(event);
	free(c);
}

static e3_memory cuda_memory(e3_dev *dev)
{
	size_t left = 0, total = 0;
	cudaMemGetInfo(&left, &total);
	return {total - left, total};
}

static int cuda_alloc(e3_dev *dev, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	size_t size = e3_dtype_size(dtype), bytes = (n ? n : 1) * size;
	*out = {NULL, dtype};
	if (n > SIZE_MAX / size)
		return e3_fail(err, "device memory: more was asked for than there are addresses");
	cudaError_t code = cudaMalloc((void **)&out->p, bytes);
	if (code != cudaSuccess) {
		out->p = NULL;
		cudaGetLastError(); /* so that the next call does not report it again */
		char what[80];
		snprintf(what, sizeof what, "device memory: %.1f MiB", (double)bytes / 1048576);
		return e3_cuda_fail(err, what, code);
	}
	E3_TRY(cudaMemsetAsync(out->p, 0, bytes, e3_cuda_stream(e3_cuda_of(dev))), "device memory");
	return 0;
}

static void cuda_free(e3_dev *dev, void *p)
{
	if (!e3_cuda_shared_free(e3_cuda_of(dev), p))
		cudaFree(p);
}

static int cuda_upload(e3_dev *dev, e3_tensor to, const void *from, size_t n, e3_err *err)
{
	cudaStream_t stream = e3_cuda_stream(e3_cuda_of(dev));
	E3_TRY(cudaMemcpyAsync(to.p, from, n * e3_dtype_size(to.dtype), cudaMemcpyHostToDevice, stream), "upload");
	E3_TRY(cudaStreamSynchronize(stream), "upload");
	return 0;
}

static int cuda_download(e3_dev *dev, void *to, e3_tensor from, size_t n, e3_err *err)
{
	cudaStream_t stream = e3_cuda_stream(e3_cuda_of(dev));
	E3_TRY(cudaMemcpyAsync(to, from.p, n * e3_dtype_size(from.dtype), cudaMemcpyDeviceToHost, stream), "download");
	E3_TRY(cudaStreamSynchronize(stream), "download");
	return 0;
}

static int cuda_alloc_host(e3_dev *dev, size_t bytes, void **out, e3_err *err)
{
	*out = NULL;
	e3_cuda_upload_close(e3_cuda_of(dev)); /* mostly the weights are loaded now; else it opens again */
	E3_TRY(cudaMallocHost(out, bytes ? bytes : 1), "results");
	memset(*out, 0, bytes);
	return 0;
}

static void cuda_free_host(e3_dev *dev, void *p) { cudaFreeHost(p); }

static int cuda_fetch(e3_dev *dev, void *to, e3_tensor from, size_t n, e3_err *err)
{
	cudaStream_t stream = e3_cuda_stream(e3_cuda_of(dev));
	E3_TRY(cudaMemcpyAsync(to, from.p, n * e3_dtype_size(from.dtype), cudaMemcpyDeviceToHost, stream), "fetch");
	return 0;
}

static int cuda_copy(e3_dev *dev, e3_tensor to, e3_tensor from, size_t n, e3_err *err)
{
	cudaStream_t stream = e3_cuda_stream(e3_cuda_of(dev));
	if (e3_check_copy(to, from, err))
		return -1;
	E3_TRY(cudaMemcpyAsync(to.p, from.p, n * e3_dtype_size(to.dtype), cudaMemcpyDeviceToDevice, stream), "copy");
	return 0;
}

static int cuda_mark(e3_dev *dev, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	E3_TRY(cudaEventRecord(c->marked, e3_cuda_stream(c)), "mark");
	c->is_marked = true;
	return 0;
}

static int cuda_wait(e3_dev *dev, e3_err *err)
{
	E3_TRY(cudaEventSynchronize(e3_cuda_of(dev)->marked), "waiting for the device");
	return 0;
}

static int cuda_branch(e3_dev *dev, int which, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	if (c->gathering && which != c->origin && !c->joined[which]) {
		E3_TRY(cudaStreamWaitEvent(c->stream[which], c->gathered[c->origin], 0), "branch");
		c->joined[which] = true;
	} else if (!c->gathering && which && c->is_marked && !c->begun[which])
		E3_TRY(cudaStreamWaitEvent(c->stream[which], c->marked, 0), "branch");
	c->begun[which] = true;
	c->branch = which;
	return 0;
}

/* What was given to branch 0 from now on starts after all of this branch. */
static int main_after(e3_cuda *c, int branch, e3_err *err)
{
	E3_TRY(cudaEventRecord(c->early, c->stream[branch]), "ahead");
	E3_TRY(cudaStreamWaitEvent(c->stream[E3_BRANCH_MAIN], c->early, 0), "ahead");
	return 0;
}

static int cuda_finish(e3_dev *dev, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	drop_gathered(c);
	c->branch = 0;
	c->is_marked = false;
	for (int b = 0; b < E3_BRANCHES; b++) {
		c->begun[b] = false;
		if (!c->goes_on[b])
			E3_TRY(cudaStreamSynchronize(c->stream[b]), "waiting for the device");
	}
	if (c->goes_on[E3_BRANCH_NEXT] && !c->goes_on[E3_BRANCH_MAIN] && main_after(c, E3_BRANCH_NEXT, err))
		return -1;
	free_retired(c);
	e3_cuda_ring_rewind(c);
	e3_cuda_stay(c);
	c->steady++;
	return 0;
}

void e3_cuda_stay(e3_cuda *c)
{
	c->is_ahead = false;
	for (bool &goes_on : c->goes_on)
		goes_on = false;
}

static int cuda_ahead(e3_dev *dev, int which, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	if (!c->is_ahead) /* what was sent before is forgotten by finish */
		c->ahead_from = c->ring.used, c->ring.n_seen = 0;
	c->is_ahead = c->goes_on[which] = c->begun[which] = true;
	if (which == E3_BRANCH_MAIN && (main_after(c, E3_BRANCH_NEXT, err) || main_after(c, c->branch, err)))
		return -1;
	c->branch = which;
	return 0;
}

/* The piece of the frame before, updated with this frame's arguments; or a new one if more than those differ. */
static int update(cudaGraphExec_t *piece, cudaGraph_t graph, e3_err *err)
{
	cudaGraphExecUpdateResultInfo info;
	if (*piece && cudaGraphExecUpdate(*piece, graph, &info) == cudaSuccess)
		return 0;
	cudaGetLastError(); /* a failed update is no error */
	if (*piece)
		cudaGraphExecDestroy(*piece);
	*piece = NULL;
	E3_TRY(cudaGraphInstantiate(piece, graph, 0), "launch");
	return 0;
}

/* Starts what was gathered since the piece or its last part began. */
static int launch_part(e3_cuda *c, e3_err *err)
{
	cudaGraphExec_t *piece = &c->piece[c->gathering - 1][c->part];
	cudaGraph_t graph;
	cudaStream_t origin = c->stream[c->origin];
	for (int b = 0; b < E3_BRANCHES; b++)
		if (c->joined[b]) {
			E3_TRY(cudaEventRecord(c->gathered[b], c->stream[b]), "launch");
			E3_TRY(cudaStreamWaitEvent(origin, c->gathered[b], 0), "launch");
		}
	E3_TRY(cudaStreamEndCapture(origin, &graph), "launch");
	int rc = update(piece, graph, err);
	cudaGraphDestroy(graph);
	if (!rc)
		E3_TRY(cudaGraphLaunch(*piece, origin), "launch");
	return rc;
}

static int begin_part(e3_cuda *c, e3_err *err)
{
	c->blocks = 0;
	E3_TRY(cudaStreamBeginCapture(c->stream[c->origin], cudaStreamCaptureModeRelaxed), "gather");
	E3_TRY(cudaEventRecord(c->gathered[c->origin], c->stream[c->origin]), "gather");
	return 0;
}

static int cuda_gather(e3_dev *dev, int which, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	drop_gathered(c);
	if (!c->steady)
		return 0;
	c->gathering = 1 + which, c->origin = c->branch, c->part = 0;
	for (bool &joined : c->joined)
		joined = false;
	if (begin_part(c, err)) {
		c->gathering = 0;
		return -1;
	}
	return 0;
}

static int cuda_launch(e3_dev *dev, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	int rc = c->gathering ? launch_part(c, err) : 0;
	c->gathering = 0;
	return rc;
}

int e3_cuda_cut(e3_cuda *c, e3_err *err)
{
	bool alone = true;
	for (bool joined : c->joined)
		alone = alone && !joined;
	if (!c->gathering || c->blocks++ < (c->part ? BLOCKS : FIRST_BLOCKS) || !alone || c->part + 1 == PARTS_MOST)
		return 0;
	int rc = launch_part(c, err);
	c->part++;
	rc = rc || begin_part(c, err) ? -1 : 0;
	c->gathering = rc ? 0 : c->gathering;
	c->blocks = 1;
	return rc;
}

static int cuda_note(e3_dev *dev, const e3_activation *note, e3_err *err) { return 0; }

/* Releases memory that work of this branch may still use. */
static int retire(e3_cuda *c, void *p, e3_err *err)
{
	c->steady = 0;
	if (!p)
		return 0;
	if (c->gathering && c->n_retired < RETIRED_MOST) {
		c->retired[c->n_retired++] = p;
		return 0;
	}
	E3_TRY(cudaStreamSynchronize(e3_cuda_stream(c)), "scratch memory");
	cudaFree(p);
	return 0;
}

int e3_cuda_scratch_get(e3_cuda *c, int kind, size_t bytes, void **out, e3_err *err)
{
	e3_cuda_scratch *s = &c->scratch[c->branch][kind];
	if (s->size < bytes) {
		if (retire(c, s->p, err))
			return -1;
		*s = (e3_cuda_scratch){NULL, 0};
		cudaError_t code = cudaMalloc(&s->p, bytes);
		if (code != cudaSuccess) {
			s->p = NULL;
			cudaGetLastError();
			return e3_cuda_fail(err, "scratch memory", code);
		}
		s->size = bytes;
		E3_TRY(cudaMemsetAsync(s->p, 0, bytes, e3_cuda_stream(c)), "scratch memory");
	}
	*out = s->p;
	return 0;
}

static const e3_dev_ops cuda_ops = {
	.name = cuda_name,
	.close = cuda_close,
	.memory = cuda_memory,
	.alloc = cuda_alloc,
	.free = cuda_free,
	.upload = cuda_upload,
	.download = cuda_download,
	.weight = e3_cuda_weight,
	.alloc_host = cuda_alloc_host,
	.free_host = cuda_free_host,
	.fetch = cuda_fetch,
	.copy = cuda_copy,
	.mark = cuda_mark,
	.wait = cuda_wait,
	.branch = cuda_branch,
	.finish = cuda_finish,
	.ahead = cuda_ahead,
	.gather = cuda_gather,
	.launch = cuda_launch,
	.note = cuda_note,
	.patchify = e3_cuda_patchify,
	.linear = e3_cuda_linear,
	.norm = e3_cuda_norm,
	.copy_rows = e3_cuda_copy_rows,
	.mean_rows = e3_cuda_mean_rows,
	.qkv = e3_cuda_qkv,
	.attend = e3_cuda_attend,
	.mass = e3_cuda_mass,
	.match = e3_cuda_match,
	.mean_keys = e3_cuda_mean_keys,
	.shift = e3_cuda_shift,
	.novelty = e3_cuda_novelty,
	.move = e3_cuda_move,
	.modulate = e3_cuda_modulate,
	.conv = e3_cuda_conv,
	.deconv = e3_cuda_deconv,
	.upsample = e3_cuda_upsample,
	.add_uv = e3_cuda_add_uv,
	.dense = e3_cuda_dense,
	.enter = e3_cuda_enter,
	.reserve = e3_cuda_reserve,
	.score = e3_cuda_score,
	.choose = e3_cuda_choose,
};

/* "no CUDA device: why", or the device made current. */
static int find_device(cudaDeviceProp *prop, e3_err *err)
{
	static const char where[] = "opening the device: cuda: no CUDA device";
	int n = 0;
	cudaError_t code = cudaGetDeviceCount(&n);
	if (code == cudaErrorInsufficientDriver)
		return e3_fail(err, "%s: no NVIDIA driver, or one too old for this build (CUDA %d.%d)", where,
			CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
	if (code == cudaErrorNoDevice || (code == cudaSuccess && n == 0))
		return e3_fail(err, "%s: the driver finds no device", where);
	if (code != cudaSuccess)
		return e3_cuda_fail(err, where, code);
	if ((code = cudaSetDevice(0)) != cudaSuccess || (code = cudaGetDeviceProperties(prop, 0)) != cudaSuccess)
		return e3_cuda_fail(err, where, code);
	if (10 * prop->major + prop->minor < OLDEST)
		return e3_fail(err, "%s: %s has compute capability %d.%d, needed is %d.%d", where, prop->name, prop->major,
			prop->minor, OLDEST / 10, OLDEST % 10);
	return 0;
}

static int open_parts(e3_cuda *c, e3_err *err)
{
	static const char where[] = "opening the device: cuda";
	int least, first;
	/* Local memory is set aside for every thread that can run at a time: 264 MiB with the 1 KiB of stack there is
	 * otherwise. No kernel calls what the compiler does not see; what one needs for itself comes with its first launch.
	 */
	E3_TRY(cudaDeviceSetLimit(cudaLimitStackSize, 0), where);
	E3_TRY(cudaDeviceGetStreamPriorityRange(&least, &first), where);
	/* The next frame waits for branch 0, and for the small steps of the others: the dense heads, and the picture after
	 * this one, take what those leave. */
	for (int b = 0; b < E3_BRANCHES; b++) {
		bool fills = b == E3_BRANCH_DEPTH || b == E3_BRANCH_POINT || b == E3_BRANCH_NEXT;
		int priority = fills && first < least ? first + 1 : first;
		E3_TRY(cudaStreamCreateWithPriority(&c->stream[b], cudaStreamNonBlocking, priority), where);
	}
	E3_TRY(cudaEventCreateWithFlags(&c->marked, cudaEventDisableTiming), where);
	E3_TRY(cudaStreamCreateWithFlags(&c->staging, cudaStreamNonBlocking), where);
	E3_TRY(cudaEventCreateWithFlags(&c->staged, cudaEventDisableTiming), where);
	E3_TRY(cudaEventCreateWithFlags(&c->early, cudaEventDisableTiming), where);
	for (cudaEvent_t &event : c->gathered)
		E3_TRY(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), where);
	E3_TRY(e3_attend_open(&c->attend), where);
	E3_TRY(e3_cuda_evict_open(), where);
	const char *portable = getenv("E3_CUDA_PORTABLE"); /* to try on Hopper the kernels of other GPUs */
	if (portable && *portable)
		c->attend.wgmma = 0;
	cudaDriverEntryPointQueryResult found;
	if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &c->encode_tiled, 12000, cudaEnableDefault,
			&found) != cudaSuccess ||
		found != cudaDriverEntryPointSuccess)
		c->encode_tiled = NULL; /* an older driver: the portable way */
	if (e3_cuda_ring_open(c, RING, err))
		return e3_fail_in(err, "%s", where);
	if (cublasLtCreate(&c->lt) != CUBLAS_STATUS_SUCCESS)
		return e3_fail(err, "%s: cuBLASLt does not start", where);
	return 0;
}

static e3_dev *cuda_open(bool strict, e3_err *err)
{
	cudaDeviceProp prop;
	if (find_device(&prop, err))
		return NULL;
	e3_cuda *c = (e3_cuda *)calloc(1, sizeof *c);
	if (!c) {
		e3_fail(err, "opening the device: cuda: out of memory");
		return NULL;
	}
	c->dev.ops = &cuda_ops;
	c->dev.attn_dtype = strict ? E3_F32 : E3_F16;
	c->dev.feature_dtype = strict ? E3_F32 : E3_F16;
	c->dev.branches = true;
	c->strict = strict;
	c->shared_most = prop.sharedMemPerBlockOptin;
	snprintf(c->label, sizeof c->label, "%s", prop.name);
	if (open_parts(c, err)) {
		cuda_close(&c->dev);
		return NULL;
	}
	return &c->dev;
}

extern "C" __attribute__((visibility("default"))) const e3_dev_plugin e3_dev_plugin_cuda;
extern "C" const e3_dev_plugin e3_dev_plugin_cuda = {E3_DEV_ABI, cuda_open};
