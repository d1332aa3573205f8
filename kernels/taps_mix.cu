/* kernels: nine taps' maps of a small map resized and added (taps.cuh), and what follows: bias and activation, or the
 * pixels of a dense head.
 *
 * A thread has a column of the enlarged map, four channels, and goes down some rows. Of each row of the small map it
 * makes the sums across three columns of taps, one for each row of taps, when the row is first needed; two such rows
 * make every row of the enlarged map that lies between them, which adds to the output of three.
 *
 * On an H200, for a head of 518 × 392: 29 us for the map of 224 × 296, 39 us for the pixels, after 26 and 22 us of
 * products. Instructions alone would take 12 and 10.
 */
#include "maps.cuh"
#include "taps.cuh"
#include "attend_wgmma.cuh"

enum { THREADS = 256, EACH = 4, HID = 32, PER_SM = 3 }; /* channels of a thread; blocks on a multiprocessor */

typedef struct mix_args {
	taps_maps t;
	int to_h, to_w, rows; /* of the enlarged map; of them those of a block */
	float step_y, step_x;
	const float *bias; /* or NULL */
	bool relu;
	f16 *out;
	const float *across, *down; /* positions (below): [4][to_w][HID], [4][to_h][HID] */
	pixel_args px;
} mix_args;

#ifdef E3_WGMMA

/* Where the columns beside this one read the taps' maps, and how much of each; nothing outside of the map. */
typedef struct column {
	uint32_t at[3][2];
	float weight[3][2];
} column;

template <int C> static __device__ __forceinline__ column column_at(const mix_args &a, int x, int ch)
{
	column to;
#pragma unroll
	for (int k = 0; k < 3; k++) {
		int u = x + k - 1;
		bool inside = u >= 0 && u < a.to_w;
		float f = __fmul_rn(a.step_x, (float)(inside ? u : 0));
		int left = min((int)f, a.t.w - 1), right = min(left + 1, a.t.w - 1);
		to.at[k][0] = (left * 9 + k) * C + ch, to.at[k][1] = (right * 9 + k) * C + ch;
		to.weight[k][1] = inside ? f - left : 0, to.weight[k][0] = inside ? 1 - (f - left) : 0;
	}
	return to;
}

/* Of row y of the small map: for each row of taps the sum of its three across. */
template <int C>
static __device__ __forceinline__ void sum_across(const mix_args &a, const column &c, int y, float (&sum)[3][EACH])
{
	const f16 *row = a.t.p + (size_t)y * a.t.w * 9 * C;
	uint2 v[3][6];
#pragma unroll
	for (int r = 0; r < 3; r++)
#pragma unroll
		for (int k = 0; k < 6; k++)
			v[r][k] = *(const uint2 *)(row + c.at[k / 2][k % 2] + 3 * r * C);
#pragma unroll
	for (int r = 0; r < 3; r++)
#pragma unroll
		for (int k = 0; k < 6; k++) {
			float2 lo = __half22float2(*(const __half2 *)&v[r][k].x), hi = __half22float2(*(const __half2 *)&v[r][k].y);
			float w = c.weight[k / 2][k % 2], u[EACH] = {lo.x, lo.y, hi.x, hi.y};
#pragma unroll
			for (int e = 0; e < EACH; e++)
				sum[r][e] = k ? fmaf(w, u[e], sum[r][e]) : w * u[e];
		}
}

/* Which of the neighbours before and after are in the map: the class of a row or column. */
static __device__ __forceinline__ int class_of(int k, int n) { return (k > 0 ? 1 : 0) | (k < n - 1 ? 2 : 0); }

/* What a thread keeps for the pixels of its column. */
template <int C> struct ending {
	float bias[EACH];
	f16 *out;
	__device__ __forceinline__ ending(const mix_args &a, int x, int ch)
	{
#pragma unroll
		for (int e = 0; e < EACH; e++)
			bias[e] = a.bias ? a.bias[ch + e] : 0;
		out = x < a.to_w ? a.out + (size_t)x * C + ch : NULL;
	}
	__device__ __forceinline__ void begin(const mix_args &a) {}
	__device__ __forceinline__ void put(const mix_args &a, int y, float (&v)[EACH]) const
	{
#pragma unroll
		for (int e = 0; e < EACH; e++) {
			v[e] += bias[e];
			v[e] = a.relu && !(v[e] > 0) ? 0 : v[e];
		}
		if (out)
			store_pack<f16, EACH>(out + (size_t)y * a.to_w * C, v);
	}
};

