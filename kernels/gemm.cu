/* kernels: matrix products through cuBLASLt. Owns the plans: each shape is described and its algorithm chosen once.
 * Refuses what cuBLASLt has no algorithm for. Of the eight that it offers for 4096 to 1024 channels its first is the
 * fastest (1041 rows: 17.1 us, the others 17.8 to 24.0; 412 rows: 11.4, the others 13.3 to 16.1; launched
 * by the host one after the other, not in a graph). */
#include "cuda.h"
#include <stdlib.h>
#include <string.h>

enum { LT_WORKSPACE = 16 << 20 };

typedef struct gemm_key {
	int rows, in, out, ldx, ldw, ldd;
	e3_dtype type, d_type;
	bool add, bias, aligned;
} gemm_key;

typedef struct e3_gemm_plan {
	gemm_key key;
	cublasLtMatmulDesc_t op;
	cublasLtMatrixLayout_t w, x, d;
	cublasLtMatmulAlgo_t algo;
} e3_gemm_plan;

static cudaDataType_t cuda_type(e3_dtype t)
{
	switch (t) {
	case E3_F32:
		return CUDA_R_32F;
	case E3_I8:
		return CUDA_R_8I;
	case E3_I32:
		return CUDA_R_32I;
	case E3_F8:
		return CUDA_R_8F_E4M3;
	default:
		return CUDA_R_16F;
	}
}

static void release(e3_gemm_plan *p)
{
	if (p->op)
		cublasLtMatmulDescDestroy(p->op);
	cublasLtMatrixLayout_t all[] = {p->w, p->x, p->d};
	for (int k = 0; k < 3; k++)
		if (all[k])
			cublasLtMatrixLayoutDestroy(all[k]);
}

void e3_cuda_gemm_close(e3_cuda *c)
{
	for (int k = 0; k < c->n_plans; k++)
		release(&c->plan[k]);
	free(c->plan);
	if (c->lt)
		cublasLtDestroy(c->lt);
}

static bool choose(e3_cuda *c, e3_gemm_plan *p, cublasStatus_t *status)
{
	cublasLtMatmulPreference_t pref = NULL;
	cublasLtMatmulHeuristicResult_t best;
	size_t workspace = LT_WORKSPACE;
	/* Sums of parts are added in one order: the same bits every time. */
	uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE,
			 alignment = p->key.aligned ? 256 : 4;
	int n = 0;
	*status = cublasLtMatmulPreferenceCreate(&pref);
	if (*status != CUBLAS_STATUS_SUCCESS)
		return false;
	cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
	cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes);
	const cublasLtMatmulPreferenceAttributes_t min[] = {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
	for (int k = 0; k < 4; k++)
		cublasLtMatmulPreferenceSetAttribute(pref, min[k], &alignment, sizeof alignment);
	*status = cublasLtMatmulAlgoGetHeuristic(c->lt, p->op, p->w, p->x, p->d, p->d, pref, 1, &best, &n);
	cublasLtMatmulPreferenceDestroy(pref);
	if (*status == CUBLAS_STATUS_SUCCESS && n > 0)
		p->algo = best.algo;
	return *status == CUBLAS_STATUS_SUCCESS && n > 0;
}

/* Row-major [rows][n] is column-major n × rows: d^T = w x^T, with w stored in × out. */
static bool describe(e3_gemm_plan *p)
{
	const gemm_key *k = &p->key;
	cublasOperation_t transpose = CUBLAS_OP_T;
	cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
	bool ints = k->type == E3_I8;
	return cublasLtMatmulDescCreate(&p->op, ints ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F,
			   ints ? CUDA_R_32I : CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
		cublasLtMatmulDescSetAttribute(p->op, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose) ==
		CUBLAS_STATUS_SUCCESS &&
		(!k->bias ||
			cublasLtMatmulDescSetAttribute(p->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) ==
				CUBLAS_STATUS_SUCCESS) &&
		cublasLtMatrixLayoutCreate(&p->w, cuda_type(k->type), (uint64_t)k->in, (uint64_t)k->out, k->ldw) ==
		CUBLAS_STATUS_SUCCESS &&
		cublasLtMatrixLayoutCreate(&p->x, cuda_type(k->type), (uint64_t)k->in, (uint64_t)k->rows, k->ldx) ==
		CUBLAS_STATUS_SUCCESS &&
		cublasLtMatrixLayoutCreate(&p->d, cuda_type(k->d_type), (uint64_t)k->out, (uint64_t)k->rows, k->ldd) ==
		CUBLAS_STATUS_SUCCESS;
}

static e3_gemm_plan *find_plan(e3_cuda *c, const gemm_key *key, e3_err *err)
{
	for (int k = 0; k < c->n_plans; k++)
		if (!memcmp(&c->plan[k].key, key, sizeof *key))
			return &c->plan[k];
	if (c->n_plans == c->cap_plans) {
		int cap = c->cap_plans ? 2 * c->cap_plans : 64;
		e3_gemm_plan *grown = (e3_gemm_plan *)realloc(c->plan, (size_t)cap * sizeof *grown);
		if (!grown) {
			e3_fail(err, "product: out of memory");
			return NULL;
		}
		c->plan = grown, c->cap_plans = cap;
	}
	e3_gemm_plan *p = &c->plan[c->n_plans];
	memset(p, 0, sizeof *p);
	p->key = *key;
	cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
	if (!describe(p) || !choose(c, p, &status)) {
		release(p);
		e3_fail(err, "product: %d x %d x %d: no algorithm (%s)", key->rows, key->out, key->in,
			cublasLtGetStatusString(status));
		return NULL;
	}
	c->n_plans++;
	return p;
}

int e3_cuda_gemm(e3_cuda *c, const e3_gemm *g, e3_err *err)
{
	gemm_key key;
	memset(&key, 0, sizeof key); /* the gaps too: keys are compared as bytes */
	key.rows = g->rows, key.in = g->in, key.out = g->out, key.ldx = g->ldx, key.ldw = g->ldw, key.ldd = g->ldd;
	key.type = g->type, key.d_type = g->d_type, key.add = g->add, key.bias = g->bias != NULL;
	key.aligned = e3_aligned(g->x, 256) && e3_aligned(g->w, 256) && e3_aligned(g->d, 256) &&
		(!g->bias || e3_aligned(g->bias, 256));
	e3_gemm_plan *p = find_plan(c, &key, err);
	void *work;
	if (!p || e3_cuda_scratch_get(c, SCRATCH_LT, LT_WORKSPACE, &work, err))
		return -1;
	float one = 1, beta = g->add ? 1.0f : 0.0f;
	int32_t int_one = 1, int_zero = 0;
	bool ints = g->type == E3_I8;
	const void *alpha = ints ? (const void *)&int_one : &one, *below = ints ? (const void *)&int_zero : &beta;
	if (g->bias)
		cublasLtMatmulDescSetAttribute(p->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &g->bias, sizeof g->bias);
	cublasStatus_t status = cublasLtMatmul(c->lt, p->op, alpha, g->w, p->w, g->x, p->x, below, g->d, p->d, g->d, p->d,
		&p->algo, work, LT_WORKSPACE, e3_cuda_stream(c));
	if (status != CUBLAS_STATUS_SUCCESS)
		return e3_fail(err, "product: %d x %d x %d: %s", g->rows, g->out, g->in, cublasLtGetStatusString(status));
	return 0;
}
