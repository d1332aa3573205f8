// view: what the page asks the server for first: the frames that somebody looks at, and again what the page had to drop.
import { WIRE, FLAG } from './wire.js';

const MOST_ALSO = 32;
const WANT_MS = 80;
// A frame that was asked for is not asked for again at once: it is on its way.
const AGAIN_MS = 3000;
// What has not come yet is likely to come by itself.
const PATIENCE_MS = 1000;

export class Wants {
	constructor(player, link, patience = PATIENCE_MS) {
		this.patience = patience;
		this.player = player;
		this.link = link;
		this.said = ['', ''];
		this.errands = [null, null];
		this.asked = new Map();
		this.next = null;
		this.timer = 0;
	}

	// After a reconnection the server knows nothing of what was said.
	again() {
		this.said = ['', ''];
		this.errands = [null, null];
		this.asked.clear();
		if (this.next)
			this.look(this.next);
	}

	// views: {run, looked, shown: {from, to, current}, also: frames whose pictures are small ones} of each run. Sent after a
	// moment of rest, so that scrubbing is no flood.
	look(views) {
		this.next = views;
		if (this.timer === 0)
			this.timer = setTimeout(() => {
				this.timer = 0;
				this.#send();
			}, WANT_MS);
	}

	#send() {
		if (!this.link.open || !this.next)
			return;
		for (const view of this.next)
			if (view.shown.current >= 0)
				this.#sendOf(view);
	}

	// What is asked for again comes first: the server goes by the last word about the order.
	#sendOf({ run, looked, shown: { from, to, current }, also }) {
		const missing = (also || []).filter((n) => run.flag(n, FLAG.PICTURE) && !run.media.has(WIRE.PICTURE, n)).slice(0, MOST_ALSO);
		const asked = [current, looked, ...missing].map((n) => this.#restore(run, n));
		asked.push(this.#restoreKept(run, current));
		const live = this.player.mode === 'live' && this.player.live;
		const want = live ? { run: run.index } : { run: run.index, from, to, at: current };
		if (looked !== current)
			want.look = looked;
		if (missing.length > 0)
			want.also = missing;
		if (!live && this.#errand(run, [current, looked, ...missing], { from, to }))
			return;
		const text = JSON.stringify(want);
		if (text === this.said[run.index] && !asked.includes(true))
			return;
		this.said[run.index] = text;
		this.link.send({ want });
	}

	// Pictures of other frames that do not come although they were asked for: the page looks at each of them for a moment. True
	// while it does.
	#errand(run, frames, range) {
		const now = performance.now();
		const lacks = (n) => run.flag(n, FLAG.PICTURE) && !run.media.has(WIRE.PICTURE, n);
		const out = this.errands[run.index];
		if (out && lacks(out.n) && now < out.until)
			return true;
		this.errands[run.index] = null;
		const [current, ...others] = frames;
		const n = lacks(current) ? undefined : others.find((k) => k !== current && lacks(k) && this.#due(run.index + '/go/' + k, this.patience));
		if (n === undefined)
			return false;
		this.errands[run.index] = { n, until: now + PATIENCE_MS };
		this.said[run.index] = '';
		this.link.send({ want: { run: run.index, ...range, at: n } });
		setTimeout(() => this.next && this.look(this.next), PATIENCE_MS + 1);
		return true;
	}

	#due(key, patience) {
		const now = performance.now();
		if (this.asked.size > 1000)
			this.asked.clear();
		if (!this.asked.has(key))
			this.asked.set(key, now + patience);
		if (now < this.asked.get(key))
			return false;
		this.asked.set(key, now + AGAIN_MS);
		return true;
	}

	#again(run, from, to, at) {
		this.link.send({ want: { run: run.index, from, to, at, again: true } });
		return true;
	}

	#restore(run, n) {
		return run.dropped(n) && this.#due(run.index + '/' + n, 0) && this.#again(run, n, n, n);
	}

	#restoreKept(run, n) {
		const state = run.kept.at(n);
		return state !== null && state.missing !== null && this.#due(run.index + '/kept/' + n, this.patience) &&
			this.#again(run, state.missing.from, n, n);
	}
}
