// The view's parts that need no browser: matrices, what the camera shows, points in pages, thinning, drawing without a
// GPU, picking, PLY and GLB. node tests/view/scene.mjs [FOLDER: the files are left there]
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import * as m from '../../lib/view/page/matrix.js';
import { Camera, fitSphere, poseMatrices, poseMix } from '../../lib/view/page/camera.js';
import { Cloud, PAGE_POINTS, PAGE_ROWS, capOf, cloudRanges } from '../../lib/view/page/cloud.js';
import { turboColour, viridisColour, colourShader } from '../../lib/view/page/colours.js';
import { SoftImage, softLight, softPoints } from '../../lib/view/page/soft.js';
import { frustumCorners } from '../../lib/view/page/lines.js';
import { PICK_WIDE, nearestPick, pickPlace } from '../../lib/view/page/pick.js';
import { glbParts, linear16, plyParts } from '../../lib/view/page/save.js';
import { Pace } from '../../lib/view/page/pace.js';
import { chunkOf, room, seeded } from './room.mjs';

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
function near(a, b, tolerance, what) {
	assert.equal(a.length, b.length, what);
	a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) <= tolerance, `${what || ''} [${i}]: ${v}, not ${b[i]}`));
}
const BALL = Array.from({ length: 300 }, (_, i) => [2 * Math.sin(i), 2 * Math.cos(i) * Math.sin(7 * i), 3 + 2 * Math.cos(i) * Math.cos(7 * i)]);
function turned(yaw, centre) {
	const c = Math.cos(yaw), s = Math.sin(yaw);
	return [c, 0, s, centre[0], 0, 1, 0, centre[1], -s, 0, c, centre[2]];
}
// A cloud of count frames, frame n at (n, 0, 0), with the points given for each.
function line(count, points, max) {
	const cloud = new Cloud(max || 1e7), random = seeded(3);
	for (let n = 0; n < count; n++) {
		const xyz = Array.from({ length: points }, () => [random() - 0.5, random() - 0.5, 1 + random()]);
		cloud.addFrame(0, n, { matrix: turned(0, [n, 0, 0]), k: [1, 1, 0.5, 0.5], time: n });
		cloud.addChunk(0, n, chunkOf(xyz, xyz.map((_, i) => [i & 255, n & 255, 7]), (i) => [i % 32, i % 8]));
	}
	return cloud;
}
function howFor(pose, aspect, height) {
	const s = poseMatrices(pose, aspect, { centre: [0, 0, 0], radius: 20 }, 1);
	return {
		camera: s.matrix, planes: m.m44planes(s.matrix), from: 0, to: 1e6, last: 9, confidence: 0, edge: 7, colour: 'rgb',
		depths: [0.25, 4], size: [height / 2 / pose.tan, 1, 1, 12], fraction: 1, picking: false, near: s.near, far: s.far,
	};
}
function pageBytes(parts) { return Buffer.concat(parts.map((p) => Buffer.from(p.buffer, p.byteOffset, p.byteLength))); }

test('3x4 matrices: product, point, box', () => {
	const a = turned(0.3, [1, 2, 3]), b = turned(-1.1, [0.5, -4, 2]), p = [0.2, 0.7, -1.5];
	near(m.m34point(m.m34mul(a, b), p), m.m34point(a, m.m34point(b, p)), 1e-12);
	near(m.m34point(m.m34box(a, [1, 2, 3], [4, 5, 6]), [0.5, 1, 0]), m.m34point(a, [3, 7, 3]), 1e-12);
	assert.equal(m.m34finite([1, 2]), false);
	assert.equal(m.m34finite([...IDENTITY.slice(0, 11), NaN]), false);
	assert.equal(m.m34finite(new Float32Array(IDENTITY)), true);
});

