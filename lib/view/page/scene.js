// The view of one run, or of two side by side through one camera: what app.js talks to. The scene keeps points, poses and
// options; render(), called in every animation frame, draws only when something changed. While things move it draws with
// fewer points and pixels where the machine is slow, and fully as soon as they rest.

import { vsub, vlength, m34column, m34point, m44mul, m44point, m44planes, m44view, m44zoom } from './matrix.js';
import { glSoftware, GlTarget, GlUpload } from './gl.js';
import { Cloud } from './cloud.js';
import { Points } from './points.js';
import { SoftImage, softLight, softPoints } from './soft.js';
import { EyeDome } from './edl.js';
import { Lines, frustumCorners, frustumLines } from './lines.js';
import { Picker, PICK_WIDE } from './pick.js';
import { Camera, fitSphere, poseMatrices } from './camera.js';
import { Navigator } from './navigate.js';
import { Pace } from './pace.js';
import { glbParts, plyParts } from './save.js';

export const SCENE_KEYS = [
	['W A S D', 'move'], ['Q E', 'down, up'], ['Arrows', 'turn'], ['PageUp PageDown', 'nearer, farther'],
];

const SCENE_END = 16777215; // a frame number that no run reaches: floats hold integers up to here
const SCENE_FRUSTA = 48; // at most so many cameras are drawn
const SCENE_COLOURS = {
	dark: { back: [0.063, 0.071, 0.086], early: [0.22, 0.45, 0.95], late: [1.0, 0.62, 0.2], frustum: [150, 160, 180, 150], now: [255, 214, 64, 255] },
	light: { back: [0.957, 0.953, 0.937], early: [0.1, 0.25, 0.75], late: [0.85, 0.35, 0.0], frustum: [90, 98, 115, 150], now: [214, 96, 0, 255] },
};

