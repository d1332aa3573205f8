// view: the records that the server sends and that a page holds (e3-view(5)): bytes to plain objects. A record that the
// format forbids throws a WireError that says what was wrong; nothing is allocated from a count that the bytes do not back.

export const WIRE = { HELLO: 1, FRAME: 2, PICTURE: 3, DEPTH: 4, CONFIDENCE: 5, KEPT: 6, CORRECT: 7, CHUNK: 8, STATUS: 9 };
export const FLAG = { POSE: 1, PICTURE: 2, DEPTH: 4, KEPT: 8, CHUNK: 16 };
export const WIRE_HEADER = 16;
const FRAME_BODY = 8 * 3 + 4 * 12 + 4 * 4 + 2 * 2 + 4 * 2 + 4 * 2;
const RECORD_POINT_BYTES = 10;
const ALL_PATCHES = 0xffffffff;
// What a page can hold: beyond these a record is wrong, whatever its bytes say.
const MOST_BYTES = 64 << 20;
const MOST_SIDE = 65535;

export class WireError extends Error {}

function refuse(what) {
	throw new WireError(what);
}

function jsonObject(bytes, what) {
	let value;
	// The padding of a record is zero bytes, which JSON does not allow at its end.
	let end = bytes.length;
	while (end > 0 && bytes[end - 1] === 0)
		end--;
	try {
		value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end)));
	} catch {
		refuse(what + ': no JSON');
	}
	if (typeof value !== 'object' || value === null || Array.isArray(value))
		refuse(what + ': no object');
	return value;
}

function textOf(value) {
	return typeof value === 'string' ? value.slice(0, 4096) : '';
}

function countOf(value, most) {
	return Number.isInteger(value) && value >= 0 && value <= most ? value : 0;
}

