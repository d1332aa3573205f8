// What the page knows and where it looks: runs, what the cache held, the player, links, lengths, and what is asked of the server.
import test from 'node:test';
import assert from 'node:assert/strict';
import { decodeRecord } from '../../lib/view/page/wire.js';
import { KeptHistory } from '../../lib/view/page/kept.js';
import { Run } from '../../lib/view/page/run.js';
import { Player } from '../../lib/view/page/player.js';
import { Link, ServerClock, socketAddress } from '../../lib/view/page/link.js';
import { Wants } from '../../lib/view/page/wants.js';
import { encodeShare, decodeShare } from '../../lib/view/page/share.js';
import { checkedSettings } from '../../lib/view/page/controls.js';
import { LengthUnit } from '../../lib/view/page/measure.js';
import { clockText, roundStep, timeStep } from '../../lib/view/page/timeline.js';
import { veil } from '../../lib/view/page/picture.js';
import { failureOf } from '../../lib/view/page/health.js';
import * as make from './records.mjs';

const INFO = decodeRecord(make.helloRecord()).runs[0];

function runOf(count, over = {}, index = 0) {
	const run = new Run(index, INFO, over.limit);
	for (let n = 0; n < count; n++)
		run.addFrame(decodeRecord(make.frameRecord(n, { i: (over.every || 1) * n, pts: n / 10, run: index, flags: over.flags })));
	return run;
}

// A cache of 3 layers and 6 patches that forgets at random: the true state after each frame, and the records that tell it.
function history(frames, seed) {
	const random = make.randomOf(seed);
	const truth = [];
	const records = [];
	let now = new Map();
	for (let n = 0; n < frames; n++) {
		const next = new Map([...now].map(([f, cells]) => [f, cells.slice()]));
		next.set(n, Array(6).fill(3));
		for (const cells of next.values())
			for (let p = 0; p < 6; p++)
				if (cells[p] > 0 && random() < 0.15)
					cells[p]--;
		for (const [f, cells] of next)
			if (cells.every((c) => c === 0))
				next.delete(f);
		const full = n % 64 === 0 || random() < 0.02;
		const entries = [];
		for (const f of new Set([...now.keys(), ...next.keys()])) {
			// Of a frame that changed, every patch that it still has.
			const [was, is] = [now.get(f) || [], next.get(f)];
			const cells = is ? is.map((c, p) => [p, c]).filter(([, c]) => c > 0) : [];
			const tokens = is ? is.reduce((a, b) => a + b) : 0;
			if (full ? is : !is || is.some((c, p) => c !== (was[p] || 0)))
				entries.push([f, tokens, is && is.every((c) => c === 3) ? null : cells]);
		}
		truth.push(next);
		records.push(decodeRecord(make.keptRecord(n, full, entries)));
		now = next;
	}
	return { truth, records };
}

function same(state, truth) {
	assert.deepEqual([...state.frames.keys()].sort((a, b) => a - b), [...truth.keys()].sort((a, b) => a - b));
	for (const [f, cells] of truth) {
		assert.deepEqual([...state.frames.get(f).cells], cells);
		assert.equal(state.frames.get(f).tokens, cells.reduce((a, b) => a + b));
	}
}

test('the cache at any frame, forwards, backwards and at random, is what it was', () => {
	const { truth, records } = history(300, 1);
	const kept = new KeptHistory((n) => (n < 300 ? 8 : -1));
	for (const record of records) {
		kept.add(record);
		same(kept.at(record.n), truth[record.n]);
	}
	const random = make.randomOf(2);
	for (let k = 0; k < 500; k++) {
		const n = k < 100 ? 299 - k : Math.floor(random() * 300);
		same(kept.at(n), truth[n]);
		assert.equal(kept.at(n).missing, null);
	}
});

