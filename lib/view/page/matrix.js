// Vectors, 3x4 and 4x4 matrices, rotations. Everything is computed in doubles; only what goes to the GPU is rounded.
// A 3x4 matrix is 12 numbers, row after row, as on the wire: camera to world. A 4x4 matrix is 16 numbers, column after
// column, as WebGL wants them. Axes are OpenCV's: x right, y down, z forward.

export function vadd(a, b) { return [a[0] + b[0], a[1] + b[1], a[2] + b[2]]; }
export function vsub(a, b) { return [a[0] - b[0], a[1] - b[1], a[2] - b[2]]; }
export function vscale(a, s) { return [a[0] * s, a[1] * s, a[2] * s]; }
export function vmix(a, b, t) { return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]; }
export function vdot(a, b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
export function vcross(a, b) {
	return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}
export function vlength(a) { return Math.hypot(a[0], a[1], a[2]); }
// A vector without length stays as it is.
export function vunit(a) {
	const l = vlength(a);
	return l > 0 ? vscale(a, 1 / l) : [a[0], a[1], a[2]];
}

// a after b: both 3x4.
export function m34mul(a, b) {
	const m = new Array(12);
	for (let i = 0; i < 3; i++)
		for (let j = 0; j < 4; j++)
			m[4 * i + j] = a[4 * i] * b[j] + a[4 * i + 1] * b[4 + j] + a[4 * i + 2] * b[8 + j] + (j === 3 ? a[4 * i + 3] : 0);
	return m;
}
export function m34point(m, p) {
	return [m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3], m[4] * p[0] + m[5] * p[1] + m[6] * p[2] + m[7],
		m[8] * p[0] + m[9] * p[1] + m[10] * p[2] + m[11]];
}
// The j-th column: 0..2 where the axes point, 3 where the origin is.
export function m34column(m, j) { return [m[j], m[4 + j], m[8 + j]]; }
// The matrix that takes q in 0..1 of a box to the world.
export function m34box(m, min, size) {
	return m34mul(m, [size[0], 0, 0, min[0], 0, size[1], 0, min[1], 0, 0, size[2], min[2]]);
}
export function m34finite(m) { return m !== null && m !== undefined && m.length >= 12 && m.every(Number.isFinite); }

// a after b: both 4x4, columns.
export function m44mul(a, b) {
	const m = new Array(16);
	for (let j = 0; j < 4; j++)
		for (let i = 0; i < 4; i++)
			m[4 * j + i] = a[i] * b[4 * j] + a[4 + i] * b[4 * j + 1] + a[8 + i] * b[4 * j + 2] + a[12 + i] * b[4 * j + 3];
	return m;
}
export function m44point(m, p) {
	const r = [0, 0, 0, 0];
	for (let i = 0; i < 4; i++) r[i] = m[i] * p[0] + m[4 + i] * p[1] + m[8 + i] * p[2] + m[12 + i];
	return r;
}
// World to eye for a camera at eye that looks along f with r to the right and u up.
export function m44view(eye, r, u, f) {
	return [r[0], u[0], -f[0], 0, r[1], u[1], -f[1], 0, r[2], u[2], -f[2], 0, -vdot(r, eye), -vdot(u, eye), vdot(f, eye), 1];
}
// tan: tangent of half the height's angle.
export function m44perspective(tan, aspect, near, far) {
	const d = 1 / (near - far);
	return [1 / (tan * aspect), 0, 0, 0, 0, 1 / tan, 0, 0, 0, 0, (far + near) * d, -1, 0, 0, 2 * far * near * d, 0];
}
// half: half the height that is seen.
export function m44ortho(half, aspect, near, far) {
	const d = 1 / (near - far);
	return [1 / (half * aspect), 0, 0, 0, 0, 1 / half, 0, 0, 0, 0, 2 * d, 0, 0, 0, (far + near) * d, 1];
}
// Magnifies clip space so that the square of size pixels around (x, y), pixels from the lower left, fills the view.
export function m44zoom(x, y, size, width, height) {
	const sx = width / size, sy = height / size;
	return [sx, 0, 0, 0, 0, sy, 0, 0, 0, 0, 1, 0, sx * (1 - 2 * x / width), sy * (1 - 2 * y / height), 0, 1];
}
// The six planes of what a projection-view matrix sees, each [a, b, c, d] of unit normal, inside where positive.
export function m44planes(m) {
	const planes = [];
	for (let i = 0; i < 3; i++)
		for (const sign of [1, -1]) {
			const p = [0, 1, 2, 3].map((j) => m[4 * j + 3] + sign * m[4 * j + i]);
			const l = Math.hypot(p[0], p[1], p[2]);
			planes.push(p.map((v) => v / l));
		}
	return planes;
}

// A rotation given by the axes r, u, f as quaternion [x, y, z, w], and back.
export function quatOfAxes(r, u, f) {
	const m = [r[0], u[0], -f[0], r[1], u[1], -f[1], r[2], u[2], -f[2]];
	const trace = m[0] + m[4] + m[8];
	if (trace > 0) {
		const s = 2 * Math.sqrt(trace + 1);
		return [(m[7] - m[5]) / s, (m[2] - m[6]) / s, (m[3] - m[1]) / s, s / 4];
	}
	const i = m[0] > m[4] && m[0] > m[8] ? 0 : m[4] > m[8] ? 1 : 2, j = (i + 1) % 3, k = (i + 2) % 3;
	const s = 2 * Math.sqrt(Math.max(1e-12, 1 + m[4 * i] - m[4 * j] - m[4 * k]));
	const q = [0, 0, 0, 0];
	q[i] = s / 4;
	q[j] = (m[3 * j + i] + m[3 * i + j]) / s;
	q[k] = (m[3 * k + i] + m[3 * i + k]) / s;
	q[3] = (m[3 * k + j] - m[3 * j + k]) / s;
	return q;
}
export function axesOfQuat(q) {
	const [x, y, z, w] = q;
	return {
		r: [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
		u: [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
		f: [-2 * (x * z + y * w), -2 * (y * z - x * w), 2 * (x * x + y * y) - 1],
	};
}
export function quatMix(a, b, t) {
	let d = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
	const sign = d < 0 ? -1 : 1;
	d = Math.min(1, d * sign);
	const angle = Math.acos(d), s = Math.sin(angle);
	const wa = s < 1e-6 ? 1 - t : Math.sin((1 - t) * angle) / s, wb = (s < 1e-6 ? t : Math.sin(t * angle) / s) * sign;
	const q = [0, 1, 2, 3].map((i) => wa * a[i] + wb * b[i]);
	const l = Math.hypot(...q);
	return q.map((v) => v / l);
}
