// A room that is computed, for tests of the view: cameras on a circle in a box-shaped room with a ball in it; every
// frame has points where its rays meet them, as chunks of the wire.

const WALLS = [[200, 90, 70], [90, 160, 80], [80, 110, 190], [190, 180, 90], [150, 150, 150], [120, 90, 60]];

// A random number generator of its own: the same room everywhere.
export function seeded(seed) {
	let s = seed >>> 0;
	return () => {
		s = (s + 0x6d2b79f5) >>> 0;
		let t = Math.imul(s ^ s >>> 15, 1 | s);
		t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
		return ((t ^ t >>> 14) >>> 0) / 4294967296;
	};
}

// Where a ray from p along d meets the room (x -3..3, y -1.5..1.5, z -2..6) or the ball: {t, colour}.
function meet(p, d) {
	let best = { t: Infinity, colour: [0, 0, 0] };
	const lo = [-3, -1.5, -2], hi = [3, 1.5, 6];
	for (let i = 0; i < 3; i++) {
		const t = ((d[i] > 0 ? hi[i] : lo[i]) - p[i]) / d[i];
		if (t > 1e-6 && t < best.t) {
			const q = p.map((v, j) => v + t * d[j]), check = q.reduce((s, v, j) => s + (j === i ? 0 : Math.floor(v * 2 + 100)), 0) % 2;
			best = { t, colour: WALLS[2 * i + (d[i] > 0 ? 1 : 0)].map((v) => Math.round(v * (check ? 1 : 0.7))) };
		}
	}
	const c = [0.5, 0.8, 3], o = p.map((v, i) => v - c[i]);
	const b = o.reduce((s, v, i) => s + v * d[i], 0), a = d.reduce((s, v) => s + v * v, 0);
	const disc = b * b - a * (o.reduce((s, v) => s + v * v, 0) - 0.49);
	if (disc > 0) {
		const t = (-b - Math.sqrt(disc)) / a;
		if (t > 1e-6 && t < best.t) best = { t, colour: [230, 60, 160] };
	}
	return best;
}

// frames: [{n, time, matrix (3x4), k, chunk}]; frame 0 is at the origin and looks along z.
export function room(count, points) {
	const random = seeded(7), frames = [];
	for (let n = 0; n < count; n++) {
		const a = 2 * Math.PI * n / count, yaw = 0.8 * Math.sin(a), c = Math.cos(yaw), s = Math.sin(yaw);
		const centre = [1.2 * Math.sin(a), 0.2 * Math.sin(2 * a), 1.5 * (1 - Math.cos(a)) / 2];
		const matrix = [c, 0, s, centre[0], 0, 1, 0, centre[1], -s, 0, c, centre[2]];
		const k = [0.85, 1.1, 0.5, 0.5], xyz = [], rgb = [];
		for (let i = 0; i < points; i++) {
			const x = (random() - k[2]) / k[0], y = (random() - k[3]) / k[1];
			const d = [c * x + s, y, -s * x + c], hit = meet(centre, d);
			xyz.push([x * hit.t, y * hit.t, hit.t]);
			rgb.push(hit.colour);
		}
		frames.push({ n, time: n / 30, matrix, k, chunk: chunkOf(xyz, rgb, (i) => [Math.floor(32 * i / points), i % 8]) });
	}
	return frames;
}

// A chunk as the decoder hands it on. info(i): [confidence 0..31, edge 0..7].
export function chunkOf(xyz, rgb, info) {
	const min = [0, 1, 2].map((i) => Math.fround(Math.min(...xyz.map((p) => p[i]))));
	const size = [0, 1, 2].map((i) => Math.fround(Math.max(1e-6, Math.max(...xyz.map((p) => p[i])) - min[i])));
	const data = new DataView(new ArrayBuffer(10 * xyz.length));
	xyz.forEach((p, j) => {
		for (let i = 0; i < 3; i++)
			data.setUint16(10 * j + 2 * i, Math.max(0, Math.min(65535, Math.round((p[i] - min[i]) / size[i] * 65535))), true);
		const [confidence, edge] = info(j);
		[...rgb[j], confidence << 3 | edge].forEach((v, i) => data.setUint8(10 * j + 6 + i, v));
	});
	return {
		offset: 0, total: xyz.length, count: xyz.length, min: new Float32Array(min), size: new Float32Array(size),
		bytes: new Uint8Array(data.buffer),
	};
}
