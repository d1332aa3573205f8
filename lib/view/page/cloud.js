// The points of all frames, in pages of a fixed size that are allocated as they fill and never grow: what the GPU holds
// is a copy. A point is 12 bytes: the 10 of the wire and the number of its row in the page's table. A row has the matrix
// that takes the point's 16-bit position to the world, so a pose or a correction that changes is one row and no point.
// A page belongs to one run. When there are too many points, every frame keeps the same number of its first ones: points
// come in a random order, so a prefix is a fair thinning.

import { m34mul, m34point, m34box, m34column, m34finite, vlength } from './matrix.js';

export const PAGE_POINTS = 131072; // 1.5 MiB
export const PAGE_ROWS = 2048;
export const POINT_BYTES = 12;
export const ROW_FLOATS = 16; // 3 rows of the matrix; then frame number, nearest z, extent in z, width of a point at z = 1

// What is known of a frame; world is correction after pose, null while one of them is missing.
export class CloudFrame {
	constructor(run, n) {
		this.run = run;
		this.n = n;
		this.matrix = null;
		this.correction = null;
		this.world = null;
		this.posed = false; // world is a camera's
		this.k = [0.8, 0.8, 0.5, 0.5];
		this.time = 0;
		this.held = 0; // points
		this.total = 0; // points that the server has for it
		this.rows = []; // {page, row}
		this.first = null; // {page, part}: some points, to know how far it sees
		this.deep = 0; // median z of some points, 0: unknown
	}
}

class CloudPage {
	constructor(run, bytes) {
		this.run = run;
		this.words = bytes;
		this.used = 0;
		this.rows = []; // {frame, min, size, centre, radius}
		this.table = new Float32Array(PAGE_ROWS * ROW_FLOATS);
		this.parts = []; // {first, count, offset, frame, row}: in the order of the points
		this.sentPoints = 0; // of these the GPU has a copy
		this.newRows = [PAGE_ROWS, 0]; // rows that the GPU has not, from and to
		this.gpu = null;
	}
	touched(row) {
		this.newRows[0] = Math.min(this.newRows[0], row);
		this.newRows[1] = Math.max(this.newRows[1], row + 1);
	}
}

