// view: the timeline and, under it, the strip: for each frame how much of it the cache still held at the scrubbed moment. Both
// are one canvas, because both have one axis, the stream index that all runs share.
import { fitCanvas } from './picture.js';
import { keptRamp, rampColour } from './ramps.js';

const RULER = 26;
const STRIP_GAP = 6;
const EDGE = 10;

// 0:07, 1:02:03; with tenths where the axis is fine enough to tell them apart.
export function clockText(seconds, tenths) {
	const sign = seconds < 0 ? '-' : '';
	const s = Math.abs(tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds));
	const h = Math.floor(s / 3600);
	const m = Math.floor(s / 60) % 60;
	const rest = (s % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, '0');
	return sign + (h > 0 ? h + ':' + String(m).padStart(2, '0') : m) + ':' + rest;
}

// Steps of 1, 2 or 5 times a power of ten, at least so large.
export function roundStep(least) {
	const power = 10 ** Math.floor(Math.log10(least));
	for (const k of [1, 2, 5])
		if (k * power >= least)
			return k * power;
	return 10 * power;
}

// The same for seconds, minutes and hours.
export function timeStep(least) {
	if (least < 1)
		return roundStep(Math.max(0.1, least));
	for (const step of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600])
		if (step >= least)
			return step;
	return 3600 * roundStep(least / 3600);
}

export class Timeline {
	// on: {seek(i), hover(run, n)|hover(null), look(run, n), tip(run, n): text}: scrubbed; the pointer is over a frame of the
	// strip; it was clicked; what is said of it.
	constructor(canvas, tip, player, on) {
		this.tip = tip;
		this.canvas = canvas;
		this.player = player;
		this.on = on;
		this.zoom = null;
		this.marked = null;
		this.pointed = null;
		this.dirty = true;
		this.drag = null;
		this.colours = null;
		canvas.addEventListener('pointerdown', (e) => this.#down(e));
		canvas.addEventListener('pointermove', (e) => this.#move(e));
		canvas.addEventListener('pointerup', (e) => this.#up(e));
		canvas.addEventListener('pointercancel', () => { this.drag = null; });
		canvas.addEventListener('pointerleave', () => this.#hover(null));
		canvas.addEventListener('wheel', (e) => this.#wheel(e), { passive: false });
		canvas.addEventListener('dblclick', () => this.zoomOut());
		new ResizeObserver(() => { this.dirty = true; }).observe(canvas);
	}

	get runs() {
		return this.player.runs;
	}

	// The axis: from the first frame to the end of the last one.
	domain() {
		const { lo, hi } = this.player.bounds();
		const run = this.player.lead;
		const step = run && run.count > 1 ? Math.max(1e-9, (hi - lo) / (run.count - 1)) : 1;
		const all = { lo, hi: hi + step, step };
		if (!this.zoom)
			return all;
		const span = Math.min(this.zoom.span, all.hi - all.lo);
		// Who follows a live stream sees its end; so does playing see where it is.
		let start = this.zoom.lo;
		if (this.player.mode !== 'paused' && (this.player.i < start || this.player.i + step > start + span))
			start = this.player.mode === 'live' ? all.hi - span : this.player.i - span * 0.1;
		start = Math.min(all.hi - span, Math.max(all.lo, start));
		this.zoom.lo = start;
		return { lo: start, hi: start + span, step };
	}

	#scale() {
		return this.canvas.width / Math.max(1, this.canvas.clientWidth);
	}

	#x(i, d) {
		const s = this.#scale();
		return EDGE * s + (i - d.lo) / (d.hi - d.lo) * (this.canvas.width - 2 * EDGE * s);
	}

	#iAt(event) {
		const rect = this.canvas.getBoundingClientRect();
		const d = this.domain();
		const share = (event.clientX - rect.left - EDGE) / Math.max(1, rect.width - 2 * EDGE);
		return d.lo + Math.min(1, Math.max(0, share)) * (d.hi - d.lo) - 1e-9;
	}

	// The frame of the strip under the pointer: {run, n} or null.
	#frameUnder(event) {
		const rect = this.canvas.getBoundingClientRect();
		const y = event.clientY - rect.top - RULER;
		if (y < 0 || this.runs.length === 0)
			return null;
		const height = (rect.height - RULER) / this.runs.length;
		const run = this.runs[Math.min(this.runs.length - 1, Math.floor(y / height))];
		const n = run.frameAt(this.#iAt(event));
		return n >= 0 ? { run, n } : null;
	}

	#down(event) {
		if (event.button !== 0)
			return;
		this.canvas.setPointerCapture(event.pointerId);
		this.tip.hidden = true;
		this.drag = { x: event.clientX, moved: false, under: this.#frameUnder(event) };
		if (this.drag.under === null)
			this.on.seek(this.#iAt(event));
	}

	#move(event) {
		if (this.drag) {
			this.drag.moved = this.drag.moved || Math.abs(event.clientX - this.drag.x) > 4;
			if (this.drag.moved || this.drag.under === null)
				this.on.seek(this.#iAt(event));
			return;
		}
		if (event.pointerType !== 'touch')
			this.#hover(this.#frameUnder(event), event);
	}

	#up(event) {
		const drag = this.drag;
		this.drag = null;
		if (drag && !drag.moved && drag.under !== null)
			this.on.look(drag.under.run, drag.under.n);
		if (event.pointerType !== 'touch')
			this.#hover(this.#frameUnder(event));
	}

	// What the pointer is over, in words beside it.
	#say(under, event) {
		this.tip.hidden = !under || !event;
		if (this.tip.hidden)
			return;
		this.tip.textContent = this.on.tip(under.run, under.n);
		const half = this.tip.offsetWidth / 2 + 6;
		this.tip.style.left = Math.min(window.innerWidth - half, Math.max(half, event.clientX)) + 'px';
		this.tip.style.top = this.canvas.getBoundingClientRect().top + RULER - 6 + 'px';
	}

	#hover(under, event) {
		this.#say(under, event);
		const same = under === this.pointed || (under && this.pointed && under.run === this.pointed.run && under.n === this.pointed.n);
		if (same)
			return;
		this.pointed = under;
		this.dirty = true;
		this.on.hover(under ? under.run : null, under ? under.n : -1);
	}

