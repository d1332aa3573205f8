// view: what is taken away from the page, screenshots, points, and a link to what is seen; and what such a link brings back.
import { encodeShare, decodeShare, download } from './share.js';
import { checkedSettings, checkedSpeed } from './controls.js';

export class Away {
	constructor(app) {
		this.app = app;
		this.shared = decodeShare(location.hash);
	}

	#fileName(tail) {
		const run = this.app.player.lead;
		const name = run ? (run.info.name || run.info.source).split('/').pop().replace(/\.[a-z0-9]+$/i, '') : '';
		const n = run ? run.frameAt(this.app.player.i) : -1;
		return (name.replace(/[^\w.-]+/g, '_') || 'e3') + (n >= 0 ? '-' + n : '') + tail;
	}

	async screenshot() {
		download(await this.app.scene.screenshot(), this.#fileName('.png'));
		this.app.toast('Screenshot saved');
	}

	save(kind) {
		this.app.runs.forEach((run) => download(this.app.scene.export(kind, run.index),
			this.#fileName((this.app.runs.length > 1 ? '-' + 'ab'[run.index] : '') + '.' + kind)));
	}

	shareAddress() {
		const { mode: time, i, speed, window: shown, seconds } = this.app.player;
		const value = { view: this.app.scene.getView(), time, i, speed, shown, seconds, settings: this.app.settings };
		if (this.app.unit.name !== '')
			value.unit = { factor: this.app.unit.factor, name: this.app.unit.name };
		return location.href.replace(/#.*/, '') + encodeShare(value);
	}

	async copyLink() {
		const address = this.shareAddress();
		try {
			history.replaceState(null, '', address);
		} catch {
			// Some browsers allow it to no page from a file.
		}
		const token = new URLSearchParams(location.search).has('token');
		try {
			await navigator.clipboard.writeText(address);
			this.app.toast(token ? 'Link copied: with the token, so it opens the page' : 'Link copied');
		} catch {
			// Pages without TLS may not use the clipboard, except from this machine.
			this.app.toast('The link is in the address bar');
		}
	}

	// What the link that opened the page says.
	take() {
		const s = this.shared;
		if (!s)
			return;
		if (typeof s.settings === 'object' && s.settings !== null)
			this.app.settings = checkedSettings(s.settings, this.app.settings);
		this.app.player.setSpeed(checkedSpeed(s.speed));
		this.app.player.setWindow(s.shown, s.seconds);
		if (s.unit && s.unit.factor > 0 && typeof s.unit.name === 'string')
			this.app.unit.learn(1, s.unit.factor, s.unit.name.slice(0, 4));
		try {
			if (s.view)
				this.app.scene.setView(s.view);
		} catch {
			// A link that somebody wrote by hand: the view stays where it is.
		}
	}

	// The time of a link, as soon as there are frames at it.
	takeTime() {
		const s = this.shared;
		if (!s || s.time === 'live' || !Number.isFinite(s.i) || this.app.player.bounds().hi < s.i)
			return;
		this.shared = null;
		this.app.player.seek(s.i);
	}
}