test('what has not come is said, and nothing is made up', () => {
	const { truth, records } = history(200, 3);
	const kept = new KeptHistory((n) => (n < 200 ? 8 : -1));
	assert.deepEqual(kept.at(5).missing, { from: 0, to: 5 });
	const late = [30, 31, 90];
	for (const record of records)
		if (!late.includes(record.n))
			kept.add(record);
	for (let n = 0; n < 200; n++) {
		const state = kept.at(n);
		if (state.missing)
			assert.ok(late.includes(state.missing.from) && state.missing.from === state.n + 1 && state.missing.to === n);
		else
			assert.equal(state.n, n);
		// Up to where it is exact it is the truth.
		if (state.n >= 0)
			same(state, truth[state.n]);
	}
	for (const n of late)
		kept.add(records[n]);
	for (let n = 0; n < 200; n++)
		same(kept.at(n), truth[n]);
	// Frames whose flags say that they have no record change nothing.
	const sparse = new KeptHistory((n) => (n === 0 ? 8 : n < 9 ? 0 : -1));
	sparse.add(records[0]);
	same(sparse.at(8), truth[0]);
	assert.equal(sparse.at(8).missing, null);
	assert.equal(new KeptHistory(() => 0).at(3), null);
});

test('a full record replaces a change; the store of records stays within its limit, and says what to ask for', () => {
	const { truth, records } = history(400, 4);
	const kept = new KeptHistory((n) => (n < 400 ? 8 : -1), 20000);
	for (const record of records) {
		kept.add(record, record.n);
		assert.ok(kept.bytes <= 20000);
		same(kept.at(record.n), truth[record.n]);
	}
	const far = kept.at(3);
	assert.ok(far.missing && far.missing.to === 3);
	const entries = [...truth[3]].map(([f, cells]) => [f, cells.reduce((a, b) => a + b), cells.map((c, p) => [p, c]).filter(([, c]) => c > 0)]);
	kept.add(decodeRecord(make.keptRecord(3, true, entries)), 3);
	same(kept.at(3), truth[3]);
	assert.equal(kept.at(3).missing, null);
});

test('a run finds its frames by index and by time; corrections: the newest for a frame wins', () => {
	const run = runOf(1000, { every: 5 });
	assert.equal(run.addFrame(decodeRecord(make.frameRecord(3))), false);
	assert.equal(run.addFrame(decodeRecord(make.frameRecord(1001))), false);
	assert.deepEqual([-1, 0, 4, 5, 4994, 4995, 1e9].map((i) => run.frameAt(i)), [-1, 0, 0, 1, 998, 999, 999]);
	assert.deepEqual([0, 0.05, 0.1, 99.9, 100].map((t) => run.frameAtTime(t)), [0, 1, 1, 999, -1]);
	assert.equal(run.secondsBefore(500, 2), 480);
	assert.equal(run.secondsBefore(5, 2), 0);
	assert.deepEqual(run.position(4), [4, 0, 0]);
	const moved = (from, to, x) => run.addCorrection(decodeRecord(make.correctRecord(from, to, [1, 0, 0, 0, 1, x, 0, 0])));
	moved(0, 100, 1);
	moved(50, 200, 2);
	assert.deepEqual([0, 10, 20, 40, 41].map((n) => run.position(n)[0]), [1, 12, 22, 42, 41]);
	moved(0, 1000, 3);
	assert.equal(run.corrections.length, 1);
	assert.equal(run.position(200)[0], 203);
	assert.equal(runOf(2, { flags: 0 }).position(1), null);
});

test('pictures stay within their bytes, and a run knows what it dropped', () => {
	const run = runOf(100, { limit: 10000 });
	for (let n = 0; n < 100; n++)
		run.addMedia(decodeRecord(make.pictureRecord(3, n, new Uint8Array(500))));
	assert.ok(run.media.bytes <= 10000 && run.media.bytes > 5000);
	assert.ok(run.media.has(3, 99));
	const here = [...Array(100).keys()].filter((n) => run.media.has(3, n));
	// Old frames are thinned, not cut off.
	assert.ok(here.some((n) => n < 80) && here.at(-1) - here[0] >= here.length, here.join());
	assert.equal(run.dropped(here[0]), false);
	assert.equal([...Array(100).keys()].filter((n) => run.dropped(n)).length, 100 - here.length);
	run.addMedia(decodeRecord(make.pictureRecord(3, 500, new Uint8Array(500))));
	assert.equal(run.media.has(3, 500), false);
});