	#wheel(event) {
		event.preventDefault();
		const d = this.domain();
		const at = this.#iAt(event);
		if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
			if (this.zoom)
				this.zoom.lo += (event.deltaX || event.deltaY) / 400 * (d.hi - d.lo);
		} else {
			this.#zoomTo(d, at, Math.exp(event.deltaY / 300));
		}
		this.dirty = true;
	}

	#zoomTo(d, at, factor) {
		const { lo, hi } = this.player.bounds();
		const span = Math.max(8 * d.step, (d.hi - d.lo) * factor);
		this.zoom = span >= hi + d.step - lo ? null : { lo: at - (at - d.lo) / (d.hi - d.lo) * span, span };
	}

	zoomBy(factor) {
		this.#zoomTo(this.domain(), this.player.i, factor);
		this.dirty = true;
	}

	zoomOut() {
		this.zoom = null;
		this.dirty = true;
	}

	themeChanged() {
		this.colours = null;
		this.dirty = true;
	}

	#theme() {
		if (!this.colours) {
			const css = getComputedStyle(document.documentElement);
			this.colours = {};
			for (const name of ['ink', 'dim', 'faint', 'well', 'seen', 'accent', 'line'])
				this.colours[name] = css.getPropertyValue('--' + name).trim();
		}
		return this.colours;
	}

	draw() {
		fitCanvas(this.canvas);
		this.dirty = false;
		const context = this.canvas.getContext('2d');
		const s = this.#scale();
		const d = this.domain();
		const colours = this.#theme();
		context.clearRect(0, 0, this.canvas.width, this.canvas.height);
		this.#ruler(context, s, d, colours);
		const count = Math.max(1, this.runs.length);
		const height = (this.canvas.height - RULER * s - (count - 1) * STRIP_GAP * s) / count;
		this.runs.forEach((run, k) =>
			this.#strip(context, s, d, colours, run, { y: Math.round(RULER * s + k * (height + STRIP_GAP * s)), h: Math.floor(height) }));
		this.#head(context, s, d, colours);
	}

	#ruler(context, s, d, colours) {
		const run = this.player.lead;
		const left = EDGE * s;
		const width = this.canvas.width - 2 * left;
		context.fillStyle = colours.well;
		context.fillRect(left, (RULER - 7) * s, width, 3 * s);
		if (!run || run.count === 0)
			return;
		this.#received(context, s, d, colours, run);
		context.font = 10.5 * s + 'px system-ui, sans-serif';
		context.textBaseline = 'alphabetic';
		context.fillStyle = colours.dim;
		let end = -Infinity;
		for (const { i, text } of this.#ticks(run, d, width / (76 * s))) {
			const x = this.#x(i, d);
			context.fillRect(x, (RULER - 9) * s, s, 2 * s);
			if (x - end > 12 * s && x + context.measureText(text).width < this.canvas.width) {
				context.fillText(text, x, 11.5 * s);
				end = x + context.measureText(text).width;
			}
		}
	}

	// Round times where the times of the stream grow, else round frame numbers; about so many.
	#ticks(run, d, most) {
		const { pts } = run.columns;
		const [a, b] = [Math.max(0, run.frameAt(d.lo)), Math.max(0, run.frameAt(d.hi))];
		const span = pts.data[b] - pts.data[a];
		const out = [];
		if (span > 0) {
			const step = timeStep(span / most);
			for (let t = Math.ceil(pts.data[a] / step - 1e-6) * step; t <= pts.data[b] + 1e-6; t += step) {
				const n = run.frameAtTime(t);
				if (n < a || n > b)
					continue;
				// Between two frames, so that ticks are evenly spaced where frames are.
				const before = n > 0 ? (pts.data[n] - t) / Math.max(1e-9, pts.data[n] - pts.data[n - 1]) : 0;
				const back = n > 0 ? Math.min(1, Math.max(0, before)) * (run.columns.i.data[n] - run.columns.i.data[n - 1]) : 0;
				out.push({ i: run.columns.i.data[n] - back, text: clockText(t, step < 1) });
			}
		} else {
			const step = roundStep(Math.max(d.step, (d.hi - d.lo) / most));
			for (let i = Math.ceil(d.lo / step) * step; i < d.hi; i += step)
				out.push({ i, text: String(Math.round(i)) });
		}
		return out;
	}

	// Which frames' points have come, as players show what is buffered.
	#received(context, s, d, colours, run) {
		context.fillStyle = colours.faint;
		const points = run.columns.points.data;
		const [from, to] = [Math.max(0, run.frameAt(d.lo)), Math.min(run.count - 1, run.frameAt(d.hi))];
		const y = (RULER - 7) * s;
		let start = -1;
		for (let n = from; n <= to + 1; n++) {
			const here = n <= to && (points[n] > 0 || !run.flag(n, 16));
			if (here && start < 0)
				start = n;
			if (!here && start >= 0) {
				const x = Math.max(EDGE * s, this.#x(run.columns.i.data[start], d));
				const end = Math.min(this.canvas.width - EDGE * s, this.#x(run.columns.i.data[n - 1] + d.step, d));
				context.fillRect(x, y, end - x, 3 * s);
				start = -1;
			}
		}
	}

	#strip(context, s, d, colours, run, box) {
		const left = EDGE * s;
		const right = this.canvas.width - left;
		const now = run.frameAt(this.player.i);
		context.fillStyle = colours.well;
		context.fillRect(left, box.y, right - left, box.h);
		if (now < 0)
			return;
		const nowX = Math.min(right, this.#x(run.columns.i.data[now] + d.step, d));
		context.fillStyle = colours.seen;
		context.fillRect(left, box.y, Math.max(0, nowX - left), box.h);
		const state = run.kept.at(now);
		if (state)
			this.#bars(context, s, d, run, box, state, { left, right });
		for (const mark of [this.marked, this.pointed])
			if (mark && mark.run === run)
				this.#mark(context, s, d, run, box, mark.n, colours, mark === this.marked);
		context.fillStyle = colours.line;
		context.fillRect(left, box.y + box.h - s, right - left, s);
		if (this.runs.length > 1)
			this.#label(context, s, colours, 'AB'[run.index], left, box);
	}

	#label(context, s, colours, text, left, box) {
		context.font = '600 ' + 10.5 * s + 'px system-ui, sans-serif';
		context.fillStyle = colours.well;
		context.globalAlpha = 0.8;
		context.fillRect(left, box.y, 15 * s, 15 * s);
		context.globalAlpha = 1;
		context.fillStyle = colours.ink;
		context.textAlign = 'center';
		context.fillText(text, left + 7.5 * s, box.y + 11 * s);
		context.textAlign = 'start';
	}

	// A bar for each frame that the cache holds something of. Where frames are narrower than pixels, a pixel shows the most.
	#bars(context, s, d, run, box, state, { left, right }) {
		const perFrame = (right - left) * d.step / (d.hi - d.lo);
		const gap = perFrame >= 4 * s ? Math.max(1, Math.round(s)) : 0;
		const most = new Float32Array(perFrame < 1.5 ? Math.ceil(right) + 2 : 0);
		const name = keptRamp();
		const bar = (x0, x1, share) => {
			const h = Math.max(2 * s, Math.round(share * (box.h - 3 * s)));
			context.fillStyle = rampColour(name, share);
			context.fillRect(x0, box.y + box.h - h, x1 - x0, h);
		};
		for (const [n, held] of state.frames) {
			const i = run.columns.i.data[n];
			if (n >= run.count || i + d.step < d.lo || i > d.hi)
				continue;
			const x0 = Math.max(left, Math.round(this.#x(i, d)));
			const x1 = Math.min(right, Math.round(this.#x(i + d.step, d)));
			const share = run.share(held.tokens);
			if (most.length > 0)
				most[x0] = Math.max(most[x0], share);
			else
				bar(x0, Math.max(x0 + 1, x1 - gap), share);
		}
		for (let x = 0; x < most.length; x++)
			if (most[x] > 0)
				bar(x, x + Math.max(1, s), most[x]);
	}

	#mark(context, s, d, run, box, n, colours, chosen) {
		if (n < 0 || n >= run.count)
			return;
		const x0 = this.#x(run.columns.i.data[n], d);
		const w = Math.max(3 * s, this.#x(run.columns.i.data[n] + d.step, d) - x0);
		context.strokeStyle = chosen ? colours.ink : colours.dim;
		context.lineWidth = (chosen ? 1.5 : 1) * s;
		context.strokeRect(x0 - s, box.y + s, w + s, box.h - 2 * s);
	}

	#head(context, s, d, colours) {
		const run = this.player.lead;
		if (!run || run.count === 0)
			return;
		const n = Math.max(0, run.frameAt(this.player.i));
		const x = Math.round(this.#x(run.columns.i.data[n] + d.step / 2, d));
		if (x < 0 || x > this.canvas.width)
			return;
		context.fillStyle = colours.accent;
		context.fillRect(x - s, (RULER - 12) * s, 2 * s, this.canvas.height - (RULER - 12) * s);
		context.beginPath();
		context.arc(x, (RULER - 5.5) * s, 5.5 * s, 0, 2 * Math.PI);
		context.fill();
	}
}
