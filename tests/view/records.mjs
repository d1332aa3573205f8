// Records of e3-view(5), written by hand for tests: the other half of lib/view/page/wire.js.

export function record(type, n, body, { run = 0, flags = 0, seq = 0 } = {}) {
	const size = 16 + Math.ceil(body.length / 4) * 4;
	const out = new Uint8Array(size);
	const view = new DataView(out.buffer);
	view.setUint32(0, size, true);
	out[4] = type;
	out[5] = run;
	view.setUint16(6, flags, true);
	view.setUint32(8, n, true);
	view.setUint32(12, seq, true);
	out.set(body, 16);
	return out;
}

// Numbers in a row: packed('u16', 3, 'f32', 0.5) is a u16 and an f32.
export function packed(...items) {
	const sizes = { u8: 1, u16: 2, u32: 4, f32: 4, f64: 8 };
	const out = [];
	for (let k = 0; k < items.length; k += 2) {
		const bytes = new Uint8Array(sizes[items[k]]);
		const view = new DataView(bytes.buffer);
		const set = { u8: 'setUint8', u16: 'setUint16', u32: 'setUint32', f32: 'setFloat32', f64: 'setFloat64' }[items[k]];
		view[set](0, items[k + 1], true);
		out.push(...bytes);
	}
	return Uint8Array.from(out);
}

export function joined(...parts) {
	const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
	let at = 0;
	for (const part of parts) {
		out.set(part, at);
		at += part.length;
	}
	return out;
}

const text = (value) => new TextEncoder().encode(JSON.stringify(value));

export function helloRecord(over = {}, run = {}) {
	return record(1, 0, text({
		protocol: 1, version: '0.1.0', epoch: 'abcd', live: true, points: 1000000, runs: [{
			name: 'room', source: 'room.mp4', model: 'tiny', policy: 'evict3r', budget_bytes: 4096, device: 'cpu', layers: 3,
			tokens_per_frame: 11, special: 5, patch_grid: [2, 3], kv_token_bytes: 64, fps: 10, frames: null, confidence: [0, 2], ...run,
		}], ...over,
	}));
}

export function statusRecord(value) {
	return record(9, 0, text(value));
}

export function frameRecord(n, { run = 0, i = n, pts = n / 10, captured = 0, matrix, tokens = 33, flags = 31, k = [0.8, 1, 0.5, 0.5] } = {}) {
	const m = matrix || [1, 0, 0, n, 0, 1, 0, 0, 0, 0, 1, 0];
	return record(2, n, joined(packed('f64', i, 'f64', pts, 'f64', captured), packed(...m.flatMap((v) => ['f32', v])),
		packed(...k.flatMap((v) => ['f32', v])), packed('u16', 42, 'u16', 28, 'f32', 12.5, 'f32', 0.25, 'u32', tokens, 'u32', 2)),
	{ run, flags });
}

export function pictureRecord(type, n, bytes, run = 0) {
	const head = type === 3 ? new Uint8Array(0) : packed('u16', 4, 'u16', 3, 'f32', 0.5, 'f32', 2);
	return record(type, n, joined(head, bytes), { run });
}

// entries: [[frame, tokens, [[patch, layers], ...] or null for all], ...]
export function keptRecord(n, full, entries, { rows = 2, cols = 3, layers = 3, run = 0 } = {}) {
	const parts = [packed('u16', rows, 'u16', cols, 'u16', layers, 'u16', full ? 1 : 0, 'u32', entries.length)];
	for (const [frame, tokens, cells] of entries) {
		parts.push(packed('u32', frame, 'u32', tokens, 'u32', cells === null ? 0xffffffff : cells.length));
		for (const [patch, held] of cells || [])
			parts.push(packed('u16', patch, 'u8', held, 'u8', 0));
	}
	return record(6, n, joined(...parts), { run });
}

export function correctRecord(from, to, similarity) {
	return record(7, 0, packed('f64', from, 'f64', to, ...similarity.flatMap((v) => ['f64', v])));
}

export function chunkRecord(n, offset, count, total, run = 0) {
	const points = new Uint8Array(10 * count);
	for (let k = 0; k < points.length; k++)
		points[k] = k * 37 & 255;
	return record(8, n, joined(packed('u32', count, 'u32', offset, 'u32', total, 'f32', -1, 'f32', -2, 'f32', 1, 'f32', 2, 'f32', 4, 'f32', 3), points), { run });
}

// One of each kind.
export function oneOfEach() {
	return {
		hello: helloRecord(), frame: frameRecord(7), picture: pictureRecord(3, 7, Uint8Array.of(255, 216, 1, 2, 3)),
		depth: pictureRecord(4, 7, Uint8Array.of(137, 80, 78, 71)), confidence: pictureRecord(5, 7, Uint8Array.of(137, 80, 78, 71)),
		kept: keptRecord(7, true, [[0, 18, null], [3, 4, [[0, 1], [5, 3]]], [7, 18, null]]),
		correct: correctRecord(2, 9, [2, 0, 0, Math.SQRT1_2, Math.SQRT1_2, 1, 2, 3]), chunk: chunkRecord(7, 10, 3, 20),
		status: statusRecord({ frames: 8, fps: 9.5, state: 'failed', reason: 'no disk', clock: 1e9, pong: 5.25 }),
	};
}

// Numbers 0..1 that are the same in every run.
export function randomOf(seed) {
	let a = seed >>> 0;
	return () => {
		a = a + 0x6d2b79f5 >>> 0;
		let t = Math.imul(a ^ a >>> 15, 1 | a);
		t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
		return ((t ^ t >>> 14) >>> 0) / 4294967296;
	};
}
