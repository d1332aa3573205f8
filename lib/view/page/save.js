// What is shown as a file: PLY in the world's own axes, GLB with y up. Both are made in parts, one for each page of
// points, so that no array is as large as the file.

import { m34box, m34point, m34column } from './matrix.js';

// Calls take(page, row matrix, word offset) for every point of a run that filter {from, to, confidence, edge} lets through.
function eachShown(page, filter, take) {
	const words = page.words;
	for (const part of page.parts) {
		const { frame, min, size } = page.rows[part.row];
		if (frame.world === null || frame.n < filter.from || frame.n > filter.to) continue;
		const matrix = m34box(frame.world, min, size);
		for (let i = part.first; i < part.first + part.count; i++) {
			const info = words[6 * i + 4] >> 8;
			if (info >> 3 < filter.confidence || (info & 7) > filter.edge) continue;
			const p = m34point(matrix, [words[6 * i] / 65535, words[6 * i + 1] / 65535, words[6 * i + 2] / 65535]);
			take(p, words[6 * i + 3] & 255, words[6 * i + 3] >> 8, words[6 * i + 4] & 255, frame.n);
		}
	}
}
function countShown(page, filter) {
	let count = 0;
	eachShown(page, filter, () => count++);
	return count;
}

const PLY_BYTES = 19;

// The parts of a PLY file: [text, Uint8Array...].
export function plyParts(cloud, run, filter) {
	const parts = [];
	let total = 0;
	for (const page of cloud.pages) {
		if (page.run !== run) continue;
		const count = countShown(page, filter), data = new DataView(new ArrayBuffer(count * PLY_BYTES));
		let at = 0;
		eachShown(page, filter, (p, r, g, b, n) => {
			for (let i = 0; i < 3; i++) data.setFloat32(at + 4 * i, p[i], true);
			data.setUint8(at + 12, r);
			data.setUint8(at + 13, g);
			data.setUint8(at + 14, b);
			data.setInt32(at + 15, n, true);
			at += PLY_BYTES;
		});
		total += count;
		parts.push(new Uint8Array(data.buffer));
	}
	const head = 'ply\nformat binary_little_endian 1.0\ncomment e3-view; x right, y down, z forward in the first camera\n' +
		`element vertex ${total}\nproperty float x\nproperty float y\nproperty float z\n` +
		'property uchar red\nproperty uchar green\nproperty uchar blue\nproperty int frame\nend_header\n';
	return [new TextEncoder().encode(head), ...parts];
}

// Linear light of an 8-bit sRGB value, as glTF wants it, in 16 bits.
export function linear16(v) {
	const s = v / 255;
	return Math.round(65535 * (s <= 0.04045 ? s / 12.92 : Math.pow((s + 0.055) / 1.055, 2.4)));
}

function boundsOf(bounds, p) {
	for (let i = 0; i < 3; i++) {
		bounds.min[i] = Math.min(bounds.min[i], p[i]);
		bounds.max[i] = Math.max(bounds.max[i], p[i]);
	}
}
function noBounds() { return { min: [Infinity, Infinity, Infinity], max: [-Infinity, -Infinity, -Infinity] }; }

// The parts of the points' buffer views: positions (12 bytes each), colours (8 bytes each).
function glbPoints(cloud, run, filter, linear) {
	const positions = [], colours = [], bounds = noBounds();
	let count = 0;
	for (const page of cloud.pages) {
		if (page.run !== run) continue;
		const shown = countShown(page, filter), place = new Float32Array(3 * shown), paint = new Uint16Array(4 * shown);
		let at = 0;
		eachShown(page, filter, (p, r, g, b) => {
			place.set(p, 3 * at);
			paint.set([linear[r], linear[g], linear[b], 65535], 4 * at);
			boundsOf(bounds, place.subarray(3 * at, 3 * at + 3));
			at++;
		});
		count += shown;
		positions.push(new Uint8Array(place.buffer));
		colours.push(new Uint8Array(paint.buffer));
	}
	return { positions, colours, bounds, count };
}

// The parts of a GLB: a node with the points and one with the path of the camera. basis: {r, u, f}, what is right, up and
// forward in the world; glTF's axes are right, up and backward.
export function glbParts(cloud, run, filter, basis) {
	const linear = Array.from({ length: 256 }, (_, v) => linear16(v));
	const points = glbPoints(cloud, run, filter, linear);
	const path = cloud.runs[run].filter((f) => f && f.posed && f.n >= filter.from && f.n <= filter.to)
		.map((f) => m34column(f.world, 3));
	const line = new Float32Array(path.flat()), lineBounds = noBounds();
	path.forEach((_, i) => boundsOf(lineBounds, line.subarray(3 * i, 3 * i + 3)));
	const { r, u, f } = basis, binary = [], views = [], accessors = [], meshes = [], nodes = [];
	let length = 0;
	const view = (parts, bytes) => {
		views.push({ buffer: 0, byteOffset: length, byteLength: bytes, target: 34962 });
		binary.push(...parts);
		length += bytes;
		return views.length - 1;
	};
	const matrix = [r[0], u[0], -f[0], 0, r[1], u[1], -f[1], 0, r[2], u[2], -f[2], 0, 0, 0, 0, 1];
	const node = (name, primitive) => {
		meshes.push({ name, primitives: [primitive] });
		nodes.push({ name, mesh: meshes.length - 1, matrix });
	};
	if (points.count > 0) {
		accessors.push({ bufferView: view(points.positions, 12 * points.count), componentType: 5126, count: points.count, type: 'VEC3', ...points.bounds });
		accessors.push({ bufferView: view(points.colours, 8 * points.count), componentType: 5123, normalized: true, count: points.count, type: 'VEC4' });
		node('points', { mode: 0, attributes: { POSITION: 0, COLOR_0: 1 } });
	}
	if (path.length > 1) {
		accessors.push({ bufferView: view([new Uint8Array(line.buffer)], 12 * path.length), componentType: 5126, count: path.length, type: 'VEC3', ...lineBounds });
		node('path', { mode: 3, attributes: { POSITION: accessors.length - 1 } });
	}
	const json = { asset: { version: '2.0', generator: 'e3-view' }, scene: 0, scenes: [nodes.length ? { nodes: nodes.map((_, i) => i) } : {}] };
	if (nodes.length) Object.assign(json, { nodes, meshes, accessors, bufferViews: views, buffers: [{ byteLength: length }] });
	let text = JSON.stringify(json);
	while (text.length % 4) text += ' ';
	const u32 = (...values) => new Uint8Array(new Uint32Array(values).buffer);
	const chunk = length > 0 ? [u32(length, 0x004e4942), ...binary] : [];
	const total = 20 + text.length + (length > 0 ? 8 + length : 0);
	return [u32(0x46546c67, 2, total, text.length, 0x4e4f534a), new TextEncoder().encode(text), ...chunk];
}
