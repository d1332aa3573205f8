// Where the scene is seen from, without any GL: four ways to look, what a drag or a wheel does in each, and smooth changes
// between them. Angles are against the first frame's camera: what is up in it is up on the screen.

import { vadd, vsub, vscale, vmix, vdot, vcross, vlength, vunit, m34column, quatOfAxes, axesOfQuat, quatMix } from './matrix.js';
import { m44mul, m44view, m44perspective, m44ortho } from './matrix.js';

export const VIEW_MODES = ['orbit', 'follow', 'top', 'first'];
const VIEW_TAN = Math.tan(25 * Math.PI / 180);
const VIEW_TURN = 0.4; // seconds that a change of view takes
const VIEW_LAG = 0.25; // seconds in which the following camera makes up most of its distance
const VIEW_STEEP = 89.5 * Math.PI / 180;

export class Camera {
	constructor() {
		this.scale = 1; // how far things usually are from the cameras that saw them
		this.abrupt = false; // no smooth changes: who asks their system for less motion
		this.basis = { r: [1, 0, 0], u: [0, -1, 0], f: [0, 0, 1] };
		this.reset();
	}
	reset() {
		this.mode = 'orbit';
		this.touched = false; // by the user: then nothing but the user moves it
		this.target = [0, 0, 0];
		this.yaw = 0.5;
		this.pitch = 0.45;
		this.distance = 5;
		this.behind = { yaw: 0, pitch: 0.35, distance: 1.2 }; // follow; distance in scales
		this.look = { yaw: 0, pitch: 0, zoom: 1 }; // first: turned away from where the frame looks
		this.turn = null; // a change of view: {from: pose, t}
		this.trail = null; // follow: the smoothed {centre, yaw}
		this.last = null; // the pose that was shown
	}
	// up and forward of the scene are those of the first frame (3x4).
	setWorld(matrix) {
		const f = vunit(m34column(matrix, 2)), u = vunit(vscale(m34column(matrix, 1), -1));
		this.basis = { r: vunit(vcross(f, u)), u, f };
	}
	axes(yaw, pitch) {
		const { r, u, f } = this.basis, cy = Math.cos(yaw), sy = Math.sin(yaw);
		const level = vadd(vscale(f, cy), vscale(r, sy)), right = vsub(vscale(r, cy), vscale(f, sy));
		const forward = vsub(vscale(level, Math.cos(pitch)), vscale(u, Math.sin(pitch)));
		return { r: right, u: vcross(right, forward), f: forward };
	}
	// The yaw of a direction; fallback where it is as good as vertical.
	yawOf(direction, fallback) {
		const x = vdot(direction, this.basis.r), z = vdot(direction, this.basis.f);
		return Math.hypot(x, z) > 0.05 * vlength(direction) ? Math.atan2(x, z) : fallback;
	}
	setMode(mode) {
		if (!VIEW_MODES.includes(mode) || mode === this.mode) return;
		if (this.mode === 'top' && mode === 'orbit') this.pitch = Math.min(this.pitch, 0.9);
		this.mode = mode;
		this.look = { yaw: 0, pitch: 0, zoom: 1 };
		this.trail = null;
		this.ease();
	}
	// From here on the view changes smoothly from what is shown now.
	ease() { this.turn = this.last && !this.abrupt ? { from: this.last, t: 0 } : null; }
	// What the view is, without easing. frame: {world, k} that is followed or looked through, or null; aspect: width / height.
	goal(frame, aspect) {
		if (this.mode === 'first' && frame && frame.world) return this.through(frame, aspect);
		if (this.mode === 'follow' && this.trail) {
			const { yaw, pitch, distance } = this.behind, far = distance * this.scale;
			const axes = this.axes(this.trail.yaw + yaw, pitch), ahead = this.axes(this.trail.yaw, 0).f;
			return this.around(vadd(this.trail.centre, vscale(ahead, 0.4 * far)), far, axes, false);
		}
		if (this.mode === 'top') return this.around(this.target, this.distance, this.axes(this.yaw, Math.PI / 2), true);
		return this.around(this.target, this.distance, this.axes(this.yaw, this.pitch), false);
	}
	around(target, distance, axes, ortho) {
		return { eye: vsub(target, vscale(axes.f, distance)), ...axes, tan: VIEW_TAN, distance, ortho };
	}
	through(frame, aspect) {
		const m = frame.world, right = vunit(m34column(m, 0)), down = vunit(m34column(m, 1)), forward = vunit(m34column(m, 2));
		const { yaw, pitch, zoom } = this.look, cy = Math.cos(yaw), sy = Math.sin(yaw);
		const level = vadd(vscale(forward, cy), vscale(right, sy)), r = vsub(vscale(right, cy), vscale(forward, sy));
		const f = vadd(vscale(level, Math.cos(pitch)), vscale(down, Math.sin(pitch)));
		const [fx, fy, cx, cy0] = frame.k;
		// The whole picture is seen, whatever the shape of the window.
		const tan = Math.max(Math.max(cy0, 1 - cy0) / fy, Math.max(cx, 1 - cx) / fx / aspect);
		return { eye: m34column(m, 3), r, u: vcross(r, f), f, tan: tan * zoom, distance: this.scale, ortho: false };
	}
	// Goes on by dt seconds. Returns the pose to show; moving() says whether it goes on changing.
	advance(dt, frame, aspect) {
		this.resting = true;
		if (this.mode === 'follow' && frame && frame.world) this.followed(dt, frame);
		let pose = this.goal(frame, aspect);
		if (this.turn) {
			this.turn.t += dt / VIEW_TURN;
			if (this.turn.t >= 1) this.turn = null;
			else {
				pose = poseMix(this.turn.from, pose, this.turn.t);
				this.resting = false;
			}
		}
		this.last = pose;
		return pose;
	}
	followed(dt, frame) {
		const centre = m34column(frame.world, 3), forward = m34column(frame.world, 2);
		if (!this.trail) this.trail = { centre, yaw: this.yawOf(forward, 0) };
		const trail = this.trail, yaw = this.yawOf(forward, trail.yaw);
		const by = yaw - trail.yaw - 2 * Math.PI * Math.round((yaw - trail.yaw) / (2 * Math.PI));
		const way = vsub(centre, trail.centre), part = 1 - Math.exp(-dt / VIEW_LAG);
		if (vlength(way) < 1e-3 * this.scale && Math.abs(by) < 1e-3) return;
		this.resting = false;
		trail.centre = vadd(trail.centre, vscale(way, part));
		trail.yaw += by * part;
	}
	moving() { return !this.resting; }
	// The user drags by dx, dy pixels of a view that is height pixels high.
	rotate(dx, dy, height) {
		const turn = Math.PI / height;
		this.touched = true;
		if (this.mode === 'first') {
			this.look.yaw -= 0.5 * dx * turn;
			this.look.pitch = clampTo(this.look.pitch - 0.5 * dy * turn, -VIEW_STEEP, VIEW_STEEP);
		} else if (this.mode === 'follow') {
			this.behind.yaw += dx * turn;
			this.behind.pitch = clampTo(this.behind.pitch + dy * turn, -VIEW_STEEP, VIEW_STEEP);
		} else if (this.mode === 'top') this.pan(dx, dy, height);
		else {
			this.yaw += dx * turn;
			this.pitch = clampTo(this.pitch + dy * turn, -VIEW_STEEP, VIEW_STEEP);
		}
	}
	pan(dx, dy, height) {
		if (this.mode === 'follow' || this.mode === 'first') {
			this.rotate(dx, dy, height);
			return;
		}
		this.touched = true;
		const { r, u } = this.axes(this.yaw, this.mode === 'top' ? Math.PI / 2 : this.pitch);
		const step = 2 * this.distance * VIEW_TAN / height;
		this.target = vadd(this.target, vadd(vscale(r, -dx * step), vscale(u, dy * step)));
	}
	// Twist, radians: two fingers.
	twist(angle) {
		if (this.mode === 'orbit' || this.mode === 'top') this.yaw += angle;
		else if (this.mode === 'follow') this.behind.yaw += angle;
		this.touched = true;
	}
	// Makes everything by times smaller; what is at x, y (-1..1, y up) stays there.
	zoom(by, x, y, aspect) {
		this.touched = true;
		if (this.mode === 'first') this.look.zoom = clampTo(this.look.zoom * by, 0.1, 3);
		else if (this.mode === 'follow') this.behind.distance = clampTo(this.behind.distance * by, 0.02, 100);
		else {
			const { r, u } = this.axes(this.yaw, this.mode === 'top' ? Math.PI / 2 : this.pitch);
			const before = this.distance, half = before * VIEW_TAN;
			this.distance = clampTo(before * by, 1e-3 * this.scale, 1e4 * this.scale);
			const cursor = vadd(vscale(r, x * half * aspect), vscale(u, y * half));
			this.target = vadd(this.target, vscale(cursor, 1 - this.distance / before));
		}
	}
	// Moves by right, up and forward, in parts of the distance: keys.
	walk(right, up, forward) {
		if (this.mode === 'follow' || this.mode === 'first') {
			this.rotate(-120 * right, 120 * (up + forward), 800);
			return;
		}
		this.touched = true;
		const level = this.axes(this.yaw, 0), step = this.distance;
		this.target = vadd(this.target, vadd(vscale(level.r, right * step), vadd(vscale(level.u, up * step), vscale(level.f, forward * step))));
	}
	// Looks at a point, from nearer.
	focus(point) {
		if (this.mode === 'follow' || this.mode === 'first') this.mode = 'orbit';
		const from = this.last;
		if (from && !from.ortho) {
			this.yaw = this.yawOf(from.f, this.yaw);
			this.pitch = clampTo(Math.asin(clampTo(-vdot(from.f, this.basis.u), -1, 1)), -VIEW_STEEP, VIEW_STEEP);
			this.distance = Math.max(0.05 * this.scale, 0.6 * vlength(vsub(point, from.eye)));
		}
		this.target = [point[0], point[1], point[2]];
		this.touched = true;
		this.ease();
	}
	// Looks at what fitSphere found from so far that most of points and nearly all of path are in the view, in its middle.
	fit(centre, points, path, aspect) {
		const { r, u, f } = this.axes(this.yaw, this.mode === 'top' ? Math.PI / 2 : this.pitch), flat = this.mode === 'top';
		const all = [[points, 0.02], [path, 0.005]].filter(([list]) => list.length > 0);
		const at = (list, part) => list.sort((a, b) => a - b)[Math.round(part * (list.length - 1))];
		let target = centre, distance = 1e-3 * this.scale;
		for (let i = 0; i < 4; i++) {
			const seen = all.map(([list, cut]) => [list.map((p) => [r, u, f].map((axis) => vdot(vsub(p, target), axis))), cut]);
			const need = ([x, y, z]) => Math.max(Math.abs(x) / aspect, Math.abs(y)) / VIEW_TAN - (flat ? 0 : z);
			distance = Math.max(1e-3 * this.scale, ...seen.map(([list, cut]) => at(list.map(need), 1 - cut)));
			if (i === 3) break;
			for (const [j, axis] of [[0, r], [1, u]]) {
				const place = (v) => v[j] / (flat ? 1 : Math.max(0.1, 1 + v[2] / distance));
				const ends = (part) => seen.map(([list, cut]) => at(list.map(place), part ? 1 - cut : cut));
				target = vadd(target, vscale(axis, seen.length ? (Math.min(...ends(0)) + Math.max(...ends(1))) / 2 : 0));
			}
		}
		this.target = target;
		this.distance = 1.06 * distance;
		this.behind = { yaw: 0, pitch: 0.35, distance: 1.2 };
		this.look = { yaw: 0, pitch: 0, zoom: 1 };
		this.ease();
	}
	// Numbers that a link can carry.
	getView() {
		const round = (v) => Number(v.toPrecision(6));
		return {
			mode: this.mode, target: this.target.map(round), yaw: round(this.yaw), pitch: round(this.pitch),
			distance: round(this.distance), behind: Object.values(this.behind).map(round), look: Object.values(this.look).map(round),
		};
	}
	// Takes what getView gave; what is missing or wrong (links come from anywhere) is left as it is.
	setView(view) {
		if (view === null || typeof view !== 'object') return;
		const numbers = (v, n) => Array.isArray(v) && v.length === n && v.every(Number.isFinite);
		if (VIEW_MODES.includes(view.mode)) this.mode = view.mode;
		if (numbers(view.target, 3)) this.target = view.target.slice();
		if (Number.isFinite(view.yaw)) this.yaw = view.yaw;
		if (Number.isFinite(view.pitch)) this.pitch = clampTo(view.pitch, -VIEW_STEEP, VIEW_STEEP);
		if (Number.isFinite(view.distance) && view.distance > 0) this.distance = view.distance;
		if (numbers(view.behind, 3) && view.behind[2] > 0)
			this.behind = { yaw: view.behind[0], pitch: clampTo(view.behind[1], -VIEW_STEEP, VIEW_STEEP), distance: view.behind[2] };
		if (numbers(view.look, 3) && view.look[2] > 0)
			this.look = { yaw: view.look[0], pitch: clampTo(view.look[1], -VIEW_STEEP, VIEW_STEEP), zoom: view.look[2] };
		this.touched = true;
		this.turn = null;
	}
}