test('quaternions: there and back, the shorter way', () => {
	const random = seeded(5);
	for (let i = 0; i < 200; i++) {
		const f = m.vunit([random() - 0.5, random() - 0.5, random() - 0.5]);
		const r = m.vunit(m.vcross(f, [random() - 0.5, random() - 0.5, random() - 0.5])), u = m.vcross(r, f);
		const back = m.axesOfQuat(m.quatOfAxes(r, u, f));
		near([...back.r, ...back.u, ...back.f], [...r, ...u, ...f], 1e-6);
	}
	const q = m.quatMix([0, 0, 0, 1], [0, 0, -Math.SQRT1_2, -Math.SQRT1_2], 0.5);
	near(q, [0, 0, Math.sin(Math.PI / 8), Math.cos(Math.PI / 8)], 1e-9);
});

test('perspective and parallel rays put near at -1 and far at 1; zoom fills the view', () => {
	for (const p of [m.m44perspective(0.5, 2, 0.1, 50), m.m44ortho(3, 2, 0.1, 50)])
		for (const [z, want] of [[-0.1, -1], [-50, 1]]) {
			const c = m.m44point(p, [0, 0, z]);
			assert.ok(Math.abs(c[2] / c[3] - want) < 1e-9);
		}
	const z = m.m44zoom(30, 40, 20, 100, 200), left = m.m44point(z, [2 * 20 / 100 - 1, 2 * 50 / 200 - 1, 0]);
	near([left[0], left[1]], [-1, 1], 1e-12);
});

test('the first frame as it was seen: x to the right, y down, z into the screen', () => {
	const camera = new Camera();
	camera.setMode('first');
	const frame = { world: IDENTITY, k: [0.8, 1.2, 0.5, 0.5] };
	const pose = camera.advance(0, frame, 1.5), { matrix } = poseMatrices(pose, 1.5, { centre: [0, 0, 0], radius: 10 }, 1);
	const at = (p) => { const c = m.m44point(matrix, p); return [c[0] / c[3], c[1] / c[3], c[3]]; };
	assert.ok(at([1, 0, 4])[0] > 0.1);
	assert.ok(at([0, 1, 4])[1] < -0.1);
	near([at([0, 0, 4])[2]], [4], 1e-9);
	// A corner of the picture is at the edge of the view, which is as wide as the picture here: fy / fx = 1.5.
	near(at([-0.5 / 0.8 * 3, 0.5 / 1.2 * 3, 3]).slice(0, 2), [-1, -1], 1e-9);
});

test('orbit, top and follow keep the first camera up; drags, pans and zooms move as the hand does', () => {
	const camera = new Camera(), tilted = [1, 0, 0, 0, 0, Math.cos(0.5), -Math.sin(0.5), 0, 0, Math.sin(0.5), Math.cos(0.5), 0];
	const aim = () => Object.assign(camera, { target: [0, 0, 3], distance: 5 });
	camera.setWorld(tilted);
	aim();
	const up = m.vscale(m.m34column(tilted, 1), -1), place = (p) => {
		const c = m.m44point(poseMatrices(camera.advance(10, null, 1), 1, { centre: [0, 0, 3], radius: 5 }, 1).matrix, p);
		return [c[0] / c[3], c[1] / c[3]];
	};
	near(place([0, 0, 3]), [0, 0], 1e-9);
	assert.ok(place(m.vadd([0, 0, 3], up))[1] > 0.1, 'up is up');
	const side = m.vadd([0, 0, 3], m.vscale(camera.axes(camera.yaw, 0).f, -1)), before = place(side);
	camera.rotate(40, 0, 700);
	assert.ok(place(side)[0] > before[0], 'what is in front follows the hand');
	const spot = [0.3, 0.2, 3], was = place(spot);
	camera.zoom(0.5, ...was, 1);
	assert.ok(Math.hypot(...m.vsub([...place(spot), 0], [...was, 0])) < 0.15, 'what is under the pointer stays there');
	aim();
	camera.advance(10, null, 1);
	camera.pan(70, -35, 700);
	near(place([0, 0, 3]), [0.2, 0.1], 1e-9);
	camera.setMode('top');
	aim();
	near(place(m.vadd([0, 0, 3], up)), [0, 0], 1e-9, 'from above, up is one point');
	assert.equal(camera.advance(10, null, 1).ortho, true);
	camera.setMode('follow');
	const frame = { world: turned(0.7, [5, 0, 1]), k: [1, 1, 0.5, 0.5] };
	for (let i = 0; i < 200; i++) camera.advance(0.05, frame, 1);
	assert.equal(camera.moving(), false);
	const pose = camera.advance(0.05, frame, 1), ahead = m.vdot(m.vsub([5, 0, 1], pose.eye), m.m34column(frame.world, 2));
	assert.ok(ahead > 0.2, 'behind the camera that it follows');
});

