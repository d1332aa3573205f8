// view: the page: records come in here, go to the runs and to the scene, and what is looked at is drawn.
import { WIRE, FLAG } from './wire.js';
import { Link, Inside, socketAddress, nowSeconds } from './link.js';
import { FIRST_CUT, FIRST_EDGE, Run } from './run.js';
import { Player } from './player.js';
import { Timeline, clockText } from './timeline.js';
import { Panel, countText } from './panel.js';
import { Health, failureOf } from './health.js';
import { Measure, LengthUnit } from './measure.js';
import { Controls, checkedMode } from './controls.js';
import { Wants } from './wants.js';
import { Away } from './away.js';
import { keptRamp, paintRamp } from './ramps.js';
import { Scene } from './scene.js';

const SOFTWARE_POINTS = 300000;
const PHONE_POINTS = 1000000;
const PAGE_POINTS_AT_FIRST = 5000000;
// Of frames that came at once, as many are reported as painted.
const MOST_PAINTED = 64;

export class App {
	constructor(root) {
		this.root = root;
		this.find = (id) => root.getElementById(id);
		this.scene = new Scene(this.find('scene'));
		this.player = new Player();
		this.runs = [];
		this.epoch = null;
		this.runCount = 0;
		this.hello = null;
		this.status = null;
		this.linkState = 'connecting';
		this.refused = 0;
		this.pinned = null;
		this.hovered = null;
		this.painted = [0, 0];
		this.drawing = null;
		this.behind = 0;
		this.pictured = [null, null];
		this.shownKeys = ['', ''];
		this.unit = new LengthUnit();
		this.changed = true;
		this.settings = {
			mode: 'orbit', kind: 'kept', colour: 'rgb', confidence: null, pointSize: 1, edge: null, edl: true, frusta: true,
			detail: this.#detail(),
		};
		this.away = new Away(this);
		this.panel = new Panel(root, this.#panelSide());
		this.health = new Health(root);
		this.timeline = new Timeline(this.find('timeline'), this.find('tip'), this.player, {
			tip: (run, n) => this.panel.tip(run, n),
			seek: (i) => this.player.seek(i),
			look: (run, n) => this.look(run, n),
			hover: (run, n) => { this.hovered = run && n < run.count ? { run, i: run.columns.i.data[n] } : null; this.redraw(); },
		});
		this.measure = new Measure(root, { scene: this.scene, unit: this.unit, changed: () => this.redraw() });
		this.controls = new Controls(root, this);
		this.player.onChange = () => this.redraw();
		this.panel.pictures.onReady = () => this.redraw();
		this.scene.onChange = () => this.redraw();
		this.away.take();
		this.change({});
		this.#connect();
		setInterval(() => this.redraw(), 1000);
		const loop = () => {
			this.#frame();
			requestAnimationFrame(loop);
		};
		requestAnimationFrame(loop);
	}

	#detail() {
		if (this.scene.stats().software)
			return SOFTWARE_POINTS;
		return window.matchMedia('(max-width: 760px)').matches ? PHONE_POINTS : PAGE_POINTS_AT_FIRST;
	}