export class Cloud {
	constructor(max) {
		this.max = max;
		this.clear();
	}
	clear() {
		this.runs = [[], []]; // frames by number
		this.free = (this.pages || []).concat(this.free || []); // pages to use again, with their GPU buffers
		this.free.length = Math.min(this.free.length, 4);
		this.dropped = (this.dropped || []).concat((this.pages || []).filter((p) => !this.free.includes(p)));
		this.pages = [];
		this.points = 0;
		this.cap = Infinity; // points of one frame
		this.version = (this.version || 0) + 1;
	}
	frame(run, n) {
		const frames = this.runs[run];
		while (frames.length <= n) frames.push(null);
		return frames[n] || (frames[n] = new CloudFrame(run, n));
	}
	// A frame is known and may be drawn. matrix: 12 numbers, or null: it has no place. posed false: the matrix places its
	// points, but is not where a camera was.
	addFrame(run, n, { matrix, k, time, posed }) {
		const frame = this.frame(run, n);
		frame.matrix = m34finite(matrix) ? Array.from(matrix) : null;
		if (k && k.length >= 4 && k[0] > 0 && k[1] > 0) frame.k = Array.from(k);
		frame.posed = frame.matrix !== null && posed !== false;
		frame.time = time || 0;
		this.place(frame);
		return frame;
	}
	setCorrection(run, n, matrix) {
		const frame = this.frame(run, n);
		frame.correction = m34finite(matrix) ? Array.from(matrix) : null;
		this.place(frame);
		return frame;
	}
	place(frame) {
		frame.world = frame.matrix === null ? null
			: frame.correction === null ? frame.matrix : m34mul(frame.correction, frame.matrix);
		for (const { page, row } of frame.rows) this.writeRow(page, row);
		this.version++;
	}
	writeRow(page, index) {
		const row = page.rows[index], { frame, min, size } = row, to = index * ROW_FLOATS;
		const shown = frame.world !== null;
		page.table.set(m34box(shown ? frame.world : [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], min, size), to);
		// Points of a frame are about as far apart as the whole picture shared among them.
		const spacing = Math.sqrt(1 / Math.max(4000, Math.min(40000, frame.total)) / (frame.k[0] * frame.k[1]));
		const scale = shown ? vlength(m34column(frame.world, 0)) : 1;
		page.table.set([shown ? frame.n : -1, min[2], size[2], spacing * scale], to + 12);
		row.centre = m34point(page.table.subarray(to, to + 12), [0.5, 0.5, 0.5]);
		row.radius = vlength(size) / 2 * scale;
		page.touched(index);
	}
	// Takes a chunk's points, all of them or those below the frame's cap; returns how many.
	addChunk(run, n, { offset, total, count, min, size, bytes }) {
		const frame = this.frame(run, n);
		const room = Math.max(0, Math.min(count, Math.floor(bytes.byteLength / 10), this.cap - offset));
		if (frame.total < total) frame.total = total;
		if (!(room > 0) || !Array.from(min).concat(Array.from(size)).every(Number.isFinite)) return 0;
		const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
		const words = new Uint16Array(aligned.buffer, aligned.byteOffset, room * 5);
		this.append(frame, { offset, count: room, min: Array.from(min), size: Array.from(size) }, words, 5);
		this.version++;
		if (this.points > this.max) this.thin();
		return room;
	}
	append(frame, { offset, count, min, size }, words, stride) {
		let from = 0;
		while (from < count) {
			const { page, row } = this.room(frame, min, size);
			const take = Math.min(count - from, PAGE_POINTS - page.used);
			const to = page.words;
			let a = from * stride, b = page.used * 6;
			for (let i = 0; i < take; i++, a += stride, b += 6) {
				to[b] = words[a];
				to[b + 1] = words[a + 1];
				to[b + 2] = words[a + 2];
				to[b + 3] = words[a + 3];
				to[b + 4] = words[a + 4];
				to[b + 5] = row;
			}
			const last = page.parts[page.parts.length - 1];
			if (last && last.row === row && last.offset + last.count === offset + from) last.count += take;
			else page.parts.push({ first: page.used, count: take, offset: offset + from, frame, row });
			if (frame.first === null || frame.first.part.count < 64)
				frame.first = { page, part: page.parts[page.parts.length - 1] };
			page.used += take;
			frame.held += take;
			this.points += take;
			from += take;
		}
	}
	// A page of the frame's run with a free point, and the row in it for this box.
	room(frame, min, size) {
		let page = this.pages.findLast((p) => p.run === frame.run);
		const known = page && frame.rows.find((r) => r.page === page && sameBox(page.rows[r.row], min, size));
		if (page && page.used < PAGE_POINTS && known) return known;
		if (!page || page.used === PAGE_POINTS || page.rows.length === PAGE_ROWS) {
			page = this.newPage(frame.run);
			this.pages.push(page);
		}
		page.rows.push({ frame, min, size, centre: [0, 0, 0], radius: 0 });
		const at = { page, row: page.rows.length - 1 };
		frame.rows.push(at);
		this.writeRow(page, at.row);
		return at;
	}
	newPage(run) {
		const old = this.free.pop();
		const page = new CloudPage(run, old ? old.words : new Uint16Array(PAGE_POINTS * 6));
		if (old) page.gpu = old.gpu;
		return page;
	}
	// Frames keep their first points, as many of each as fill four fifths of what may be there.
	thin() {
		const held = [];
		for (const frames of this.runs) for (const f of frames) if (f && f.held > 0) held.push(f.held);
		this.cap = capOf(held, 0.8 * this.max);
		const pages = this.pages;
		this.pages = [];
		this.points = 0;
		for (const frames of this.runs)
			for (const f of frames) if (f) Object.assign(f, { held: 0, rows: [], first: null });
		for (const page of pages) {
			for (const part of page.parts) {
				const count = Math.min(part.count, this.cap - part.offset);
				if (count <= 0) continue;
				const { min, size } = page.rows[part.row];
				this.append(part.frame, { offset: part.offset, count, min, size },
					page.words.subarray(part.first * 6, (part.first + count) * 6), 6);
			}
			this.free.push(page);
		}
		this.dropped = this.dropped.concat(this.free.splice(2));
		this.version++;
	}
	setMax(max) {
		if (max > this.max) this.cap = Infinity;
		this.max = max;
		if (this.points > max) this.thin();
	}
	// Where some points of a frame are, in its camera: [x, y, z], at most count of them.
	sample(frame, count) {
		const points = [];
		if (frame.first === null) return points;
		const { page, part } = frame.first;
		for (let i = 0; i < Math.min(count, part.count); i++) points.push(this.local(page, part.first + i));
		return points;
	}
	local(page, index) {
		const { min, size } = page.rows[page.words[6 * index + 5]];
		return [0, 1, 2].map((i) => min[i] + size[i] * page.words[6 * index + i] / 65535);
	}
	// Everything about one point: for picking.
	point(page, index) {
		const at = 6 * index, words = page.words, { frame } = page.rows[words[at + 5]], local = this.local(page, index);
		return {
			run: frame.run, n: frame.n, point: m34point(frame.world, local), depth: local[2],
			colour: [words[at + 3] & 255, words[at + 3] >> 8, words[at + 4] & 255],
			confidence: words[at + 4] >> 11, edge: words[at + 4] >> 8 & 7,
		};
	}
	bytes() {
		return (this.pages.length + this.free.length) * (PAGE_POINTS * POINT_BYTES + PAGE_ROWS * ROW_FLOATS * 4);
	}
}

function sameBox(row, min, size) { return [0, 1, 2].every((i) => row.min[i] === min[i] && row.size[i] === size[i]); }

// The largest cap for which the sum of min(held, cap) is at most room.
export function capOf(held, room) {
	const sorted = held.slice().sort((a, b) => a - b);
	let left = room;
	for (let i = 0; i < sorted.length; i++) {
		const share = left / (sorted.length - i);
		if (sorted[i] > share) return Math.max(1, Math.floor(share));
		left -= sorted[i];
	}
	return Infinity;
}

// A function that says of a frame and a row of its page whether its points may be seen: how has from, to, planes.
export function cloudWanted(how) {
	return (frame, row) => frame.n >= how.from && frame.n <= how.to && frame.world !== null &&
		how.planes.every((p) => p[0] * row.centre[0] + p[1] * row.centre[1] + p[2] * row.centre[2] + p[3] > -row.radius);
}

// The ranges of a page's points to draw: [firsts, counts]. wanted: what cloudWanted gave; of each chunk the
// points among the first fraction of its frame are taken. Neighbours are joined.
export function cloudRanges(page, wanted, fraction) {
	const firsts = [], counts = [];
	for (const part of page.parts) {
		let count = part.count;
		if (fraction < 1) count = Math.min(count, Math.ceil(fraction * Math.max(part.frame.total, part.frame.held)) - part.offset);
		if (count <= 0 || !wanted(part.frame, page.rows[part.row])) continue;
		const last = firsts.length - 1;
		if (last >= 0 && firsts[last] + counts[last] === part.first) counts[last] += count;
		else {
			firsts.push(part.first);
			counts.push(count);
		}
	}
	return [firsts, counts];
}