test('what is fitted is in the view and fills it, whatever its shape', () => {
	for (const mode of ['orbit', 'top']) for (const aspect of [0.4, 1, 2.5]) {
		const camera = new Camera(), path = [[-4, 0, -1], [0, 0, 0]];
		camera.mode = mode;
		camera.fit([-1, 0, 2], BALL, path, aspect);
		const { matrix } = poseMatrices(camera.advance(10, null, aspect), aspect, { centre: [0, 0, 3], radius: 5 }, 1);
		const reach = [...BALL, ...path].map((p) => m.m44point(matrix, p)).map((c) => Math.max(Math.abs(c[0]), Math.abs(c[1])) / c[3]).sort((a, b) => a - b);
		assert.ok(reach[Math.floor(0.96 * reach.length)] < 1 && reach.at(-1) < 1.06, `${mode} ${aspect}: ${reach.slice(-3)}`);
		assert.ok(reach.at(-1) > 0.8, `${mode} ${aspect}: ${reach.at(-1)}`);
		for (const j of [0, 1]) {
			const all = [...BALL, ...path].map((p) => m.m44point(matrix, p)).map((c) => c[j] / c[3]);
			assert.ok(Math.abs(Math.min(...all) + Math.max(...all)) < 0.2, `${mode} ${aspect}: in the middle`);
		}
	}
});

test('changes of view are smooth, and a view goes through JSON', () => {
	const camera = new Camera();
	camera.fit([0, 0, 3], BALL, [], 1);
	const a = camera.advance(10, null, 1);
	camera.setMode('top');
	const b = camera.advance(0.01, null, 1);
	assert.ok(m.vlength(m.vsub(a.eye, b.eye)) < 0.1 * a.distance);
	assert.equal(camera.moving(), true);
	camera.advance(10, null, 1);
	assert.equal(camera.moving(), false);
	const other = new Camera();
	other.setView(JSON.parse(JSON.stringify(camera.getView())));
	near(other.advance(0, null, 1).eye, camera.advance(0, null, 1).eye, 1e-4);
	const saved = JSON.stringify(other.getView());
	for (const bad of [null, 7, {}, { mode: 'x', target: [1, 2], yaw: 'a', distance: -1, behind: [0, 0, 0], look: [NaN, 0, 1] }])
		other.setView(bad);
	assert.equal(JSON.stringify(other.getView()), saved);
	near(poseMix(a, b, 1).eye, b.eye, 1e-12);
	const fit = fitSphere([...Array.from({ length: 99 }, (_, i) => [i % 3 - 1, 0, 0]), [1e6, 0, 0]], [[0, 0, -2], [0, 0, 1]]);
	near([...fit.centre, fit.radius], [0, 0, -0.5, Math.hypot(1, 1.5)], 1e-9, 'one stray point moves nothing');
});