	#panelSide() {
		const app = this;
		return {
			get player() { return app.player; },
			get runs() { return app.runs; },
			get kind() { return app.settings.kind; },
			get pinned() { return app.pinned; },
			looked: (run) => app.looked(run),
			look: (run, n) => app.look(run, n),
			unit: (length) => app.unit.text(length),
		};
	}

	#connect() {
		const on = {
			record: (record) => this.record(record),
			state: (state) => { this.linkState = state; this.redraw(); },
			opened: () => { this.link.send({ limit: { points: this.settings.detail } }); this.wants.again(); },
			refused: (error) => {
				this.refused++;
				this.redraw();
				console.warn('e3-view: ' + error.message);
			},
		};
		this.link = Inside.in(this.root) ? new Inside(this.root, on) : new Link(socketAddress(location), on);
		this.wants = new Wants(this.player, this.link);
	}

	// --- records ---

	record(record) {
		if (record.type === WIRE.HELLO)
			this.#greet(record);
		else if (record.type === WIRE.STATUS)
			this.#tell(record);
		else if (this.runs[record.run])
			this.#data(this.runs[record.run], record);
		this.redraw();
	}

	// A stream that is over is looked at like a recording.
	#tell(status) {
		this.status = status;
		this.player.live = this.hello !== null && this.hello.live && status.state === 'live';
	}

	#greet(hello) {
		if (hello.epoch !== this.epoch || hello.runs.length < this.runs.length)
			this.#forget();
		this.epoch = hello.epoch;
		this.hello = hello;
		this.player.live = hello.live && (this.status === null || this.status.state === 'live');
		hello.runs.forEach((info, k) => {
			if (this.runs[k])
				this.runs[k].info = info;
			else
				// An --html file has everything in memory anyway, and nobody to ask again.
				this.runs[k] = new Run(k, info, this.link instanceof Inside ? Infinity : 0);
		});
		if (this.runCount !== this.runs.length) {
			this.runCount = this.runs.length;
			this.scene.setRuns(Math.max(1, this.runs.length));
			this.root.body.classList.toggle('two-runs', this.runs.length > 1);
			this.timeline.dirty = true;
		}
		this.#names();
	}

	#forget() {
		this.runs = [];
		this.runCount = 0;
		this.pinned = null;
		this.hovered = null;
		this.painted = [0, 0];
		this.drawing = null;
		this.pictured = [null, null];
		this.shownKeys = ['', ''];
		this.status = null;
		this.behind = 0;
		this.player.setRuns(this.runs);
		this.panel.clear();
		this.measure.set(false);
		this.scene.clear();
	}

	#names() {
		const names = this.runs.map((run) => run.info.name || run.info.source);
		this.find('source').textContent = names.join(' and ');
		this.root.title = (names.join(' and ') || 'e3-view') + (names.length > 0 ? ' - e3-view' : '');
		['name-a', 'name-b'].forEach((id, k) => {
			this.find(id).hidden = this.runs.length < 2;
			if (this.runs.length < 2)
				return;
			const letter = document.createElement('b');
			letter.textContent = 'AB'[k];
			const { name, policy } = this.runs[k].info;
			this.find(id).replaceChildren(letter, (name || 'run') + (policy ? ', ' + policy : ''));
		});
	}

	#data(run, record) {
		switch (record.type) {
		case WIRE.FRAME:
			if (run.addFrame(record)) {
				const posed = (record.flags & FLAG.POSE) !== 0;
				this.scene.addFrame(run.index, record.n, { matrix: record.matrix, k: record.k, time: record.pts, posed });
				const correction = run.correction(record.n);
				if (correction)
					this.scene.setCorrection(run.index, record.n, correction);
				this.player.grown();
				this.away.takeTime();
				for (const one of run.takeEarly(record.n))
					this.#data(run, one);
			}
			break;
		case WIRE.PICTURE: case WIRE.DEPTH: case WIRE.CONFIDENCE:
			if (!run.waits(record))
				run.addMedia(record);
			break;
		case WIRE.KEPT:
			run.addKept(record, run.frameAt(this.player.i));
			break;
		case WIRE.CORRECT:
			run.addCorrection(record);
			for (let n = Math.max(0, run.frameAt(record.from)); n < run.count && run.columns.i.data[n] <= record.to; n++)
				if (run.columns.i.data[n] >= record.from)
					this.scene.setCorrection(run.index, n, run.correction(n));
			break;
		case WIRE.CHUNK:
			if (!run.waits(record))
				this.#chunk(run, record);
			break;
		}
	}

	// Points that are here already come again after a reconnection: only what is new goes to the scene.
	#chunk(run, record) {
		const had = run.pointsOf(record.n);
		if (had < 0 || record.offset + record.count <= had)
			return;
		const skip = Math.max(0, had - record.offset);
		run.addPoints(record);
		run.addLevels(record.bytes.subarray(10 * skip));
		this.scene.addChunk(run.index, record.n, {
			offset: record.offset + skip, total: record.total, count: record.count - skip, min: record.min, size: record.size,
			bytes: record.bytes.subarray(10 * skip),
		});
	}

	// --- what is looked at ---

	// The frame whose pictures the panel shows: the one that was chosen or is pointed at in the strip, else the one of now.
	looked(run) {
		const at = this.hovered || this.pinned;
		return run.frameAt(at ? at.i : this.player.i);
	}

	look(run, n) {
		const same = run && this.pinned && this.pinned.run === run && run.frameAt(this.pinned.i) === n;
		this.pinned = run && !same && n < run.count ? { run, i: run.columns.i.data[n] } : null;
		// On a phone the panel covers the scene, and is what was asked for.
		if (this.pinned && !window.matchMedia('(max-width: 760px)').matches)
			this.controls.panel(true, true);
		this.redraw();
	}

	setMode(mode) {
		this.change({ mode: checkedMode(mode) });
	}

	change(some) {
		Object.assign(this.settings, some);
		const { mode, colour, pointSize, edl, frusta, detail } = this.settings;
		this.scene.set({ mode, colour, pointSize, edl, frusta, path: frusta, confidence: this.cut(), edge: this.edge() });
		if (some.detail !== undefined && this.link)
			this.link.send({ limit: { points: detail } });
		this.scene.setMax(detail);
		this.redraw();
	}

	// The least level of confidence that is shown: what was chosen, or what suits both runs.
	cut() {
		const chosen = this.settings.confidence;
		return chosen !== null ? chosen : this.runs.reduce((least, run) => Math.min(least, run.firstCut()), FIRST_CUT);
	}

	edge() {
		const chosen = this.settings.edge;
		return chosen !== null ? chosen : this.runs.reduce((most, run) => Math.max(most, run.firstEdge()), FIRST_EDGE);
	}

	confidenceText(level) {
		const range = this.runs[0] && this.runs[0].info.confidence;
		return range ? Math.exp(range[0] + (range[1] - range[0]) * level / 31).toPrecision(2) : Math.round(100 * level / 31) + ' %';
	}

	shadeChanged(dark) {
		this.scene.set({ dark });
		this.timeline.themeChanged();
		paintRamp(this.find('strip-ramp'), keptRamp());
		this.redraw();
	}

	escape() {
		if (this.controls.closeMenu())
			return;
		if (this.measure.active)
			this.measure.set(false);
		else if (this.pinned)
			this.look(null);
		else if (window.matchMedia('(max-width: 760px)').matches)
			this.controls.panel(false, true);
	}

	toast(text) {
		const toast = this.find('toast');
		toast.textContent = text;
		toast.classList.add('shown');
		clearTimeout(this.toastTimer);
		this.toastTimer = setTimeout(() => toast.classList.remove('shown'), 2400);
	}

	// --- drawing ---

	redraw() {
		this.changed = true;
	}

	#frame() {
		const now = performance.now();
		const dt = (now - (this.lastFrame || now)) / 1000;
		this.lastFrame = now;
		this.player.tick(dt);
		const changed = this.changed;
		if (changed) {
			this.changed = false;
			this.scene.set({ confidence: this.cut(), edge: this.edge() });
			for (const run of this.runs)
				this.#show(run);
			this.wants.look(this.runs.map((run) => ({
				run, looked: this.looked(run), shown: this.player.shown(run), also: this.panel.thumbsOf(run),
			})));
		}
		const drew = this.scene.render();
		this.#tellPainted(drew);
		if (changed)
			this.#sides();
		if (changed || this.timeline.dirty) {
			this.timeline.marked = this.pinned && { run: this.pinned.run, n: this.pinned.run.frameAt(this.pinned.i) };
			this.timeline.draw();
		}
	}

	#show(run) {
		const shown = this.player.shown(run);
		const key = [shown.from, shown.to, shown.current].join();
		// The scene draws anew whenever it is told something.
		if (this.shownKeys[run.index] !== key) {
			this.shownKeys[run.index] = key;
			this.scene.set(shown, run.index);
		}
		const n = run.frameAt(this.player.i);
		const picture = n >= 0 ? this.panel.pictures.get(run, WIRE.PICTURE, n) : null;
		const bitmap = picture ? picture.bitmap : null;
		if (this.pictured[run.index] !== bitmap) {
			this.pictured[run.index] = bitmap;
			this.scene.setPicture(run.index, n, bitmap);
		}
	}

	#facts() {
		const frames = this.runs.reduce((most, run) => Math.max(most, run.count), 0);
		return {
			link: this.linkState, status: this.status, live: this.player.live, frames, behind: this.player.live ? this.behind : 0, runs: this.runs,
			now: (run) => run.frame(run.frameAt(this.player.i)), stats: this.scene.stats(), received: this.link.bytes,
			refused: this.refused, trip: this.link.clock.trip, version: this.hello ? this.hello.version : '',
		};
	}

	#sides() {
		const open = !this.root.body.classList.contains('no-panel');
		this.root.body.classList.toggle('no-kept', this.runs.length > 0 && this.runs.every((run) => !run.tellsKept));
		const stage = this.find('stage');
		stage.classList.toggle('stacked', stage.clientWidth < stage.clientHeight);
		if (open)
			this.panel.draw();
		const facts = this.#facts();
		this.health.summary(facts);
		if (open)
			this.health.figures(facts);
		this.controls.show();
		this.#position();
		this.#notice(facts);
	}

	#position() {
		const run = this.player.lead;
		const n = run ? run.frameAt(this.player.i) : -1;
		const box = this.find('position');
		const time = document.createElement('b');
		const frame = run && n >= 0 ? run.frame(n) : null;
		time.textContent = frame ? clockText(frame.pts, true) : '';
		const last = run ? (run.info.frames || run.count) - 1 : 0;
		const count = document.createElement('span');
		count.textContent = frame ? 'frame ' + countText(n) + ' of ' + countText(Math.max(last, n)) : '';
		box.replaceChildren(time, count);
		const slider = this.find('timeline');
		slider.setAttribute('aria-valuemin', '0');
		slider.setAttribute('aria-valuemax', String(run ? Math.max(0, run.count - 1) : 0));
		slider.setAttribute('aria-valuenow', String(Math.max(0, n)));
		slider.setAttribute('aria-valuetext', frame ? 'frame ' + n + ', ' + clockText(frame.pts, true) : 'no frame');
	}

	#notice({ link, status, frames }) {
		let text = '';
		if (link === 'lost')
			text = frames > 0 ? 'The connection is gone. Trying again…' : 'No connection to e3-view. Trying again…';
		else if (failureOf(status) !== '')
			text = 'The source failed: ' + failureOf(status);
		else if (frames === 0 && link === 'done')
			text = 'There is no frame in this file.';
		else if (frames === 0)
			text = link === 'open' ? 'Waiting for the first frame…' : 'Connecting…';
		const box = this.find('notice');
		box.hidden = text === '';
		if (box.textContent !== text)
			box.textContent = text;
		box.dataset.kind = frames > 0 ? 'bar' : '';
		box.dataset.state = link !== 'lost' && failureOf(status) !== '' ? 'failed' : '';
	}

	// Frames that are on the screen for the first time: the server learns how long they took, and the page says it. What was
	// drawn is on the screen when the scene says that its picture is finished.
	#tellPainted(drew) {
		if (this.drawing && this.scene.finished >= this.drawing.picture) {
			this.drawing.counts.forEach((count, k) => this.#tellPaintedOf(this.runs[k], count));
			this.drawing = null;
		}
		if (drew && !this.drawing)
			this.drawing = { picture: this.scene.begun, counts: this.runs.map((run) => run.count) };
	}

	#tellPaintedOf(run, count) {
		if (!run || count <= this.painted[run.index])
			return;
		const from = Math.max(this.painted[run.index], count - MOST_PAINTED);
		this.painted[run.index] = count;
		if (!this.player.live || !this.link.clock.known)
			return;
		const clock = this.link.clock.at(nowSeconds());
		for (let n = from; n < count; n++)
			this.link.send({ painted: { run: run.index, n, clock } });
		const captured = run.columns.captured.data[count - 1];
		this.behind = captured > 0 ? Math.max(0, clock - captured) : 0;
		this.redraw();
	}

	get settledNow() {
		return !this.changed && this.panel.pictures.waiting === 0 && this.scene.settled() &&
			(!(this.link instanceof Inside) || !this.link.open);
	}

	// Everything that was received is drawn.
	async settled() {
		const turn = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
		do {
			await turn();
			await turn();
		} while (!this.settledNow);
	}
}

export function begin(root) {
	try {
		const app = new App(root);
		window.e3 = { app, scene: app.scene, run: (k) => app.runs[k], settled: () => app.settled() };
	} catch (error) {
		const box = root.getElementById('notice');
		box.hidden = false;
		box.textContent = 'This page cannot draw here: ' + error.message + '.';
		throw error;
	}
}

begin(document);
