// view: buttons, sliders and keys, and what they set. A key is a row of a table, which the help panel shows.
import { SPEEDS, WINDOWS } from './player.js';
import { KINDS } from './panel.js';
import { SCENE_KEYS } from './scene.js';
import { recall, remember } from './share.js';

const CONTROL_COLOURS = ['rgb', 'depth', 'time', 'confidence'];
const CONTROL_MODES = ['orbit', 'follow', 'first', 'top'];
// What pointer and fingers do, for the help panel.
const TIME_POINTER = [['drag', 'go through time'], ['click a bar', 'see which of its patches are held'], ['wheel', 'zoom of the timeline']];
const SCENE_POINTER = [
	['drag', 'turn'], ['right drag, 2 fingers', 'shift'], ['wheel, pinch', 'nearer, farther'], ['double click', 'look at a point'],
];
const CONTROL_THEMES = ['system', 'dark', 'light'];

function next(list, value) {
	return list[(list.indexOf(value) + 1) % list.length];
}

export class Controls {
	constructor(root, app) {
		this.root = root;
		this.app = app;
		this.find = (id) => root.getElementById(id);
		this.keys = this.#table();
		this.theme = CONTROL_THEMES.includes(recall('theme')) ? recall('theme') : 'system';
		this.systemLight = window.matchMedia('(prefers-color-scheme: light)');
		this.systemLight.addEventListener('change', () => this.#shade());
		this.#buttons();
		this.#display();
		this.#transport();
		this.#help();
		root.addEventListener('keydown', (e) => this.#key(e));
		const phone = window.matchMedia('(max-width: 760px)').matches;
		this.panel(recall('panel') === null ? !phone : recall('panel') === 'yes' && !phone, true);
		this.#shade();
	}

	// Keys, what they do for the help panel, and the doing. Upper case: with Shift.
	#table() {
		const { app } = this;
		const player = () => app.player;
		return [
			['Time', [
				['Space', 'play, pause', [' '], () => player().togglePlay()],
				[', .', 'frame before, frame after', [','], () => player().step(-1)],
				['', '', ['.'], () => player().step(1)],
				['< >', 'ten frames before, after', ['<'], () => player().step(-10)],
				['', '', ['>'], () => player().step(10)],
				['Home End', 'first frame, newest frame', ['Home'], () => player().seek(player().bounds().lo)],
				['', '', ['End', 'k', 'K'], () => player().goLive()],
				['K', 'follow the newest frame', [], null],
				['- =', 'slower, faster', ['-', '_'], () => player().faster(-1)],
				['', '', ['=', '+'], () => player().faster(1)],
				['[ ]', 'zoom of the timeline', ['['], () => app.timeline.zoomBy(2)],
				['', '', [']'], () => app.timeline.zoomBy(0.5)],
				['N', 'which frames are shown', ['n', 'N'], () => player().setWindow(next(WINDOWS, player().window))],
			]],
			['View', [
				['1 2 3 4', 'orbit, follow, camera, top', ['1'], () => app.setMode('orbit')],
				['', '', ['2'], () => app.setMode('follow')],
				['', '', ['3'], () => app.setMode('first')],
				['', '', ['4'], () => app.setMode('top')],
				['F', 'show everything', ['f', 'F'], () => app.scene.fit()],
				['C', 'colour of points', ['c', 'C'], () => app.change({ colour: next(CONTROL_COLOURS, app.settings.colour) })],
				['H', 'shading', ['h', 'H'], () => app.change({ edl: !app.settings.edl })],
				['R', 'cameras and path', ['r', 'R'], () => app.change({ frusta: !app.settings.frusta })],
			]],
			['Page', [
				['V', 'cache, picture, depth, confidence', ['v', 'V'], () => app.change({ kind: next(KINDS, app.settings.kind) })],
				['M', 'measure', ['m', 'M'], () => app.measure.set(!app.measure.active)],
				['P', 'screenshot', ['p', 'P'], () => app.away.screenshot()],
				['L', 'copy a link to this view', ['l', 'L'], () => app.away.copyLink()],
				['T', 'dark, light, as the system', ['t', 'T'], () => this.nextTheme()],
				['I', 'side panel', ['i', 'I'], () => this.panel(panelHidden(this.root))],
				['?', 'this help', ['?'], () => this.find('help-panel').showModal()],
				['Esc', 'close, stop, back to now', ['Escape'], () => app.escape()],
			]],
		];
	}

	#key(event) {
		const target = event.target;
		const typing = target.matches('input[type="text"], input[type="number"], select, textarea');
		if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.find('help-panel').open)
			return;
		if (typing && event.key !== 'Escape')
			return;
		// Keys that belong to the control that has the focus.
		if (event.key === ' ' && target.matches('button, input, summary'))
			return;
		if ((event.key === 'Home' || event.key === 'End') && target.matches('input[type="range"]'))
			return;
		for (const [, rows] of this.keys)
			for (const [, , keys, run] of rows)
				if (keys.includes(event.key)) {
					event.preventDefault();
					run();
					return;
				}
	}

	#buttons() {
		const { app } = this;
		const on = (id, run) => this.find(id).addEventListener('click', run);
		on('fit', () => app.scene.fit());
		on('measure', () => app.measure.set(!app.measure.active));
		on('shot', () => app.away.screenshot());
		on('link', () => app.away.copyLink());
		on('theme', () => this.nextTheme());
		on('help', () => this.find('help-panel').showModal());
		on('panel-toggle', () => this.panel(panelHidden(this.root)));
		on('panel-close', () => this.panel(false));
		on('state', () => {
			this.panel(true);
			this.find('health-part').open = true;
			this.find('health-part').scrollIntoView({ block: 'nearest' });
		});
		on('unpin', () => app.look(null));
		const menu = (open) => {
			this.find('save-menu').hidden = !open;
			this.find('save').setAttribute('aria-expanded', String(open));
		};
		on('save', () => menu(this.find('save-menu').hidden));
		on('save-ply', () => app.away.save('ply'));
		on('save-glb', () => app.away.save('glb'));
		this.root.addEventListener('click', (e) => {
			if (!e.target.closest('#save'))
				menu(false);
		});
		this.closeMenu = () => {
			const open = !this.find('save-menu').hidden;
			menu(false);
			return open;
		};
	}

	#display() {
		const { app } = this;
		for (const name of ['mode', 'kind'])
			for (const input of this.root.querySelectorAll('input[name="' + name + '"]'))
				input.addEventListener('change', () => (name === 'mode' ? app.setMode(input.value) : app.change({ kind: input.value })));
		for (const [id, name] of [['confidence', 'confidence'], ['size', 'pointSize'], ['detail', 'detail']])
			this.find(id).addEventListener('input', (e) => app.change({ [name]: Number(e.target.value) }));
		// The scene takes the nearest edge that is drawn: 7 lets every point through.
		this.find('edge').addEventListener('input', (e) => app.change({ edge: 7 - Number(e.target.value) }));
		this.find('colour').addEventListener('change', (e) => app.change({ colour: e.target.value }));
		for (const id of ['edl', 'frusta'])
			this.find(id).addEventListener('change', (e) => app.change({ [id]: e.target.checked }));
	}

	#transport() {
		const { player } = this.app;
		const on = (id, name, run) => this.find(id).addEventListener(name, run);
		on('first', 'click', () => player.seek(player.bounds().lo));
		on('play', 'click', () => player.togglePlay());
		on('newest', 'click', () => player.goLive());
		on('live', 'click', () => player.goLive());
		on('speed', 'change', (e) => player.setSpeed(Number(e.target.value)));
		on('window', 'change', (e) => player.setWindow(e.target.value));
		on('seconds', 'input', (e) => player.setWindow('seconds', Number(e.target.value)));
		on('timeline', 'keydown', (e) => {
			const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[e.key];
			if (step) {
				e.preventDefault();
				player.step(step);
			}
		});
	}

	// Everything that shows a setting, as it is now.
	show() {
		const { settings, player } = this.app;
		for (const [name, value] of [['mode', settings.mode], ['kind', settings.kind]])
			for (const input of this.root.querySelectorAll('input[name="' + name + '"]'))
				input.checked = input.value === value;
		this.find('colour').value = settings.colour;
		const cut = this.app.cut(), edge = this.app.edge();
		this.find('confidence').value = cut;
		this.find('confidence-out').value = cut === 0 ? 'all' : '≥ ' + this.app.confidenceText(cut);
		this.find('size').value = settings.pointSize;
		this.find('size-out').value = settings.pointSize.toFixed(2) + '×';
		this.find('edge').value = 7 - edge;
		this.find('edge-out').value = edge === 7 ? 'off' : String(7 - edge);
		this.find('detail').value = String(settings.detail);
		this.find('edl').checked = settings.edl;
		this.find('frusta').checked = settings.frusta;
		this.find('speed').value = String(player.speed);
		this.find('window').value = player.window;
		this.find('seconds-box').hidden = player.window !== 'seconds';
		if (this.root.activeElement !== this.find('seconds'))
			this.find('seconds').value = String(player.seconds);
		const playing = player.mode === 'playing' || (player.mode === 'live' && player.live);
		this.find('play-icon').setAttribute('href', playing ? '#i-pause' : '#i-play');
		this.find('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
		this.find('live').hidden = !player.live;
		this.find('live').setAttribute('aria-pressed', String(player.mode === 'live'));
		this.find('live').dataset.state = player.mode === 'live' ? 'live' : '';
	}

	panel(open, quiet) {
		this.root.body.classList.toggle('no-panel', !open);
		this.find('panel-toggle').setAttribute('aria-pressed', String(open));
		if (!quiet)
			remember('panel', open ? 'yes' : 'no');
		this.app.redraw();
	}

	nextTheme() {
		this.theme = next(CONTROL_THEMES, this.theme);
		remember('theme', this.theme);
		this.#shade();
		this.app.toast('Theme: ' + (this.theme === 'system' ? 'as the system' : this.theme));
	}

	#shade() {
		const light = this.theme === 'light' || (this.theme === 'system' && this.systemLight.matches);
		this.root.documentElement.dataset.shade = light ? 'light' : 'dark';
		this.app.shadeChanged(!light);
	}

	#help() {
		const box = this.find('help-keys');
		const lists = this.keys.map(([name, rows]) => [name, rows.filter(([key]) => key !== '').map(([key, text]) => [key, text])]);
		lists[0][1].push(...TIME_POINTER);
		lists.splice(2, 0, ['Moving in the scene', [...SCENE_POINTER, ...SCENE_KEYS]]);
		const words = [...TIME_POINTER, ...SCENE_POINTER].map(([what]) => what);
		for (const [name, rows] of lists) {
			const part = document.createElement('section');
			const title = document.createElement('h3');
			const list = document.createElement('dl');
			title.textContent = name;
			for (const [key, text] of rows) {
				const term = document.createElement('dt');
				const value = document.createElement('dd');
				const spoken = words.includes(key);
				for (const one of spoken ? [key] : key.split(' ')) {
					const cap = document.createElement(spoken ? 'span' : 'kbd');
					cap.textContent = one;
					term.append(cap, ' ');
				}
				value.textContent = text;
				list.append(term, value);
			}
			part.append(title, list);
			box.append(part);
		}
		this.find('help-panel').addEventListener('click', (e) => {
			// A click beside the panel is one on its backdrop.
			if (e.target === this.find('help-panel'))
				this.find('help-panel').close();
		});
	}
}

function panelHidden(root) {
	return root.body.classList.contains('no-panel');
}

export function checkedMode(mode) {
	return CONTROL_MODES.includes(mode) ? mode : 'orbit';
}

export function checkedSpeed(speed) {
	return SPEEDS.includes(speed) ? speed : 1;
}

// Settings from a link: only what they may be.
export function checkedSettings(value, had) {
	const out = { ...had };
	const pick = (name, list) => { if (list.includes(value[name])) out[name] = value[name]; };
	const number = (name, lo, hi) => { if (typeof value[name] === 'number' && value[name] >= lo && value[name] <= hi) out[name] = value[name]; };
	const flag = (name) => { if (typeof value[name] === 'boolean') out[name] = value[name]; };
	pick('mode', CONTROL_MODES);
	pick('kind', KINDS);
	pick('colour', CONTROL_COLOURS);
	number('confidence', 0, 31);
	number('pointSize', 0.25, 4);
	number('edge', 0, 7);
	flag('edl');
	flag('frusta');
	return out;
}