test('points are where the wire says, whatever pages they lie in', () => {
	const cloud = line(3, 60000), [frame] = cloud.runs[0];
	assert.equal(cloud.points, 180000);
	assert.equal(cloud.pages.length, 2);
	assert.equal(cloud.pages[0].used, PAGE_POINTS);
	const sample = cloud.sample(frame, 24), random = seeded(3);
	for (const p of sample) near(p, [random() - 0.5, random() - 0.5, 1 + random()], 2e-5);
	const some = cloud.point(cloud.pages[1], 10);
	assert.deepEqual([some.run, some.n, some.colour[1], some.colour[2]], [0, 2, 2, 7]);
	const index = PAGE_POINTS + 10 - 120000;
	assert.deepEqual([some.confidence, some.edge, some.colour[0]], [index % 32, index % 8, index & 255]);
	assert.ok(some.point[0] > 1.4 && some.point[0] < 2.6);
	cloud.setCorrection(0, 2, [2, 0, 0, 10, 0, 2, 0, 0, 0, 0, 2, 0]);
	near(cloud.point(cloud.pages[1], 10).point, m.vadd(m.vscale(some.point, 2), [10, 0, 0]), 1e-9);
	near(Array.from(cloud.pages[1].table.subarray(0, 4)), [2 * cloud.pages[1].rows[0].size[0], 0, 0,
		2 * (cloud.pages[1].rows[0].min[0] + 2) + 10], 1e-5);
	cloud.addFrame(0, 2, { matrix: null, k: null, time: 0 });
	assert.equal(cloud.pages[1].table[12], -1, 'no pose: not drawn');
});

test('odd chunks: unaligned bytes, a lying count, points before their frame, many small boxes', () => {
	const cloud = new Cloud(1e6), whole = chunkOf([[1, 2, 3], [2, 3, 4]], [[1, 2, 3], [4, 5, 6]], () => [31, 0]);
	const shifted = new Uint8Array(21);
	shifted.set(whole.bytes, 1);
	assert.equal(cloud.addChunk(1, 5, { ...whole, count: 1000, bytes: shifted.subarray(1) }), 2);
	assert.equal(cloud.pages[0].table[12], -1);
	cloud.addFrame(1, 5, { matrix: IDENTITY, k: [1, 1, 0.5, 0.5], time: 0 });
	near(cloud.point(cloud.pages[0], 1).point, [2, 3, 4], 1e-4);
	assert.equal(cloud.addChunk(1, 5, { ...whole, size: [NaN, 1, 1] }), 0);
	for (let n = 0; n < PAGE_ROWS + 5; n++) cloud.addChunk(0, n, whole);
	assert.equal(cloud.pages.filter((p) => p.run === 0).length, 2, 'a page with all rows taken is full');
});

test('too many points: all frames keep the same number of their first ones, and memory is bounded', () => {
	assert.equal(capOf([10, 20, 30], 100), Infinity);
	assert.equal(capOf([10, 200, 300], 110), 50);
	const cloud = new Cloud(100000), random = seeded(9);
	for (let n = 0; n < 400; n++) {
		const xyz = Array.from({ length: 2000 }, () => [random(), random(), 1]);
		const whole = chunkOf(xyz, xyz.map((_, i) => [i & 255, i >> 8, 0]), () => [0, 0]);
		cloud.addFrame(0, n, { matrix: IDENTITY, k: [1, 1, 0.5, 0.5], time: 0 });
		for (const [from, to] of [[0, 500], [500, 2000]])
			cloud.addChunk(0, n, { ...whole, offset: from, count: to - from, bytes: whole.bytes.subarray(10 * from, 10 * to) });
		assert.ok(cloud.points <= 100000);
	}
	const held = cloud.runs[0].map((f) => f.held);
	assert.ok(Math.min(...held) >= 150 && Math.max(...held) <= cloud.cap, `${Math.min(...held)}..${Math.max(...held)}, cap ${cloud.cap}`);
	assert.ok(cloud.bytes() < 12e6, `${cloud.bytes()} bytes`);
	const seen = new Map();
	for (const page of cloud.pages) for (let i = 0; i < page.used; i++) {
		const { n, colour } = cloud.point(page, i);
		seen.set(n, Math.max(seen.get(n) || 0, colour[0] + 256 * colour[1]));
	}
	held.forEach((count, n) => assert.equal(seen.get(n), count - 1, 'the first ones'));
	cloud.setMax(200000);
	assert.equal(cloud.cap, Infinity, 'there is room again');
	cloud.clear();
	assert.equal(cloud.points, 0);
	assert.ok(cloud.free.length <= 4);
});

