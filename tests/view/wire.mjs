// The decoder of the page: what a record of each kind becomes, what is refused and why, and that nothing that is not a
// record does anything else than being refused.
import test from 'node:test';
import assert from 'node:assert/strict';
import { decodeRecord, splitRecords, eachCell, WireError } from '../../lib/view/page/wire.js';
import * as make from './records.mjs';

const each = make.oneOfEach();
const refused = (bytes, what) => assert.throws(() => decodeRecord(bytes), (e) => e instanceof WireError && e.message.includes(what),
	'not refused with: ' + what);

test('hello: facts of the runs, and what is missing or wrong in them becomes nothing', () => {
	const hello = decodeRecord(each.hello);
	assert.equal(hello.epoch, 'abcd');
	assert.equal(hello.live, true);
	assert.deepEqual(hello.runs[0], {
		name: 'room', source: 'room.mp4', model: 'tiny', policy: 'evict3r', device: 'cpu', budget: 4096, layers: 3, tokens: 11,
		special: 5, rows: 2, cols: 3, tokenBytes: 64, confidence: [0, 2], fps: 10, frames: null,
	});
	const odd = decodeRecord(make.helloRecord({}, { name: 5, patch_grid: [-1, 1e9], layers: 1.5, fps: 'x', confidence: [2, 1], frames: 12 }));
	const { name, rows, cols, layers, fps, confidence, frames } = odd.runs[0];
	assert.deepEqual([name, rows, cols, layers, fps, confidence, frames], ['', 0, 0, 0, 0, null, 12]);
	assert.deepEqual(decodeRecord(make.helloRecord({ runs: [] })).runs, []);
	refused(make.helloRecord({ protocol: 2 }), 'speaks 1');
	refused(make.helloRecord({ runs: [{}, {}, {}] }), 'at most two');
	refused(make.helloRecord({ runs: [null] }), 'run 0');
	refused(make.record(1, 0, new TextEncoder().encode('[1]')), 'no object');
	refused(make.record(1, 0, new TextEncoder().encode('{"a":')), 'no JSON');
	refused(make.record(1, 0, Uint8Array.of(0xff, 0xfe)), 'no JSON');
});

test('frame: times, pose, intrinsics; a pose that is no number is not usable', () => {
	const frame = decodeRecord(make.frameRecord(7, { i: 70, pts: 2.5, captured: 1e9, run: 1 }));
	assert.deepEqual([frame.run, frame.n, frame.i, frame.pts, frame.captured], [1, 7, 70, 2.5, 1e9]);
	assert.deepEqual([...frame.matrix], [1, 0, 0, 7, 0, 1, 0, 0, 0, 0, 1, 0]);
	assert.deepEqual([...frame.k].map((v) => +v.toFixed(3)), [0.8, 1, 0.5, 0.5]);
	assert.deepEqual([frame.w, frame.h, frame.ms, frame.latency, frame.tokens, frame.segment], [42, 28, 12.5, 0.25, 33, 2]);
	assert.equal(frame.flags, 31);
	assert.equal(decodeRecord(make.frameRecord(7, { matrix: [NaN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] })).flags, 30);
	assert.equal(decodeRecord(make.frameRecord(7, { k: [0, 1, 0.5, 0.5] })).flags, 30);
	refused(make.frameRecord(7, { i: NaN }), 'no number');
	refused(make.record(2, 0, new Uint8Array(100)), 'too short');
});

test('pictures, kept, correct, chunk, status', () => {
	assert.deepEqual([...decodeRecord(each.picture).bytes.subarray(0, 5)], [255, 216, 1, 2, 3]);
	const depth = decodeRecord(each.depth);
	assert.deepEqual([depth.w, depth.h, depth.lo, depth.hi, ...depth.bytes], [4, 3, 0.5, 2, 137, 80, 78, 71]);
	const kept = decodeRecord(each.kept);
	assert.deepEqual([kept.rows, kept.cols, kept.layers, kept.full], [2, 3, 3, true]);
	assert.deepEqual(kept.entries.map((e) => [e.frame, e.tokens, e.cells === null]), [[0, 18, true], [3, 4, false], [7, 18, true]]);
	const cells = [];
	eachCell(kept.entries[1].cells, (patch, layers) => cells.push([patch, layers]));
	assert.deepEqual(cells, [[0, 1], [5, 3]]);
	// A quarter turn about z, twice as large.
	const m = [...decodeRecord(each.correct).matrix].map((v) => +v.toFixed(5) + 0);
	assert.deepEqual(m, [0, -2, 0, 1, 2, 0, 0, 2, 0, 0, 2, 3]);
	const chunk = decodeRecord(each.chunk);
	assert.deepEqual([chunk.count, chunk.offset, chunk.total, ...chunk.min, ...chunk.size, chunk.bytes.length], [3, 10, 20, -1, -2, 1, 2, 4, 3, 30]);
	const status = decodeRecord(each.status);
	assert.deepEqual([status.frames, status.fps, status.state, status.reason, status.pong, status.second], [8, 9.5, 'failed', 'no disk', 5.25, null]);
	const two = decodeRecord(make.statusRecord({ state: 'else', fps: -1, second: { state: 'failed', reason: 'gone' } }));
	assert.deepEqual([two.state, two.fps, two.pong, two.second.state, two.second.reason], ['live', 0, null, 'failed', 'gone']);
});