/* Eight neighbouring threads have a pixel. */
template <> struct ending<HID> {
	float inner[EACH], last[MOST][EACH], bias;
	const float *across, *down;
	int x, o;
	__device__ __forceinline__ ending(const mix_args &a, int x, int ch) : x(x), o(threadIdx.x / 2 % 4)
	{
		int column = min(x, a.to_w - 1);
		across = a.across + (size_t)column * HID + ch;
		down = a.down + (size_t)class_of(column, a.to_w) * a.to_h * HID + ch;
		bias = o <= a.px.n ? a.px.b[o] : 0;
#pragma unroll
		for (int k = 0; k < MOST; k++)
#pragma unroll
			for (int e = 0; e < EACH; e++)
				last[k][e] = k <= a.px.n && ch + e < a.px.hid ? a.px.w[k * a.px.hid + ch + e] : 0;
	}
	__device__ __forceinline__ void begin(const mix_args &a)
	{
		load_pack<float, EACH>(across + (size_t)3 * a.to_w * HID, inner);
	}
	__device__ __forceinline__ void put(const mix_args &a, int y, float (&u)[EACH]) const
	{
		float v[MOST] = {}, at_x[EACH], at_y[EACH];
		int kind = class_of(y, a.to_h);
#pragma unroll
		for (int e = 0; e < EACH; e++)
			at_x[e] = inner[e];
		if (kind != 3)
			load_pack<float, EACH>(across + (size_t)kind * a.to_w * HID, at_x);
		load_pack<float, EACH>(down + (size_t)y * HID, at_y);
#pragma unroll
		for (int e = 0; e < EACH; e++) {
			float h = fmaxf(u[e] + (at_x[e] + at_y[e]), 0.0f);
#pragma unroll
			for (int k = 0; k < MOST; k++)
				v[k] = fmaf(h, last[k][e], v[k]);
		}
		/* Sums over the eight: each step halves what a thread has to add, so that in the end two have number o. */
		bool upper = threadIdx.x & 4, odd = threadIdx.x & 2;
		float p = upper ? v[2] : v[0], q = upper ? v[3] : v[1];
		p += __shfl_xor_sync(~0u, upper ? v[0] : v[2], 4);
		q += __shfl_xor_sync(~0u, upper ? v[1] : v[3], 4);
		float sum = (odd ? q : p) + __shfl_xor_sync(~0u, odd ? p : q, 2);
		sum += __shfl_xor_sync(~0u, sum, 1);
		if (x < a.to_w && o <= a.px.n && threadIdx.x % 2 == 0)
			put_value(a.px, (size_t)y * a.to_w + x, o, sum + bias);
	}
};

#endif

/* C: channels of a tap's map; PIECES threads beside each other have neighbouring channels. */
template <int C, int PIECES> static __global__ void __launch_bounds__(THREADS, PER_SM) mix(mix_args a)
{
#ifdef E3_WGMMA
	int x = blockIdx.x * (THREADS / PIECES) + threadIdx.x / PIECES,
		ch = (blockIdx.z * PIECES + threadIdx.x % PIECES) * EACH;
	int y0 = blockIdx.y * a.rows, y1 = min(y0 + a.rows, a.to_h), have = -2;
	const column c = column_at<C>(a, min(x, a.to_w - 1), ch);
	float upper[3][EACH] = {}, lower[3][EACH] = {}, before[EACH] = {}, now[EACH] = {};
	e3_early_start();
	ending<C> end(a, x, ch);
	e3_early_wait();
	end.begin(a);
	for (int y = y0 - 1; y <= y1; y++) {
		bool inside = y >= 0 && y < a.to_h;
		float f = __fmul_rn(a.step_y, (float)(inside ? y : 0));
		int top = min((int)f, a.t.h - 1);
		float w = inside ? f - top : 0, v = inside ? 1 - w : 0;
		if (inside && top != have) {
			if (top == have + 1) {
#pragma unroll
				for (int k = 0; k < 3 * EACH; k++)
					upper[k / EACH][k % EACH] = lower[k / EACH][k % EACH];
			} else {
				sum_across<C>(a, c, top, upper);
			}
			sum_across<C>(a, c, min(top + 1, a.t.h - 1), lower);
			have = top;
		}
		float sum[EACH];
#pragma unroll
		for (int e = 0; e < EACH; e++) {
			sum[e] = before[e] + (v * upper[2][e] + w * lower[2][e]);
			before[e] = now[e] + (v * upper[1][e] + w * lower[1][e]);
			now[e] = v * upper[0][e] + w * lower[0][e];
		}
		if (y > y0)
			end.put(a, y - 1, sum);
	}
#endif
}

/* Blocks have as many rows as let all of them run at once, if those are not too few: each makes two more. */
template <int C, int PIECES> static int launch(e3_cuda *c, mix_args *a, e3_err *err)
{
	enum { LEAST = 12, MOST_ROWS = 32 };
	int columns = e3_ceil_div(a->to_w, THREADS / PIECES), parts = C / EACH / PIECES,
		strips = PER_SM * c->attend.sms / (columns * parts);
	int rows = e3_ceil_div(a->to_h, strips > 0 ? strips : 1);
	a->rows = rows < LEAST ? LEAST : rows > MOST_ROWS ? MOST_ROWS : rows;
	const int size[2] = {THREADS, 0};
	dim3 grid((unsigned)columns, (unsigned)e3_ceil_div(a->to_h, a->rows), (unsigned)parts);
	E3_TRY(e3_launch_early(mix<C, PIECES>, *a, grid, size, e3_cuda_stream(c)), "taps");
	return 0;
}