test('ranges: only what is wanted, neighbours joined, a fraction of each frame', () => {
	const cloud = line(4, 1000), [page] = cloud.pages;
	assert.deepEqual(cloudRanges(page, () => true, 1), [[0], [4000]]);
	assert.deepEqual(cloudRanges(page, (f) => f.n === 1 || f.n === 3, 1), [[1000, 3000], [1000, 1000]]);
	assert.deepEqual(cloudRanges(page, () => true, 0.1), [[0, 1000, 2000, 3000], [100, 100, 100, 100]]);
});

test('drawn without a GPU: the pixels that the points must cover, nearest first', () => {
	const cloud = new Cloud(1000);
	cloud.addFrame(0, 0, { matrix: IDENTITY, k: [1, 1, 0.5, 0.5], time: 0 });
	const xyz = [[0, 0, 4], [0, 0, 2], [1, 0, 4], [0, 1, 4]];
	cloud.addChunk(0, 0, chunkOf(xyz, [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], (i) => [i, i]));
	const pose = { eye: [0, 0, 0], r: [1, 0, 0], u: [0, -1, 0], f: [0, 0, 1], tan: 0.5, distance: 4, ortho: false };
	const how = { ...howFor(pose, 1, 101), size: [101, 0, 3, 3] }, image = new SoftImage(101, 101), part = [0, 0, 101, 101];
	const shown = () => {
		image.clear(part, 0);
		softPoints(cloud, 0, how, image, part);
		const found = {};
		image.colour.forEach((c, i) => { if (c) (found[c & 0xffffff] = found[c & 0xffffff] || []).push([i % 101, Math.floor(i / 101)]); });
		return found;
	};
	let found = shown();
	assert.deepEqual(found[0x00ff00], [[49, 49], [50, 49], [51, 49], [49, 50], [50, 50], [51, 50], [49, 51], [50, 51], [51, 51]]);
	assert.equal(found[0x0000ff], undefined, 'hidden by the nearer one');
	near(found[0xff0000][4], [75, 50], 1, 'x to the right');
	near(found[0x090909][4], [50, 25], 1, 'y down');
	how.confidence = 2;
	found = shown();
	assert.deepEqual(Object.keys(found).length, 2, 'confidences 2 and 3');
	Object.assign(how, { confidence: 0, edge: 0 });
	assert.deepEqual(Object.keys(shown()), [String(0x0000ff)], 'edge 0 only');
	Object.assign(how, { edge: 7, from: 1 });
	assert.deepEqual(shown(), {});
	Object.assign(how, { from: 0, picking: true });
	image.clear(part, 0xffffffff);
	softPoints(cloud, 0, how, image, part);
	const at = (x, y) => image.colour[101 * y + x];
	assert.deepEqual([at(50, 50), at(0, 0)], [1, 0xffffffff]);
});

test('picking: the nearest number to the middle, and which point it is', () => {
	const image = new SoftImage(PICK_WIDE, PICK_WIDE), middle = (PICK_WIDE * PICK_WIDE - 1) / 2;
	image.colour.fill(0xffffffff);
	const bytes = new Uint8Array(image.colour.buffer);
	assert.equal(nearestPick(bytes, PICK_WIDE), -1);
	image.colour[0] = 5;
	image.colour[middle + 3] = 3 * PAGE_POINTS + 17;
	assert.deepEqual(pickPlace(nearestPick(bytes, PICK_WIDE)), { page: 3, index: 17 });
});

test('colours: the ends of turbo and viridis, and the shader has the same numbers', () => {
	near(viridisColour(0), [0.267, 0.005, 0.329], 0.02);
	near(viridisColour(1), [0.993, 0.906, 0.144], 0.02);
	const high = [0.12, 0.5, 0.88].map((t) => turboColour(t)).map((c) => c.indexOf(Math.max(...c)));
	assert.deepEqual(high, [2, 1, 0], 'blue, green, red');
	assert.match(colourShader(), /vec3 turbo\(float t\)[^]*59\.2863794[^]*vec3 viridis\(float t\)[^]*26\.3124353/);
});

