// view: what the page asks the server for first: the frames that somebody looks at, and again what the page had to drop.

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
		this.asked = new Map();
		this.next = null;
		this.timer = 0;
	}

	// After a reconnection the server knows nothing of what was said.
	again() {
		this.said = ['', ''];
		this.asked.clear();
		if (this.next)
			this.look(this.next);
	}

	// views: {run, looked, shown: {from, to, current}} of each run. Sent after a moment of rest, so that scrubbing is no flood.
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
		for (const { run, looked, shown } of this.next) {
			const { from, to, current } = shown;
			if (current < 0)
				continue;
			const live = this.player.mode === 'live' && this.player.live && looked === current;
			const want = live ? { run: run.index } : { run: run.index, from, to, at: looked };
			const text = JSON.stringify(want);
			if (text !== this.said[run.index]) {
				this.said[run.index] = text;
				this.link.send({ want });
			}
			this.#restore(run, looked);
			this.#restoreKept(run, current);
		}
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

	#restore(run, n) {
		if (run.dropped(n) && this.#due(run.index + '/' + n, 0))
			this.link.send({ want: { run: run.index, from: n, to: n, at: n, again: true } });
	}

	#restoreKept(run, n) {
		const state = run.kept.at(n);
		if (state && state.missing && this.#due(run.index + '/kept/' + n, this.patience))
			this.link.send({ want: { run: run.index, from: state.missing.from, to: n, at: n, again: true } });
	}
}