function numberOf(value) {
	return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

function helloRun(value, k) {
	if (typeof value !== 'object' || value === null || Array.isArray(value))
		refuse('hello: run ' + k + ' is no object');
	const grid = Array.isArray(value.patch_grid) ? value.patch_grid : [];
	const range = Array.isArray(value.confidence) && value.confidence.length === 2 ? value.confidence : [NaN, NaN];
	return {
		name: textOf(value.name), source: textOf(value.source), model: textOf(value.model), policy: textOf(value.policy),
		device: textOf(value.device), budget: numberOf(value.budget_bytes), layers: countOf(value.layers, 65535),
		tokens: countOf(value.tokens_per_frame, 1 << 30), special: countOf(value.special, 1 << 30),
		rows: countOf(grid[0], 65535), cols: countOf(grid[1], 65535), tokenBytes: numberOf(value.kv_token_bytes),
		confidence: range.every(Number.isFinite) && range[1] >= range[0] ? range : null, fps: numberOf(value.fps), frames: Number.isInteger(value.frames) && value.frames >= 0 ? value.frames : null,
	};
}

function decodeHello(record, bytes) {
	const value = jsonObject(bytes, 'hello');
	if (value.protocol !== 1)
		refuse('hello: protocol ' + textOf(String(value.protocol)) + ', and this page speaks 1: reload it');
	if (!Array.isArray(value.runs) || value.runs.length > 2)
		refuse('hello: not at most two runs');
	record.version = textOf(value.version);
	record.epoch = textOf(value.epoch);
	record.live = value.live === true;
	record.points = numberOf(value.points);
	record.runs = value.runs.map(helloRun);
}

function decodeFrame(record, view) {
	if (view.byteLength < FRAME_BODY)
		refuse('frame: too short');
	record.i = view.getFloat64(0, true);
	record.pts = view.getFloat64(8, true);
	record.captured = view.getFloat64(16, true);
	record.matrix = new Float32Array(12);
	record.k = new Float32Array(4);
	let usable = true;
	for (let j = 0; j < 12; j++) {
		record.matrix[j] = view.getFloat32(24 + 4 * j, true);
		usable = usable && Number.isFinite(record.matrix[j]);
	}
	for (let j = 0; j < 4; j++) {
		record.k[j] = view.getFloat32(72 + 4 * j, true);
		usable = usable && Number.isFinite(record.k[j]);
	}
	if (!Number.isFinite(record.i) || !Number.isFinite(record.pts) || !Number.isFinite(record.captured))
		refuse('frame: a time that is no number');
	usable = usable && record.k[0] > 0 && record.k[1] > 0;
	if (!usable)
		record.flags &= ~FLAG.POSE;
	record.w = view.getUint16(88, true);
	record.h = view.getUint16(90, true);
	record.ms = numberOf(view.getFloat32(92, true));
	record.latency = numberOf(view.getFloat32(96, true));
	record.tokens = view.getUint32(100, true);
	record.segment = view.getUint32(104, true);
}

// The bytes of a picture file without the zero padding, which decoders ignore; they stay a view of the record.
function decodeDense(record, view, bytes, what) {
	if (view.byteLength < 12)
		refuse(what + ': too short');
	record.w = view.getUint16(0, true);
	record.h = view.getUint16(2, true);
	record.lo = view.getFloat32(4, true);
	record.hi = view.getFloat32(8, true);
	if (record.w === 0 || record.h === 0 || !Number.isFinite(record.lo) || !Number.isFinite(record.hi))
		refuse(what + ': no size or no range');
	record.bytes = bytes.subarray(12);
}

// An entry's cells stay bytes: {u16 patch, u8 layers, u8 0} each, read by eachCell; null: every layer holds every patch.
function decodeKept(record, view, bytes) {
	if (view.byteLength < 12)
		refuse('kept: too short');
	record.rows = view.getUint16(0, true);
	record.cols = view.getUint16(2, true);
	record.layers = view.getUint16(4, true);
	record.full = view.getUint16(6, true) === 1;
	const m = view.getUint32(8, true);
	if (record.rows * record.cols > MOST_SIDE + 1 || record.layers > 1024)
		refuse('kept: more patches or layers than there can be');
	if (m > (view.byteLength - 12) / 12)
		refuse('kept: more frames than bytes');
	record.entries = [];
	let at = 12;
	for (let j = 0; j < m; j++) {
		if (at + 12 > view.byteLength)
			refuse('kept: cut short');
		const frame = view.getUint32(at, true);
		const tokens = view.getUint32(at + 4, true);
		const c = view.getUint32(at + 8, true);
		at += 12;
		if (frame > record.n)
			refuse('kept: a frame that is still to come');
		if (c === ALL_PATCHES) {
			record.entries.push({ frame, tokens, cells: null });
			continue;
		}
		if (c > (view.byteLength - at) / 4)
			refuse('kept: more patches than bytes');
		const cells = bytes.subarray(at, at + 4 * c);
		for (let p = 0; p < c; p++)
			if ((cells[4 * p] | cells[4 * p + 1] << 8) >= record.rows * record.cols || cells[4 * p + 2] > record.layers)
				refuse('kept: a patch outside the grid');
		record.entries.push({ frame, tokens, cells });
		at += 4 * c;
	}
}

// Calls fn(patch, layers that hold it) for each cell of an entry of a kept record.
export function eachCell(cells, fn) {
	for (let p = 0; p + 3 < cells.length; p += 4)
		fn(cells[p] | cells[p + 1] << 8, cells[p + 2]);
}

function decodeCorrect(record, view) {
	if (view.byteLength < 80)
		refuse('correct: too short');
	record.from = view.getFloat64(0, true);
	record.to = view.getFloat64(8, true);
	const s = [];
	for (let j = 0; j < 8; j++)
		s.push(view.getFloat64(16 + 8 * j, true));
	if (!s.every(Number.isFinite) || !(s[0] > 0) || Number.isNaN(record.from) || Number.isNaN(record.to))
		refuse('correct: no similarity');
	record.matrix = similarityMatrix(s);
}

// Scale, quaternion x y z w and translation as the rows of a 3x4 matrix.
export function similarityMatrix(s) {
	const norm = Math.hypot(s[1], s[2], s[3], s[4]);
	if (!(norm > 0))
		refuse('correct: no rotation');
	const [x, y, z, w] = [s[1] / norm, s[2] / norm, s[3] / norm, s[4] / norm];
	const k = s[0];
	return Float32Array.of(
		k * (1 - 2 * (y * y + z * z)), k * 2 * (x * y - z * w), k * 2 * (x * z + y * w), s[5],
		k * 2 * (x * y + z * w), k * (1 - 2 * (x * x + z * z)), k * 2 * (y * z - x * w), s[6],
		k * 2 * (x * z - y * w), k * 2 * (y * z + x * w), k * (1 - 2 * (x * x + y * y)), s[7]);
}

function decodeChunk(record, view, bytes) {
	if (view.byteLength < 36)
		refuse('chunk: too short');
	record.count = view.getUint32(0, true);
	record.offset = view.getUint32(4, true);
	record.total = view.getUint32(8, true);
	if (record.count > (view.byteLength - 36) / RECORD_POINT_BYTES || record.offset + record.count > record.total)
		refuse('chunk: more points than bytes, or than the frame has');
	record.min = new Float32Array(3);
	record.size = new Float32Array(3);
	for (let j = 0; j < 3; j++) {
		record.min[j] = view.getFloat32(12 + 4 * j, true);
		record.size[j] = view.getFloat32(24 + 4 * j, true);
		if (!Number.isFinite(record.min[j]) || !Number.isFinite(record.size[j]) || record.size[j] < 0)
			refuse('chunk: no box');
	}
	record.bytes = bytes.subarray(36, 36 + RECORD_POINT_BYTES * record.count);
}

const STATES = ['live', 'ended', 'failed', 'recording'];

function statusOf(value) {
	const out = {};
	for (const name of ['frames', 'fps', 'ms', 'latency', 'cache', 'budget', 'dropped', 'clients', 'clock'])
		out[name] = numberOf(value[name]);
	out.state = STATES.includes(value.state) ? value.state : 'live';
	out.reason = textOf(value.reason);
	return out;
}

// The second run, where there is one, says the same of itself.
function decodeStatus(record, bytes) {
	const value = jsonObject(bytes, 'status');
	Object.assign(record, statusOf(value));
	record.second = typeof value.second === 'object' && value.second !== null ? statusOf(value.second) : null;
	record.pong = typeof value.pong === 'number' && Number.isFinite(value.pong) ? value.pong : null;
}

// One record of exactly these bytes (Uint8Array). What it gives refers to the bytes: the caller leaves them alone.
export function decodeRecord(bytes) {
	if (bytes.length < WIRE_HEADER || bytes.length > MOST_BYTES)
		refuse('a record of ' + bytes.length + ' bytes');
	const header = new DataView(bytes.buffer, bytes.byteOffset, WIRE_HEADER);
	if (header.getUint32(0, true) !== bytes.length || bytes.length % 4 !== 0)
		refuse('a record that says another length than it has');
	const record = {
		type: header.getUint8(4), run: header.getUint8(5), flags: header.getUint16(6, true), n: header.getUint32(8, true),
		seq: header.getUint32(12, true),
	};
	if (record.run > 1)
		refuse('run ' + record.run + ' of at most two');
	const body = bytes.subarray(WIRE_HEADER);
	const view = new DataView(body.buffer, body.byteOffset, body.length);
	switch (record.type) {
	case WIRE.HELLO: decodeHello(record, body); break;
	case WIRE.FRAME: decodeFrame(record, view); break;
	case WIRE.PICTURE: record.bytes = body; break;
	case WIRE.DEPTH: decodeDense(record, view, body, 'depth'); break;
	case WIRE.CONFIDENCE: decodeDense(record, view, body, 'confidence'); break;
	case WIRE.KEPT: decodeKept(record, view, body); break;
	case WIRE.CORRECT: decodeCorrect(record, view); break;
	case WIRE.CHUNK: decodeChunk(record, view, body); break;
	case WIRE.STATUS: decodeStatus(record, body); break;
	default: refuse('a record of unknown type ' + record.type);
	}
	return record;
}

// Records that lie one after the other, as an --html file has them: calls fn(bytes of one) for each.
export function splitRecords(bytes, fn) {
	let at = 0;
	while (at < bytes.length) {
		if (at + WIRE_HEADER > bytes.length)
			refuse('records: cut short');
		const size = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0, true);
		if (size < WIRE_HEADER || size % 4 !== 0 || size > bytes.length - at)
			refuse('records: a length that cannot be');
		fn(bytes.subarray(at, at + size));
		at += size;
	}
}