test('the corners of a picture', () => {
	near(frustumCorners(turned(0, [1, 2, 3]), [0.5, 1, 0.5, 0.25], 2).flat(), [-1, 1.5, 5, 3, 1.5, 5, -1, 3.5, 5, 3, 3.5, 5], 1e-12);
});

test('pace: one picture at a time, less of it where that takes long, all of it at rest', () => {
	const fences = [], gl = {
		SYNC_GPU_COMMANDS_COMPLETE: 1, SYNC_STATUS: 2, SIGNALED: 3, fenceSync: () => fences[fences.push({ done: false }) - 1],
		deleteSync() {}, flush() {}, getSyncParameter: (f) => f.done ? 3 : 4,
	};
	const pace = new Pace(gl);
	let plan = pace.plan(0, true, false);
	assert.deepEqual([plan.scale, plan.fraction], [1, 1]);
	pace.drew(0, plan);
	assert.equal(pace.plan(50, true, false), null, 'the last one is not finished');
	assert.equal(pace.finishedCount, 0);
	fences[0].done = true;
	plan = pace.plan(100, true, false);
	assert.equal(pace.finishedCount, 1);
	assert.ok(plan.fraction < 1, 'it took 100 ms');
	pace.drew(100, plan);
	fences[1].done = true;
	assert.equal(pace.full, false);
	assert.equal(pace.plan(120, false, false), null);
	plan = pace.plan(400, false, false);
	assert.deepEqual([plan.scale, plan.fraction], [1, 1], 'at rest');
	pace.drew(400, plan);
	fences[2].done = true;
	assert.equal(pace.plan(800, false, false), null, 'nothing to do');
	assert.equal(pace.plan(801, false, true).scale, 1, 'asked for');
});

test('PLY: header, and what passes the filter', () => {
	const cloud = line(3, 64), bytes = pageBytes(plyParts(cloud, 0, { from: 1, to: 2, confidence: 16, edge: 3 }));
	const end = bytes.indexOf('end_header\n') + 11, head = bytes.subarray(0, end).toString();
	const count = Number(/element vertex (\d+)/.exec(head)[1]);
	assert.equal(count, 2 * 2 * 8);
	assert.equal(bytes.length - end, 19 * count);
	const first = [0, 1, 2].map((i) => bytes.readFloatLE(end + 4 * i)), part = cloud.pages[0].parts[1];
	near(first, cloud.point(cloud.pages[0], part.first + 16).point, 1e-6);
	assert.deepEqual([...bytes.subarray(end + 12, end + 15), bytes.readInt32LE(end + 15)], [16, 1, 7, 1]);
	if (process.argv[2]) writeFileSync(`${process.argv[2]}/shown.ply`, bytes);
});

test('GLB: lengths, positions with y up, linear colours, the path; none where nothing is shown', () => {
	const cloud = line(3, 64), basis = { r: [1, 0, 0], u: [0, -1, 0], f: [0, 0, 1] };
	const bytes = pageBytes(glbParts(cloud, 0, { from: 0, to: 9, confidence: 0, edge: 7 }, basis));
	assert.equal(bytes.readUInt32LE(8), bytes.length);
	const text = bytes.readUInt32LE(12), json = JSON.parse(bytes.subarray(20, 20 + text).toString());
	assert.equal(text % 4, 0);
	assert.equal(json.accessors[0].count, 192);
	assert.deepEqual(json.nodes[0].matrix, [1, 0, -0, 0, 0, -1, -0, 0, 0, 0, -1, 0, 0, 0, 0, 1].map((v) => v || 0));
	const start = 28 + text, place = [0, 1, 2].map((i) => bytes.readFloatLE(start + 4 * i));
	near(place, cloud.point(cloud.pages[0], 0).point, 1e-6);
	const all = Array.from({ length: 192 }, (_, i) => bytes.readFloatLE(start + 12 * i));
	assert.deepEqual([json.accessors[0].min[0], json.accessors[0].max[0]], [Math.min(...all), Math.max(...all)]);
	const paint = start + json.bufferViews[1].byteOffset;
	assert.deepEqual([0, 1, 2, 3].map((i) => bytes.readUInt16LE(paint + i * 2)), [0, 0, linear16(7), 65535]);
	assert.deepEqual([linear16(0), linear16(255), linear16(128)], [0, 65535, 14146]);
	assert.equal(json.accessors[2].count, 3);
	assert.equal(json.meshes[1].primitives[0].mode, 3);
	const none = pageBytes(glbParts(cloud, 0, { from: 90, to: 91, confidence: 0, edge: 7 }, basis));
	assert.equal(none.readUInt32LE(8), none.length);
	if (process.argv[2]) {
		writeFileSync(`${process.argv[2]}/shown.glb`, bytes);
		writeFileSync(`${process.argv[2]}/none.glb`, none);
	}
});