test('a record that comes before its frame waits for it, within bounds', () => {
	const run = runOf(3);
	const [picture, chunk] = [decodeRecord(make.pictureRecord(3, 5, new Uint8Array(500))), decodeRecord(make.chunkRecord(5, 0, 4, 4))];
	assert.equal(run.waits(decodeRecord(make.pictureRecord(3, 2, new Uint8Array(5)))), false);
	assert.equal(run.waits(picture) && run.waits(chunk), true);
	assert.deepEqual(run.takeEarly(4), []);
	assert.deepEqual(run.takeEarly(5), [picture, chunk]);
	assert.deepEqual([run.takeEarly(5), run.earlyBytes, run.early.size], [[], 0, 0]);
	for (let n = 10; n < 60; n++)
		run.waits({ n, bytes: new Uint8Array(1 << 20) });
	assert.equal(run.early.size, 16);
});

test('live follows; seeking pauses; playing keeps the time of the stream and goes live at its end', () => {
	const player = new Player();
	const run = runOf(50, { every: 2 });
	player.runs = [run];
	player.live = true;
	player.grown();
	assert.equal(player.i, 98);
	run.addFrame(decodeRecord(make.frameRecord(50, { i: 100, pts: 5 })));
	player.grown();
	assert.equal(player.i, 100);
	player.seek(41);
	assert.deepEqual([player.mode, player.shown(run).current], ['paused', 20]);
	run.addFrame(decodeRecord(make.frameRecord(51, { i: 102, pts: 5.1 })));
	player.grown();
	assert.equal(player.i, 41);
	player.togglePlay();
	player.tick(0.25);
	assert.equal(player.shown(run).current, 22);
	player.tick(0.06);
	assert.equal(player.shown(run).current, 23);
	player.setSpeed(4);
	player.tick(0.5);
	assert.equal(player.shown(run).current, 43);
	player.tick(1);
	assert.deepEqual([player.mode, player.i], ['live', 102]);
	player.live = false;
	player.step(-1);
	assert.deepEqual([player.mode, player.i], ['paused', 100]);
	player.step(1);
	player.togglePlay();
	assert.deepEqual([player.mode, player.i], ['playing', 0]);
	player.faster(1);
	player.faster(9);
	assert.equal(player.speed, 16);
});

test('windows: until now, seconds, one frame, all; two runs by their stream index', () => {
	const player = new Player();
	const [a, b] = [runOf(100), runOf(20, { every: 5 }, 1)];
	player.runs = [a, b];
	player.seek(52);
	assert.deepEqual(player.shown(a), { from: 0, to: 52, current: 52 });
	assert.deepEqual(player.shown(b), { from: 0, to: 10, current: 10 });
	player.setWindow('seconds', 2);
	assert.deepEqual(player.shown(a), { from: 32, to: 52, current: 52 });
	player.setWindow('one');
	assert.deepEqual(player.shown(b), { from: 10, to: 10, current: 10 });
	player.setWindow('all');
	assert.deepEqual(player.shown(b), { from: 0, to: 19, current: 10 });
	player.setWindow('never', -4);
	assert.deepEqual([player.window, player.seconds], ['until', 2]);
});

test('at first at most half of the points are cut, and none of a run whose confidences are all alike', () => {
	const run = new Run(0, { confidence: [0, 1] });
	const points = (...levels) => Uint8Array.from(levels.flatMap((level) => [0, 0, 0, 0, 0, 0, 1, 2, 3, level << 3 | 7]));
	assert.equal(run.firstCut(), 6);
	run.addLevels(points(0, 0, 0));
	assert.equal(run.firstCut(), 0);
	run.addLevels(points(2, 2, 2));
	assert.equal(run.firstCut(), 2);
	run.addLevels(points(6, 9, 31, 31, 31));
	assert.equal(run.firstCut(), 2);
	run.addLevels(points(31));
	assert.equal(run.firstCut(), 6);
	assert.equal(run.firstEdge(), 7);
	const rough = new Run(0, { confidence: [0, 1] }), at = (...edges) => rough.addLevels(Uint8Array.from(edges.flatMap((e) => [0, 0, 0, 0, 0, 0, 1, 2, 3, e])));
	assert.equal(rough.firstEdge(), 3);
	at(7, 7, 5);
	assert.equal(rough.firstEdge(), 7);
	at(5, 4);
	assert.equal(rough.firstEdge(), 5);
	at(0, 1, 2);
	assert.equal(rough.firstEdge(), 4);
	at(3, 3);
	assert.equal(rough.firstEdge(), 3);
});