test('what the format forbids is refused, with what was wrong', () => {
	refused(new Uint8Array(15), '15 bytes');
	refused(each.frame.subarray(0, each.frame.length - 4), 'another length');
	refused(make.record(10, 0, new Uint8Array(4)), 'unknown type 10');
	refused(make.record(3, 0, new Uint8Array(4), { run: 2 }), 'run 2');
	refused(make.record(4, 0, new Uint8Array(8)), 'too short');
	refused(make.record(4, 0, make.packed('u16', 0, 'u16', 3, 'f32', 0, 'f32', 1)), 'no size');
	refused(make.record(5, 0, make.packed('u16', 4, 'u16', 3, 'f32', NaN, 'f32', 1)), 'no size or no range');
	refused(make.record(6, 0, make.packed('u16', 2, 'u16', 3, 'u16', 3, 'u16', 1, 'u32', 0xffffffff)), 'more frames than bytes');
	refused(make.record(6, 9, make.packed('u16', 2, 'u16', 3, 'u16', 3, 'u16', 1, 'u32', 1, 'u32', 0, 'u32', 1, 'u32', 2, 'u32', 0)), 'more patches');
	refused(make.keptRecord(9, true, [[10, 1, []]]), 'still to come');
	refused(make.keptRecord(9, true, [[0, 1, [[6, 1]]]]), 'outside the grid');
	refused(make.keptRecord(9, true, [[0, 1, [[5, 4]]]]), 'outside the grid');
	refused(make.keptRecord(9, true, [], { rows: 65535, cols: 65535 }), 'more patches or layers');
	refused(make.correctRecord(0, 1, [0, 0, 0, 0, 1, 0, 0, 0]), 'no similarity');
	refused(make.correctRecord(0, 1, [1, 0, 0, 0, 0, 0, 0, 0]), 'no rotation');
	refused(make.correctRecord(0, 1, [1, 0, 0, 0, 1, 0, Infinity, 0]), 'no similarity');
	refused(make.record(8, 0, make.packed('u32', 0xffffffff, 'u32', 0, 'u32', 0xffffffff, ...Array(6).fill(['f32', 1]).flat())), 'more points');
	refused(make.chunkRecord(0, 18, 3, 20), 'more points');
});

test('records in a row are found, and a row that is cut or lies is refused', () => {
	const row = make.joined(each.hello, each.frame, each.chunk);
	const types = [];
	splitRecords(row, (one) => types.push(decodeRecord(one).type));
	assert.deepEqual(types, [1, 2, 8]);
	assert.throws(() => splitRecords(row.subarray(0, row.length - 4), () => {}), WireError);
	assert.throws(() => splitRecords(new Uint8Array(8), () => {}), WireError);
	assert.throws(() => splitRecords(make.packed('u32', 8, 'u32', 0, 'u32', 0, 'u32', 0), () => {}), WireError);
});

// Damaged records are decoded, or refused with a WireError; anything else would end the page. E3_FUZZ: how many.
test('fuzz: damaged records are refused or harmless', () => {
	const random = make.randomOf(16);
	const samples = Object.values(each);
	const odd = [0, 1, 127, 128, 255];
	let [taken, away] = [0, 0];
	for (let k = 0; k < Number(process.env.E3_FUZZ || 20000); k++) {
		let bytes = samples[k % samples.length].slice();
		if (random() < 0.3)
			bytes = bytes.slice(0, 16 + 4 * Math.floor(random() * (bytes.length - 12) / 4));
		for (let j = Math.floor(random() * 6); j >= 0; j--) {
			const at = Math.floor(random() * random() * bytes.length);
			bytes[at] = random() < 0.5 ? odd[Math.floor(random() * 5)] : random() * 256;
		}
		if (random() < 0.9)
			new DataView(bytes.buffer).setUint32(0, bytes.length, true);
		if (random() < 0.8)
			bytes[5] &= 1;
		try {
			const one = decodeRecord(bytes);
			// What is taken keeps its promises: those who use it do not look again.
			if (one.type === 8)
				assert.ok(one.bytes.length === 10 * one.count && one.offset + one.count <= one.total && one.size.every((v) => v >= 0));
			if (one.type === 6)
				for (const e of one.entries)
					if (e.cells)
						eachCell(e.cells, (patch, layers) => assert.ok(patch < one.rows * one.cols && layers <= one.layers));
			if (one.type === 2 && one.flags & 1)
				assert.ok(one.matrix.every(Number.isFinite) && one.k.every(Number.isFinite));
			taken++;
		} catch (error) {
			assert.ok(error instanceof WireError, error.stack);
			away++;
		}
	}
	assert.ok(taken > 1000 && away > 1000, taken + ' taken, ' + away + ' refused: the fuzzing tests too little');
});
