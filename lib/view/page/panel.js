// view: the side panel's pictures: the frame that is looked at, as seen, as depth, as confidence, or with the patches that the
// cache still holds; and the frames of which the cache holds most.
import { WIRE, FLAG } from './wire.js';
import { Pictures, boxInside, fitCanvas, paintVeil, shadePatches } from './picture.js';
import { paintRamp } from './ramps.js';
import { clockText } from './timeline.js';

export const KINDS = ['kept', 'picture', 'depth', 'confidence'];
const KIND_TYPES = { kept: WIRE.PICTURE, picture: WIRE.PICTURE, depth: WIRE.DEPTH, confidence: WIRE.CONFIDENCE };
const KIND_FLAGS = { kept: FLAG.PICTURE, picture: FLAG.PICTURE, depth: FLAG.DEPTH, confidence: FLAG.DEPTH };
const NOTES = {
	kept: 'A patch is lit by how many layers of the network still hold it; what is dark is forgotten.',
	picture: '',
	depth: 'Point at it to read a depth.',
	confidence: 'How sure the network is of each depth; higher is surer.',
};
const MOST_THUMBS = 8;

export function countText(value) {
	return Math.round(value).toLocaleString('en');
}

export function shareText(share) {
	return (100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0) + ' %';
}

export class Panel {
	// app: {player, runs, looked(run): frame number that is looked at, look(run, n), kind, unit(length): text}.
	constructor(root, app) {
		this.app = app;
		this.pictures = new Pictures();
		const find = (id) => root.getElementById(id);
		this.parts = {
			title: find('frame-title'), unpin: find('unpin'), low: find('low'), high: find('high'), ramp: find('view-ramp'),
			legend: find('view-ramp').parentElement, note: find('kind-note'), mosaic: find('mosaic'), figureB: find('figure-b'),
			cacheTitle: find('cache-title'), cacheNote: find('cache-note'), apart: find('apart'),
			views: [find('view-a'), find('view-b')], captions: [find('caption-a'), find('caption-b')],
		};
		this.thumbs = [];
		this.shown = [null, null];
		this.painted = '';
		this.parts.views.forEach((canvas, k) => {
			canvas.addEventListener('pointermove', (e) => this.#point(k, e));
			canvas.addEventListener('pointerleave', () => this.#point(k, null));
		});
	}

	clear() {
		this.pictures.clear();
		this.shown = [null, null];
	}

	draw() {
		const { runs, player, kind } = this.app;
		this.#legend(kind);
		this.parts.figureB.hidden = runs.length < 2;
		const lead = player.lead;
		const n = lead ? this.app.looked(lead) : -1;
		const frame = lead ? lead.frame(n) : null;
		this.parts.title.textContent = frame === null ? 'Frame' : 'Frame ' + countText(n) + ' at ' + clockText(frame.pts, true);
		this.parts.unpin.hidden = !this.app.pinned;
		runs.forEach((run, k) => this.#view(run, k, kind));
		this.#mosaic();
		this.#apart();
	}

	#legend(kind) {
		const key = kind + (this.app.runs[0] ? this.app.runs[0].info.layers : 0);
		if (key === this.painted)
			return;
		this.painted = key;
		this.parts.legend.hidden = kind === 'picture';
		this.parts.note.textContent = NOTES[kind];
		const layers = this.app.runs[0] ? this.app.runs[0].info.layers : 0;
		const ends = { kept: ['no layer', layers > 0 ? 'all ' + layers + ' layers' : 'all layers'], depth: ['far', 'near'],
			confidence: ['unsure', 'sure'], picture: ['', ''] }[kind];
		this.parts.low.textContent = ends[0];
		this.parts.high.textContent = ends[1];
		if (kind === 'kept')
			paintVeil(this.parts.ramp, layers);
		else
			paintRamp(this.parts.ramp, kind === 'depth' ? 'depth' : 'confidence');
	}

	#view(run, k, kind) {
		const canvas = this.parts.views[k];
		const n = this.app.looked(run);
		const frame = run.frame(n);
		if (frame && frame.w > 0 && frame.h > 0)
			canvas.style.aspectRatio = frame.w + ' / ' + frame.h;
		fitCanvas(canvas);
		const context = canvas.getContext('2d');
		context.clearRect(0, 0, canvas.width, canvas.height);
		this.shown[k] = null;
		if (!frame) {
			this.parts.captions[k].textContent = '';
			return;
		}
		const type = KIND_TYPES[kind];
		const picture = this.pictures.get(run, type, n);
		const box = boxInside(canvas, frame.w || 4, frame.h || 3);
		const state = kind === 'kept' ? run.kept.at(run.frameAt(this.app.player.i)) : null;
		const held = state ? state.frames.get(n) : null;
		if (picture)
			context.drawImage(picture.bitmap, box.x, box.y, box.w, box.h);
		else
			this.#absent(context, canvas, run.flag(n, KIND_FLAGS[kind]) ? 'not here yet' : 'has none');
		if (state)
			shadePatches(context, box, held ? held.cells : null, run.kept.grid);
		this.shown[k] = { run, n, frame, box, picture, held, state };
		this.#caption(k, null);
	}

	#absent(context, canvas, text) {
		context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--dim');
		context.font = Math.round(canvas.width / canvas.clientWidth * 12) + 'px system-ui, sans-serif';
		context.textAlign = 'center';
		context.fillText(text, canvas.width / 2, canvas.height / 2);
	}