static mix_args args_of(const taps_maps *t, int to_h, int to_w)
{
	mix_args a = {*t, to_h, to_w, 0};
	a.step_y = to_h > 1 ? (float)(t->h - 1) / (float)(to_h - 1) : 0;
	a.step_x = to_w > 1 ? (float)(t->w - 1) / (float)(to_w - 1) : 0;
	return a;
}

int e3_cuda_taps_store(e3_cuda *c, const taps_maps *t, const e3_conv *op, e3_err *err)
{
	mix_args a = args_of(t, op->out.h, op->out.w);
	a.bias = op->mat->b, a.relu = op->act == E3_ACT_RELU, a.out = (f16 *)op->out.t.p;
	return launch<TAPS_WIDE, 16>(c, &a, err);
}

int e3_cuda_taps_pixels(e3_cuda *c, const taps_maps *t, const e3_dense *op, const float *tables, const pixel_args *px,
	e3_err *err)
{
	mix_args a = args_of(t, op->H, op->W);
	a.across = tables, a.down = tables + (size_t)4 * op->W * HID, a.px = *px;
	return launch<HID, HID / EACH>(c, &a, err);
}

/* ---- positions ---- */

enum { PLACES = 8, MOST_HALF = 128 };

typedef struct position_args {
	const f16 *weight; /* [hid][9][c] */
	const float *bias;
	e3_uv uv;
	int h, w, c, hid;
	float *across, *down;
} position_args;

/* What positions add to the convolution: a part for each column, from the first half of the channels, which depends on
 * which rows of taps lie in the map; and a part for each row, the same with columns. So there are four of each. The
 * bias is in those of columns. A block has PLACES of them, a thread an output channel and a tap. */
static __global__ void __launch_bounds__(9 * HID) positions(position_args a)
{
#ifdef E3_WGMMA
	__shared__ float4 uv[PLACES + 2][MOST_HALF / 4];
	__shared__ float part[9][PLACES][HID];
	int by_column = (a.w + PLACES - 1) / PLACES, half = a.c / 2;
	bool across = (int)blockIdx.x < by_column;
	int at = ((int)blockIdx.x - (across ? 0 : by_column)) * PLACES, n = across ? a.w : a.h;
	int o = threadIdx.x % HID, tap = threadIdx.x / HID, along = across ? tap % 3 : tap / 3;
	const float *from = across ? a.uv.x : a.uv.y;
	e3_early_start();
	for (int k = threadIdx.x; k < (PLACES + 2) * half; k += 9 * HID) {
		int place = at + k / half - 1;
		((float *)uv[k / half])[k % half] = place >= 0 && place < n ? from[(size_t)place * half + k % half] : 0;
	}
	__syncthreads();
	float sum[PLACES] = {};
	const f16 *w = a.weight + ((size_t)(o < a.hid ? o : 0) * 9 + tap) * a.c + (across ? 0 : half);
#pragma unroll 4
	for (int ch = 0; ch < half; ch += 8) {
		float t[8];
		load_pack<f16, 8>(w + ch, t);
#pragma unroll
		for (int p = 0; p < PLACES; p++) {
			float4 u = uv[p + along][ch / 4], v = uv[p + along][ch / 4 + 1];
			sum[p] +=
				t[0] * u.x + t[1] * u.y + t[2] * u.z + t[3] * u.w + t[4] * v.x + t[5] * v.y + t[6] * v.z + t[7] * v.w;
		}
	}
#pragma unroll
	for (int p = 0; p < PLACES; p++)
		part[tap][p][o] = o < a.hid ? sum[p] : 0;
	__syncthreads();
	e3_early_wait(); /* what reads the tables of the frame before may still be running */
	for (int k = threadIdx.x; k < 4 * PLACES * HID; k += 9 * HID) {
		int kind = k / (PLACES * HID), p = k / HID % PLACES, ch = k % HID;
		float v = across && ch < a.hid ? a.bias[ch] : 0;
		for (int line = 0; line < 3; line++) /* of taps, all three along it */
			if (line == 1 || (kind & (line ? 2 : 1)))
				for (int i = 0; i < 3; i++)
					v += part[across ? 3 * line + i : 3 * i + line][p][ch];
		if (at + p < n)
			(across ? a.across : a.down)[((size_t)kind * n + at + p) * HID + ch] = v;
	}
#endif
}

size_t e3_cuda_taps_tables(const e3_dense *op) { return (size_t)4 * (op->H + op->W) * HID; }

int e3_cuda_taps_positions(e3_cuda *c, const e3_dense *op, float *tables, e3_err *err)
{
	position_args a = {(const f16 *)op->conv->w.p, op->conv->b, op->uv, op->H, op->W, op->z.c, op->conv->out, tables,
		tables + (size_t)4 * op->W * HID};
	const int size[2] = {9 * HID, 0};
	dim3 grid((unsigned)(e3_ceil_div(op->W, PLACES) + e3_ceil_div(op->H, PLACES)));
	E3_TRY(e3_launch_early(positions, a, grid, size, e3_cuda_stream(c)), "dense");
	return 0;
}