test('a link carries the view and is checked; a damaged one is none', () => {
	const value = { view: { eye: [1, 2, 3] }, i: 7.5, settings: { colour: 'depth', confidence: 99, edl: 'yes', pointSize: 2, mode: 'top' } };
	const hash = encodeShare(value);
	assert.match(hash, /^#v=[\w-]+$/);
	assert.deepEqual(decodeShare(hash), value);
	for (const bad of ['', '#v=', '#v=%%', hash.slice(0, -3), '#v=' + btoa('[1]'), '#v=' + 'A'.repeat(9000), '#x=1'])
		assert.equal(decodeShare(bad), null, bad.slice(0, 20));
	const had = { colour: 'rgb', confidence: 6, edl: true, pointSize: 1, mode: 'orbit', kind: 'kept', edge: 3, frusta: true, detail: 5 };
	assert.deepEqual(checkedSettings(value.settings, had), { ...had, colour: 'depth', pointSize: 2, mode: 'top' });
});

test('texts and steps: times, lengths, axes, veils, failures', () => {
	assert.deepEqual([0, 7.25, 61, 3723].map((s) => clockText(s, false)), ['0:00', '0:07', '1:01', '1:02:03']);
	assert.deepEqual([7.25, 59.96].map((s) => clockText(s, true)), ['0:07.3', '1:00.0']);
	assert.deepEqual([0.3, 1, 3, 70].map(roundStep), [0.5, 1, 5, 100]);
	assert.deepEqual([0.01, 0.3, 3, 40, 5000].map(timeStep), [0.1, 0.5, 5, 60, 7200]);
	const unit = new LengthUnit();
	assert.equal(unit.text(0.5), '0.500 units');
	assert.equal(unit.learn(0.5, 2, 'm'), true);
	assert.equal(unit.text(1), '4.00 m');
	assert.equal(unit.learn(0, 2, 'm') || unit.learn(1, NaN, 'm') || unit.learn(1, -1, 'm'), false);
	assert.ok(veil(0) > veil(0.01) && veil(0.01) > veil(0.5) && veil(1) === 0);
	assert.deepEqual([failureOf(null), failureOf({ state: 'failed', reason: 'x' }), failureOf({ state: 'live', second: { state: 'failed' } })],
		['', 'x', 'the source failed']);
});

test('the clock of the server: the fastest answer says it best', () => {
	const clock = new ServerClock();
	assert.equal(clock.known, false);
	clock.add(10, 10.4, 1000.3);
	clock.add(20, 20.02, 1010.01);
	clock.add(30, 29, 5);
	assert.equal(clock.at(50), 1040);
	assert.ok(Math.abs(clock.trip - 0.02) < 1e-9);
	const address = (href) => socketAddress(new URL(href));
	assert.equal(address('http://127.0.0.1:8033/?token=a%20b&x=1#v=1'), 'ws://127.0.0.1:8033/ws?token=a%20b');
	assert.equal(address('https://host/page/'), 'wss://host/page/ws');
});

// A browser's parts that the connection uses, under the test's control.
function fakeBrowser() {
	const sockets = [];
	const real = { WebSocket: globalThis.WebSocket, window: globalThis.window, document: globalThis.document, setInterval: globalThis.setInterval };
	globalThis.WebSocket = class {
		constructor(url) {
			Object.assign(this, { url, sent: [], readyState: 0 });
			sockets.push(this);
		}
		send(text) { this.sent.push(JSON.parse(text)); }
	};
	globalThis.WebSocket.OPEN = 1;
	globalThis.window = { addEventListener: () => {} };
	globalThis.document = { addEventListener: () => {}, visibilityState: 'visible' };
	globalThis.setInterval = () => 0;
	return { sockets, restore: () => Object.assign(globalThis, real) };
}

test('the connection: records are given on, acknowledged in batches, refused ones are said; it is made again', async (t) => {
	const browser = fakeBrowser();
	t.after(browser.restore);
	const seen = { records: [], states: [], refused: [] };
	const link = new Link('ws://here/ws', {
		record: (r) => seen.records.push(r.type), state: (s) => seen.states.push(s), refused: (e) => seen.refused.push(e.message),
		opened: () => link.send({ want: { run: 0 } }),
	});
	const [socket] = browser.sockets;
	socket.readyState = 1;
	socket.onopen();
	const give = (bytes, seq) => {
		new DataView(bytes.buffer).setUint32(12, seq, true);
		socket.onmessage({ data: bytes.buffer });
	};
	give(make.helloRecord(), 1);
	give(make.record(77, 0, new Uint8Array(4)), 2);
	give(make.frameRecord(0), 3);
	socket.onmessage({ data: 'text' });
	assert.deepEqual(seen.records, [1, 2]);
	assert.deepEqual(seen.refused, ['a record of unknown type 77']);
	give(make.record(3, 0, new Uint8Array(200000)), 4);
	assert.deepEqual(socket.sent.map((m) => Object.keys(m)[0]), ['ping', 'want', 'ack']);
	assert.equal(socket.sent[2].ack, 4);
	socket.onclose({ reason: '' });
	await new Promise((resolve) => {
		const look = () => (browser.sockets.length > 1 ? resolve() : setTimeout(look, 5));
		look();
	});
	assert.deepEqual(seen.states, ['connecting', 'open', 'lost', 'connecting']);
	assert.equal(browser.sockets[1].url, 'ws://here/ws');
});

test('wants: said once, the frame that is looked at, and again what was dropped or does not come', async () => {
	const sent = [];
	const player = new Player();
	player.live = true;
	const wants = new Wants(player, { open: true, send: (m) => sent.push(m.want) }, 30);
	const look = async (run, n, looked = n, also = []) => {
		wants.look([{ run, looked, also, shown: { from: 0, to: n, current: n } }]);
		await new Promise((resolve) => {
			const wait = () => (wants.timer === 0 ? resolve() : setTimeout(wait, 5));
			wait();
		});
		return sent.splice(0);
	};
	const run = runOf(100, { flags: 7 });
	for (let n = 0; n < 100; n++)
		run.addMedia(decodeRecord(make.pictureRecord(3, n, new Uint8Array(500))));
	const gone = 4;
	run.media.items.delete(16 * gone + 3);
	assert.deepEqual(await look(run, 99), [{ run: 0 }]);
	assert.deepEqual(await look(run, 99), []);
	player.mode = 'paused';
	// The order is said last, because the server goes by the last word.
	const again = { run: 0, from: gone, to: gone, at: gone, again: true };
	assert.deepEqual(await look(run, gone), [again, { run: 0, from: 0, to: gone, at: gone }]);
	assert.deepEqual(await look(run, gone), []);
	const here = 60;
	assert.deepEqual((await look(run, 99, here, [here, gone, 200])).filter((w) => !w.again), [{ run: 0, from: 0, to: 99, at: 99, look: here, also: [gone] }]);
	// It does not come: the page looks at that frame for a moment, and then at the moment again.
	assert.deepEqual((await look(run, 99, here, [here, gone])).filter((w) => !w.again), [{ run: 0, from: 0, to: 99, at: gone }]);
	assert.deepEqual(await look(run, 99, here, [here, gone]), []);
	run.addMedia(decodeRecord(make.pictureRecord(3, gone, new Uint8Array(5))));
	assert.deepEqual((await look(run, 99, here, [here, gone])).filter((w) => !w.again), [{ run: 0, from: 0, to: 99, at: 99, look: here }]);
	// Frames that have records of the cache, of which none has come: asked for after a while.
	const late = runOf(100, { flags: 9 });
	assert.deepEqual(await look(late, 99), [{ run: 0, from: 0, to: 99, at: 99 }]);
	assert.deepEqual((await look(late, 99))[0], { run: 0, from: 36, to: 99, at: 99, again: true });
});