	// A frame of the strip in words.
	tip(run, n) {
		const state = run.kept.at(run.frameAt(this.app.player.i));
		const held = state ? state.frames.get(n) : null;
		const name = (this.app.runs.length > 1 ? 'AB'[run.index] + ', ' : '') + 'frame ' + countText(n) + ', ' + clockText(run.frame(n).pts, true);
		if (n > run.frameAt(this.app.player.i))
			return name + ': still to come';
		if (!state || state.missing)
			return name;
		return name + ': ' + (held ? shareText(run.share(held.tokens)) + ' held' : 'forgotten');
	}

	// How far apart the cameras of two runs are: what one policy costs against the other shows there first.
	#apart() {
		const { runs, player } = this.app;
		const [a, b] = runs.map((run) => run.position(run.frameAt(player.i)));
		this.parts.apart.textContent = a && b
			? 'The cameras of A and B are ' + this.app.unit(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])) + ' apart.' : '';
	}

	// What is under the pointer, or, without one, what the frame is.
	#caption(k, at) {
		const shown = this.shown[k];
		const name = this.app.runs.length > 1 ? 'AB'[k] + ' ' : '';
		let text = '';
		if (shown && at)
			text = this.#under(shown, at);
		if (shown && text === '')
			text = this.#summary(shown);
		this.parts.captions[k].textContent = name + text;
	}

	#summary(shown) {
		const { run, frame, held, state } = shown;
		if (this.app.kind === 'kept' && state) {
			if (state.missing)
				return 'not known yet';
			if (!held)
				return 'forgotten';
			const share = shareText(run.share(held.tokens)) + ' held';
			return this.app.runs.length > 1 ? share : share + ': ' + countText(held.tokens) + ' of its patch tokens';
		}
		if (this.app.kind === 'kept')
			return 'the run does not say what is held';
		const parts = [frame.w + '×' + frame.h];
		if (frame.ms > 0)
			parts.push(frame.ms.toFixed(frame.ms < 10 ? 1 : 0) + ' ms');
		if (frame.segment > 0)
			parts.push('segment ' + frame.segment);
		return parts.join(', ');
	}

	#under(shown, at) {
		const { run, picture, held, state } = shown;
		if (this.app.kind === 'kept' && state) {
			const { rows, cols, layers } = run.kept.grid;
			const [r, c] = [Math.floor(at.y * rows), Math.floor(at.x * cols)];
			return (this.app.runs.length > 1 ? '' : 'row ' + r + ', column ' + c + ': ') + 'held by ' + (held ? held.cells[r * cols + c] : 0) + ' of ' + layers + ' layers';
		}
		if (!picture || !picture.levels)
			return '';
		const { width, height } = picture.bitmap;
		const v = picture.levels[Math.floor(at.y * height) * width + Math.floor(at.x * width)];
		if (this.app.kind === 'depth') {
			const inverse = picture.lo + (picture.hi - picture.lo) * (v - 1) / 254;
			return v === 0 || !(inverse > 0) ? 'no depth' : 'depth ' + this.app.unit(1 / inverse);
		}
		return 'confidence ' + Math.exp(picture.lo + (picture.hi - picture.lo) * v / 255).toPrecision(3);
	}

	#point(k, event) {
		const shown = this.shown[k];
		if (!shown || !event) {
			this.#caption(k, null);
			return;
		}
		const canvas = this.parts.views[k];
		const rect = canvas.getBoundingClientRect();
		const scale = canvas.width / rect.width;
		const x = ((event.clientX - rect.left) * scale - shown.box.x) / shown.box.w;
		const y = ((event.clientY - rect.top) * scale - shown.box.y) / shown.box.h;
		this.#caption(k, x >= 0 && x < 1 && y >= 0 && y < 1 ? { x, y } : null);
	}

	// The frames of which most is held, in their order; the one of now is whole anyway.
	#most(run, count) {
		const now = run.frameAt(this.app.player.i);
		const state = now >= 0 ? run.kept.at(now) : null;
		if (!state)
			return { frames: [], held: 0, tokens: 0, state };
		let tokens = 0;
		for (const held of state.frames.values())
			tokens += held.tokens;
		const frames = [...state.frames].filter(([n]) => n !== now).sort((a, b) => b[1].tokens - a[1].tokens || a[0] - b[0])
			.slice(0, count).sort((a, b) => a[0] - b[0]);
		return { frames, held: state.frames.size, tokens, state };
	}

	// The frames that the panel shows small.
	thumbsOf(run) {
		return this.thumbs.filter((thumb) => thumb.run === run && !thumb.button.hidden).map((thumb) => thumb.n);
	}

	#mosaic() {
		const { runs } = this.app;
		const each = Math.floor(MOST_THUMBS / Math.max(1, runs.length));
		const facts = runs.map((run) => ({ run, ...this.#most(run, each) }));
		let used = 0;
		for (const { run, frames, held } of facts) {
			if (runs.length > 1)
				this.#runLine(used, run, held);
			for (const [n, one] of frames)
				this.#thumb(used++, run, n, one);
		}
		for (const thumb of this.thumbs.slice(used))
			thumb.button.hidden = true;
		const first = facts[0];
		this.parts.cacheTitle.textContent = runs.length === 1 && first.state ? 'of ' + countText(first.held) + ' frames' : '';
		this.parts.cacheNote.textContent = this.#cacheNote(facts);
		this.parts.mosaic.classList.toggle('two', runs.length > 1);
	}

	#cacheNote(facts) {
		if (facts.some((f) => f.state && f.state.missing))
			return 'What the cache held at this moment is still on its way.';
		const more = facts.reduce((sum, f) => sum + Math.max(0, f.held - 1 - f.frames.length), 0);
		return more > 0 ? 'The frames of which it holds most, and ' + countText(more) + ' more.' : '';
	}

	#runLine(at, run, held) {
		let line = this.parts.mosaic.querySelector('p[data-run="' + run.index + '"]');
		if (!line) {
			line = document.createElement('p');
			line.dataset.run = String(run.index);
			line.append(document.createElement('b'), '');
		}
		line.firstChild.textContent = 'AB'[run.index];
		line.lastChild.textContent = ' ' + (run.info.policy || run.info.name) + ': patches of ' + countText(held) + ' frames';
		const before = this.thumbs[at] ? this.thumbs[at].button : null;
		if (line.nextSibling !== before || line.parentElement !== this.parts.mosaic)
			this.parts.mosaic.insertBefore(line, before);
	}

	#thumb(at, run, n, held) {
		if (!this.thumbs[at]) {
			const button = document.createElement('button');
			const canvas = document.createElement('canvas');
			const label = document.createElement('span');
			const [number, share] = [document.createElement('b'), document.createElement('i')];
			label.append(number, share);
			button.append(canvas, label);
			button.addEventListener('click', () => this.app.look(this.thumbs[at].run, this.thumbs[at].n));
			this.parts.mosaic.append(button);
			this.thumbs[at] = { button, canvas, number, share };
		}
		const thumb = this.thumbs[at];
		Object.assign(thumb, { run, n });
		thumb.button.hidden = false;
		thumb.button.title = 'Look at frame ' + n + ', of which ' + shareText(run.share(held.tokens)) + ' is held';
		thumb.button.setAttribute('aria-current', String(this.app.pinned !== null && this.app.looked(run) === n));
		thumb.number.textContent = String(n);
		thumb.share.textContent = shareText(run.share(held.tokens));
		const frame = run.frame(n);
		if (frame && frame.w > 0)
			thumb.canvas.style.aspectRatio = frame.w + ' / ' + frame.h;
		fitCanvas(thumb.canvas);
		const context = thumb.canvas.getContext('2d');
		const box = { x: 0, y: 0, w: thumb.canvas.width, h: thumb.canvas.height };
		context.clearRect(0, 0, box.w, box.h);
		const picture = this.pictures.get(run, WIRE.PICTURE, n);
		if (picture)
			context.drawImage(picture.bitmap, 0, 0, box.w, box.h);
		shadePatches(context, box, held.cells, run.kept.grid);
	}
}