export class Scene {
	// Throws where the browser has no WebGL 2.
	constructor(canvas) {
		this.canvas = canvas;
		this.cloud = new Cloud(/Mobi|Android/i.test(navigator.userAgent) ? 2e6 : 1e7);
		this.camera = new Camera();
		this.camera.abrupt = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
		this.runCount = 1;
		this.onChange = null;
		this.pictures = [null, null]; // {n, bitmap}
		this.measured = null;
		// confidence: the smallest (0..31) and edge: the largest (0..7) that is drawn; pointSize: 1: neighbours touch.
		const first = {
			from: 0, to: SCENE_END, current: null, confidence: 0, pointSize: 1, edge: 7, colour: 'rgb', edl: true,
			frusta: true, path: true, dark: true,
		};
		this.options = [{ ...first }, { ...first }];
		this.gl = canvas.getContext('webgl2', { alpha: true, antialias: false, depth: true, powerPreference: 'high-performance' });
		if (!this.gl) throw new Error('this browser has no WebGL 2');
		canvas.addEventListener('webglcontextlost', (e) => {
			e.preventDefault();
			this.ready = false;
		});
		canvas.addEventListener('webglcontextrestored', () => this.setup());
		this.navigator = new Navigator(canvas, this);
		this.size = [0, 0];
		this.known = {};
		this.setup();
		this.clear();
	}
	// Everything of the GPU, at the start and when the context comes back.
	setup() {
		const gl = this.gl;
		this.software = glSoftware(gl);
		gl.getExtension('EXT_color_buffer_float');
		gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
		this.points = new Points(gl, this.cloud);
		this.target = new GlTarget(gl);
		this.upload = new GlUpload(gl);
		this.dome = new EyeDome(gl);
		this.lines = new Lines(gl);
		this.picker = new Picker(gl);
		this.pace = new Pace(gl, this.pace);
		for (const frames of this.cloud.runs) for (const f of frames) if (f) this.pathOf(f);
		this.pictures.forEach((p, run) => p && this.showPicture(run, p.n, p.bitmap));
		this.setMeasure(this.measured);
		this.ready = true;
		this.wake();
	}
	clear() {
		this.cloud.clear();
		this.lines.clear();
		this.pictures = [null, null];
		this.measured = null;
		this.camera.scale = 1;
		this.sphere = { centre: [0, 0, 0], radius: 1 };
		this.known = { version: -1, frames: 0, held: 0, fit: null, world: false };
		this.wake();
	}
	// Something is to be drawn anew.
	wake() { this.dirty = true; }
	// The user moved the camera.
	moved() {
		this.wake();
		if (this.onChange) this.onChange();
	}
	setRuns(count) {
		if (this.runCount === (count === 2 ? 2 : 1)) return;
		this.runCount = count === 2 ? 2 : 1;
		this.reshaped();
	}
	setMax(points) {
		if (points === this.cloud.max) return;
		this.cloud.setMax(points);
		this.wake();
	}
	// matrix: camera to world, 3x4, or null; posed false: points lie there, but no camera did.
	addFrame(run, n, frame) {
		this.pathOf(this.cloud.addFrame(run, n, frame));
		this.wake();
	}
	setCorrection(run, n, matrix) {
		const have = this.cloud.frame(run, n).correction;
		if (have && matrix ? have.every((v, i) => v === matrix[i]) : !have && !matrix) return;
		this.pathOf(this.cloud.setCorrection(run, n, matrix));
		this.wake();
	}
	pathOf(frame) {
		this.lines.paths[frame.run].set(frame.n, frame.posed && frame.world ? m34column(frame.world, 3) : null);
	}
	// Returns how many of the points were taken: fewer than count where there is a limit.
	addChunk(run, n, chunk) {
		this.wake();
		return this.cloud.addChunk(run, n, chunk);
	}
	// The bitmap stays the caller's; it is kept until the next one, in case the context is lost.
	setPicture(run, n, bitmap) {
		const have = this.pictures[run];
		if (have && bitmap ? have.n === n && have.bitmap === bitmap : !have && !bitmap) return;
		this.showPicture(run, n, bitmap);
	}
	showPicture(run, n, bitmap) {
		this.pictures[run] = bitmap ? { n, bitmap } : null;
		try {
			this.lines.setPicture(run, bitmap);
		} catch {
			// A bitmap that was closed: the picture is not shown.
			this.pictures[run] = null;
		}
		this.wake();
	}
	// Changes options, of one run where it is given.
	set(options, run) {
		const { mode, ...rest } = options;
		if (mode !== undefined && mode !== this.camera.mode) {
			this.camera.setMode(mode);
			this.wake();
		}
		for (const k of run === undefined ? [0, 1] : [run])
			for (const [name, value] of Object.entries(rest))
				if (value !== undefined && this.options[k][name] !== value) {
					this.options[k][name] = value;
					this.wake();
				}
	}
	getView() { return this.camera.getView(); }
	setView(view) {
		this.camera.setView(view);
		this.wake();
	}
	// The frame that a run is at: the current one, or the newest before it that has a pose.
	current(run) {
		const frames = this.cloud.runs[run], wanted = this.options[run].current;
		for (let n = Math.min(frames.length - 1, wanted === null ? SCENE_END : wanted); n >= 0; n--)
			if (frames[n] && frames[n].posed && frames[n].world) return frames[n];
		return null;
	}
	// Where things are, from a few points of some frames; made again when there is more, and (all) when nothing else comes.
	survey(all) {
		const known = this.known, cloud = this.cloud;
		if (known.version === cloud.version) return;
		const first = cloud.runs[0].find((f) => f && f.posed && f.world);
		if (first && !known.world) {
			this.camera.setWorld(first.world);
			known.world = true;
		}
		const frames = cloud.runs.flat().filter((f) => f && f.world && (f.posed || f.first));
		const more = frames.length > 1.05 * known.frames || cloud.points > 1.2 * known.held;
		if (!all && frames.length > 64 && !more && (known.fit || this.camera.touched)) return;
		Object.assign(known, { version: cloud.version, frames: frames.length, held: cloud.points });
		const step = Math.max(1, frames.length / 200), points = [], path = [], deeps = [];
		for (let i = 0; i < frames.length; i += step) {
			const frame = frames[Math.floor(i)];
			if (frame.posed) path.push(m34column(frame.world, 3));
			const some = cloud.sample(frame, 24);
			if (some.length === 0) continue;
			const size = vlength(m34column(frame.world, 0));
			deeps.push(some.map((p) => p[2]).sort((a, b) => a - b)[some.length >> 1] * size);
			points.push(...some.map((p) => m34point(frame.world, p)));
		}
		if (deeps.length > 0) this.camera.scale = Math.max(1e-6, deeps.sort((a, b) => a - b)[deeps.length >> 1]);
		Object.assign(known, { points, path, length: path.reduce((sum, p, i) => sum + (i ? vlength(vsub(p, path[i - 1])) : 0), 0) });
		if (!this.camera.touched && this.camera.mode !== 'follow' && this.camera.mode !== 'first') this.refit();
	}
	// Until the user takes the camera, it keeps everything in sight as the scene grows.
	refit() {
		const want = fitSphere(this.known.points, this.known.path), have = this.known.fit;
		const far = have === null ? Infinity : vlength(vsub(want.centre, have.centre)) + Math.abs(want.radius - have.radius);
		if (far < 0.04 * want.radius) return;
		this.known.fit = want;
		this.camera.fit(want.centre, this.known.points, this.known.path, this.aspect());
		if (have === null) this.camera.turn = null;
	}
	// The smallest sphere, nearly, around all that is drawn.
	enclose() {
		const lo = [Infinity, Infinity, Infinity], hi = [-Infinity, -Infinity, -Infinity];
		const grow = (p, r) => {
			for (let i = 0; i < 3; i++) {
				lo[i] = Math.min(lo[i], p[i] - r);
				hi[i] = Math.max(hi[i], p[i] + r);
			}
		};
		for (const page of this.cloud.pages) for (const r of page.rows) if (r.frame.world) grow(r.centre, r.radius);
		for (const frames of this.cloud.runs) for (const f of frames) if (f && f.world) grow(m34column(f.world, 3), this.camera.scale);
		if (lo[0] > hi[0]) return { centre: [0, 0, 0], radius: 1 };
		return { centre: lo.map((v, i) => (v + hi[i]) / 2), radius: vlength(vsub(hi, lo)) / 2 };
	}
	fit() {
		this.resize();
		this.survey(true);
		const { points = [], path = [] } = this.known;
		this.camera.fit(fitSphere(points, path).centre, points, path, this.aspect());
		this.wake();
	}
	focus(point) {
		this.camera.focus(point);
		this.wake();
	}
	// Rectangles of the runs on the canvas, in drawing pixels from the lower left: [x, y, width, height].
	views() {
		const w = this.canvas.width, h = this.canvas.height;
		if (this.runCount === 1) return [[0, 0, w, h]];
		if (w >= h) return [[0, 0, w >> 1, h], [w - (w >> 1), 0, w >> 1, h]];
		return [[0, h - (h >> 1), w, h >> 1], [0, 0, w, h >> 1]];
	}
	aspect() {
		const [, , w, h] = this.views()[0];
		return w / Math.max(1, h);
	}
	ratio() { return this.canvas.width / Math.max(1, this.canvas.clientWidth); }
	// The view under a place of the page, CSS pixels from the canvas's upper left: its run, height in CSS pixels, and where
	// the place is in it: nx, ny in -1..1, y up; px, py in drawing pixels.
	viewAt(x, y) {
		const k = this.ratio(), views = this.views(), px = x * k, py = this.canvas.height - y * k;
		const run = Math.max(0, views.findIndex(([vx, vy, w, h]) => px >= vx && px < vx + w && py >= vy && py < vy + h));
		const [vx, vy, w, h] = views[run];
		return { run, height: h / k, aspect: w / h, nx: 2 * (px - vx) / w - 1, ny: 2 * (py - vy) / h - 1, px: px - vx, py: py - vy };
	}
	// Follows the page's layout: how many pixels the canvas has when nothing moves.
	resize() {
		const limit = this.software ? 1 : 2, k = Math.min(limit, window.devicePixelRatio || 1);
		const w = Math.max(2, Math.round(this.canvas.clientWidth * k)), h = Math.max(2, Math.round(this.canvas.clientHeight * k));
		if (w === this.size[0] && h === this.size[1]) return;
		this.size = [w, h];
		this.resolve(1);
		this.reshaped();
	}
	resolve(scale) {
		const w = Math.ceil(this.size[0] * scale), h = Math.ceil(this.size[1] * scale);
		if (w !== this.canvas.width) this.canvas.width = w;
		if (h !== this.canvas.height) this.canvas.height = h;
	}
	// The views have another shape: what fitted is fitted again.
	reshaped() {
		this.known.fit = null;
		this.known.version = -1;
		this.wake();
	}
	// Call in every animation frame; true where it drew. now: draw in any case, and fully.
	render(now) {
		if (!this.ready || this.gl.isContextLost()) return false;
		this.resize();
		const time = performance.now(), changed = this.dirty || this.camera.moving();
		const plan = this.pace.plan(time, changed, now === true);
		if (plan === null) return false;
		// Without a GPU the canvas itself has fewer pixels: to enlarge a picture costs as much as to draw it.
		this.resolve(this.software ? plan.scale : 1);
		const dt = Math.min(0.1, (time - (this.drewAt || time)) / 1000);
		this.drewAt = time;
		this.dirty = false;
		this.survey(!changed);
		const pose = this.camera.advance(dt, this.current(0), this.aspect());
		if (this.enclosed !== this.cloud.version) {
			this.enclosed = this.cloud.version;
			this.sphere = this.enclose();
		}
		this.seen = { pose, ...poseMatrices(pose, this.aspect(), this.sphere, this.camera.scale) };
		this.drawn = 0;
		if (this.software) this.renderSoft({ scale: 1, fraction: plan.fraction });
		else this.renderHard(plan);
		this.pace.drew(time, plan);
		return true;
	}
	// With the GPU: all points into a target, then each view lit and composed on the canvas, lines over it.
	renderHard(plan) {
		const gl = this.gl, { target, seen } = this;
		this.points.upload();
		target.sized(Math.ceil(this.canvas.width * plan.scale), Math.ceil(this.canvas.height * plan.scale));
		gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
		gl.disable(gl.SCISSOR_TEST);
		gl.disable(gl.BLEND);
		gl.enable(gl.DEPTH_TEST);
		gl.depthFunc(gl.LEQUAL);
		gl.depthMask(true);
		gl.clearColor(0, 0, 0, 1);
		gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
		this.views().forEach((view, run) => {
			const part = this.partOf(view, plan);
			gl.viewport(...part);
			this.drawn += this.points.render(run, this.pointsHow(run, seen.matrix, part[3], plan));
		});
		gl.bindFramebuffer(gl.FRAMEBUFFER, null);
		gl.enable(gl.SCISSOR_TEST);
		this.views().forEach((view, run) => {
			const part = this.partOf(view, plan);
			gl.viewport(...view);
			gl.scissor(...view);
			this.dome.render(target, { part, view, scale: plan.scale, ...this.lightHow(run, plan) });
			this.renderLines(run, view);
		});
		gl.disable(gl.SCISSOR_TEST);
	}
	// With the processor: points and light into arrays, these into a target, lines over it, and all to the canvas.
	renderSoft(plan) {
		const gl = this.gl, w = this.canvas.width, h = this.canvas.height;
		if (!this.image || this.image.width !== w || this.image.height !== h) this.image = new SoftImage(w, h);
		this.views().forEach((view, run) => {
			this.image.clear(view, 0);
			this.drawn += softPoints(this.cloud, run, this.pointsHow(run, this.seen.matrix, view[3], plan), this.image, view);
			softLight(this.image, view, this.lightHow(run, plan));
		});
		this.upload.set(this.image);
		gl.enable(gl.SCISSOR_TEST);
		this.views().forEach((view, run) => {
			gl.viewport(...view);
			gl.scissor(...view);
			this.renderLines(run, view);
		});
		this.upload.toCanvas();
	}
	partOf(view, plan) { return view.map((v) => Math.floor(v * plan.scale)); }
	coloursOf(run) { return SCENE_COLOURS[this.options[run].dark ? 'dark' : 'light']; }
	lightHow(run, plan) {
		const { near, far, flat } = this.seen, radius = Math.max(1, Math.round(1.5 * this.ratio() * plan.scale));
		return { near, far, flat, back: this.coloursOf(run).back, strength: this.options[run].edl ? 4 : 0, radius };
	}
	pointsHow(run, camera, height, plan) {
		const o = this.options[run], { pose } = this.seen, scale = this.camera.scale;
		const unit = height / (2 * (pose.ortho ? pose.distance * pose.tan : pose.tan)), ratio = this.ratio() * plan.scale;
		// Where only some of the points are drawn, they are larger.
		const size = [unit, o.pointSize / Math.sqrt(plan.fraction), Math.max(1, ratio), (this.software ? 12 : 24) * ratio];
		return {
			camera, planes: m44planes(camera), from: o.from, to: Math.min(o.to, SCENE_END),
			last: Math.max(1, this.cloud.runs[run].length - 1), confidence: o.confidence, edge: o.edge, colour: o.colour,
			depths: [scale / 4, scale * 4], size, fraction: plan.fraction, picking: false,
		};
	}
	// How far from a camera its picture is drawn.
	frustumDepth() { return 0.09 * this.camera.scale; }
	renderLines(run, view) {
		const o = this.options[run], colours = this.coloursOf(run), { seen } = this, now = this.current(run), first = this.camera.mode === 'first';
		const key = [this.cloud.version, o.from, o.to, now && now.n, this.camera.scale, o.dark, first, o.frusta].join();
		const set = this.lines.frusta[run];
		if (set.key !== key) {
			set.key = key;
			set.set(this.frustaOf(run, now, first, colours));
		}
		const picture = this.pictures[run], shown = now && picture && picture.n === now.n && !first && o.frusta;
		this.lines.render(run, {
			camera: seen.matrix, view: [view[2], view[3]], near: seen.near, flat: seen.flat, from: o.from, to: o.to,
			last: Math.max(1, this.cloud.runs[run].length - 1), early: colours.early, late: colours.late, dpr: this.ratio(),
			path: o.path, frusta: o.frusta && !first, picture: shown ? frustumCorners(now.world, now.k, 2 * this.frustumDepth()) : null,
		});
	}
	frustaOf(run, now, first, colours) {
		const o = this.options[run], frames = this.cloud.runs[run], lines = [], depth = this.frustumDepth();
		if (!o.frusta || first) return lines;
		// So few that they hide neither each other nor the points.
		const most = Math.max(2, Math.min(SCENE_FRUSTA, this.known.length / depth));
		let step = 1;
		while (frames.length / step > most) step *= 2;
		for (let n = Math.ceil(Math.max(0, o.from) / step) * step; n <= Math.min(o.to, frames.length - 1); n += step) {
			const f = frames[n];
			if (f && f.posed && f.world && f !== now) lines.push(...frustumLines(f.world, f.k, 0.5 * depth, colours.frustum));
		}
		if (now) lines.push(...frustumLines(now.world, now.k, 2 * depth, colours.now));
		return lines;
	}
	// The point under a place (CSS pixels from the canvas's upper left), nearest to it within some pixels: {run, n, point,
	// depth: z in its camera, colour, confidence, edge}, or null.
	pick(x, y) {
		if (!this.ready || this.gl.isContextLost() || !this.seen) return null;
		const at = this.viewAt(x, y), [, , w, h] = this.views()[at.run];
		const plan = { scale: 1, fraction: 1 };
		const zoomed = m44mul(m44zoom(Math.floor(at.px) + 0.5, Math.floor(at.py) + 0.5, PICK_WIDE, w, h), this.seen.matrix);
		const how = { ...this.pointsHow(at.run, zoomed, h, plan), picking: true };
		if (!this.software) this.points.upload();
		const hit = this.software ? this.picker.pickSoft((image, part) => softPoints(this.cloud, at.run, how, image, part))
			: this.picker.pick(() => this.points.render(at.run, how));
		this.wake();
		return hit ? this.cloud.point(this.cloud.pages[hit.page], hit.index) : null;
	}
	// Where a point is on the canvas, CSS pixels in a run's view; null: behind the camera.
	project(point, run) {
		if (!this.seen) return null;
		const p = m44point(this.seen.matrix, point), [vx, vy, w, h] = this.views()[run || 0], k = this.ratio();
		if (p[3] <= 0) return null;
		return { x: (vx + (p[0] / p[3] + 1) / 2 * w) / k, y: (this.canvas.height - vy - (p[1] / p[3] + 1) / 2 * h) / k };
	}
	// What was drawn last, for those who compute where points must be. A point is pointSize / w pixels wide, w being the
	// fourth number of its place in clip space, times its own width (Cloud.writeRow), and within sizes.
	matrices() {
		if (!this.seen) return null;
		const { pose, near, far, flat, matrix } = this.seen, [, , width, height] = this.views()[0];
		const how = this.pointsHow(0, matrix, height, { scale: 1, fraction: 1 });
		return {
			matrix, view: m44view(pose.eye, pose.r, pose.u, pose.f), near, far, flat, width, height,
			pointSize: how.size[0] * how.size[1], sizes: how.size.slice(2),
		};
	}
	setMeasure(pair) {
		this.measured = pair;
		const red = [255, 64, 96, 255], lines = [];
		if (pair) {
			const [a, b] = pair, arm = Math.max(0.01 * this.camera.scale, 0.02 * vlength(vsub(b, a)));
			lines.push({ a, b, colour: red });
			for (const p of pair)
				for (let i = 0; i < 3; i++)
					lines.push({ a: p.map((v, j) => v - (i === j) * arm), b: p.map((v, j) => v + (i === j) * arm), colour: red });
		}
		this.lines.measure.set(lines);
		this.wake();
	}
	// What is shown of a run (0 unless given) as a Blob: 'ply' or 'glb'.
	export(kind, run) {
		const k = run || 0, { from, to, confidence, edge } = this.options[k], filter = { from, to, confidence, edge };
		if (kind === 'glb') return new Blob(glbParts(this.cloud, k, filter, this.camera.basis), { type: 'model/gltf-binary' });
		return new Blob(plyParts(this.cloud, k, filter), { type: 'application/octet-stream' });
	}
	screenshot() {
		this.render(true);
		return new Promise((resolve, reject) => this.canvas.toBlob((b) => b ? resolve(b) : reject(new Error('no picture')), 'image/png'));
	}
	// How many pictures were begun, and how many of them the machine has finished: what is on the screen.
	get begun() { return this.pace.begunCount; }
	get finished() { return this.pace.finishedCount; }
	// True where everything that was given is on the screen, fully drawn, and nothing moves.
	settled() { return this.ready && !this.dirty && !this.camera.moving() && this.pace.full; }
	stats() {
		return { points: this.cloud.points, drawn: this.drawn || 0, ms: this.pace.ms, bytes: this.cloud.bytes(), cap: this.cloud.cap, software: this.software };
	}
}