function clampTo(v, lo, hi) { return Math.min(hi, Math.max(lo, v)); }

// Between two poses, t in 0..1, slow at both ends. Between parallel and perspective rays there is nothing: perspective.
export function poseMix(a, b, t) {
	const s = t * t * (3 - 2 * t);
	const axes = axesOfQuat(quatMix(quatOfAxes(a.r, a.u, a.f), quatOfAxes(b.r, b.u, b.f), s));
	return {
		eye: vmix(a.eye, b.eye, s), ...axes, tan: a.tan * Math.pow(b.tan / a.tan, s),
		distance: a.distance * Math.pow(b.distance / a.distance, s), ortho: a.ortho && b.ortho,
	};
}

// The matrices of a pose. sphere {centre, radius} holds all that is drawn; scale is the scene's.
export function poseMatrices(pose, aspect, sphere, scale) {
	const reach = vlength(vsub(sphere.centre, pose.eye)) + sphere.radius;
	const far = Math.max(reach, pose.distance) * 1.01 + 0.1 * scale;
	const half = pose.distance * pose.tan;
	const near = pose.ortho ? pose.distance - reach * 1.01 - 0.1 * scale : nearest(far, Math.min(scale, pose.distance), scale);
	const view = m44view(pose.eye, pose.r, pose.u, pose.f);
	const projection = pose.ortho ? m44ortho(half, aspect, near, far) : m44perspective(pose.tan, aspect, near, far);
	return { matrix: m44mul(projection, view), near, far, flat: pose.ortho ? 2 * half : 0 };
}

// As near as the depth buffer's precision allows, but no stray point far away may cut off what is before the camera.
function nearest(far, close, scale) { return Math.min(Math.max(far * 2e-5, 0.01 * close), 0.05 * scale); }

// What of the scene to fit: the middle and radius of most points, and of nearly all of the path. Both: [x, y, z]s.
export function fitSphere(points, path) {
	const lo = [Infinity, Infinity, Infinity], hi = [-Infinity, -Infinity, -Infinity];
	for (const [list, part] of [[points, 0.04], [path, 0.005]])
		for (let i = 0; i < 3 && list.length > 0; i++) {
			const sorted = list.map((p) => p[i]).sort((a, b) => a - b), last = sorted.length - 1, cut = Math.round(part * last);
			lo[i] = Math.min(lo[i], sorted[cut]);
			hi[i] = Math.max(hi[i], sorted[last - cut]);
		}
	if (lo[0] > hi[0]) return { centre: [0, 0, 0], radius: 1 };
	return { centre: vmix(lo, hi, 0.5), radius: Math.max(1e-6, vlength(vsub(hi, lo)) / 2) };
}