test('a room, drawn from where a frame was: what it saw is there in its colours', () => {
	const cloud = new Cloud(1e6), frames = room(12, 1500);
	for (const f of frames) {
		cloud.addFrame(0, f.n, f);
		assert.equal(cloud.addChunk(0, f.n, f.chunk), 1500);
	}
	const camera = new Camera();
	camera.scale = 3;
	camera.setMode('first');
	const pose = camera.advance(0, cloud.runs[0][3], 1.3), image = new SoftImage(260, 200), part = [0, 0, 260, 200];
	image.clear(part, 0);
	const how = { ...howFor(pose, 1.3, 200), size: [100 / pose.tan, 2, 1, 12] };
	softPoints(cloud, 0, how, image, part);
	const covered = image.colour.reduce((sum, c) => sum + (c !== 0), 0) / image.colour.length;
	assert.ok(covered > 0.95, `covered: ${covered}`);
	// A ray down the middle of frame 3 meets what the room's own arithmetic says: z at the middle of the picture.
	const middle = image.depth[100 * 260 + 130], w = 2 * how.near * how.far / (how.far + how.near - (2 * middle - 1) * (how.far - how.near));
	const hit = frames[3].chunk, z = [];
	const words = new DataView(hit.bytes.buffer);
	for (let i = 0; i < 1500; i++) {
		const p = [0, 1, 2].map((j) => hit.min[j] + hit.size[j] * words.getUint16(10 * i + 2 * j, true) / 65535);
		if (Math.hypot(p[0] / p[2], p[1] / p[2]) < 0.05) z.push(p[2]);
	}
	assert.ok(z.length > 3 && Math.min(...z) * 0.93 < w && w < Math.max(...z) * 1.07, `z ${w}, not ${Math.min(...z)}..${Math.max(...z)}`);
});

test('light without a GPU: a step in depth darkens what lies behind, nothing else; where nothing is, the back', () => {
	const image = new SoftImage(6, 6), part = [0, 0, 6, 6];
	image.clear(part, 0);
	for (let y = 1; y < 6; y++)
		for (let x = 0; x < 6; x++) {
			image.colour[6 * y + x] = 0xffc8c8c8;
			image.depth[6 * y + x] = x < 3 ? 0.5 : 0.9;
		}
	softLight(image, part, { near: 0.1, far: 10, flat: 0, strength: 4, radius: 1, back: [0, 0, 1] });
	const line = Array.from(image.colour.subarray(18, 24), (c) => c & 255);
	assert.deepEqual([line[0], line[1], line[2], line[4], line[5]], [200, 200, 200, 200, 200]);
	// z at depth d is proportional to 1 / (far - d (far - near)).
	const ratio = (10 - 0.9 * 9.9) / (10 - 0.5 * 9.9);
	assert.ok(Math.abs(line[3] - 200 * Math.exp(-4 * (1 - ratio))) <= 1, String(line[3]));
	assert.equal(image.colour[2], 0xffff0000);
});
