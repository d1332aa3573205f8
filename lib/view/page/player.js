// view: where in time the page looks: live, paused or playing, at a stream index that all runs share, and which frames around
// it are shown. No drawing here.

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
export const WINDOWS = ['until', 'seconds', 'one', 'all'];

export class Player {
	constructor() {
		this.runs = [];
		this.mode = 'live';
		this.i = 0;
		this.speed = 1;
		this.window = 'until';
		this.seconds = 5;
		this.carry = 0;
		this.onChange = () => {};
	}

	setRuns(runs) {
		this.runs = runs;
		this.mode = 'live';
		this.i = 0;
		this.onChange();
	}

	// The run that steps and speeds refer to: the one with most frames.
	get lead() {
		return this.runs.reduce((best, run) => (best && best.count >= run.count ? best : run), null);
	}

	bounds() {
		let [lo, hi] = [Infinity, -Infinity];
		for (const run of this.runs)
			if (run.count > 0) {
				lo = Math.min(lo, run.columns.i.data[0]);
				hi = Math.max(hi, run.columns.i.data[run.count - 1]);
			}
		return lo <= hi ? { lo, hi } : { lo: 0, hi: 0 };
	}

	// Frames came: who looks at the newest goes on with it.
	grown() {
		if (this.mode === 'live' && this.i !== this.bounds().hi) {
			this.i = this.bounds().hi;
			this.onChange();
		}
	}

	goLive() {
		this.mode = 'live';
		this.i = this.bounds().hi;
		this.onChange();
	}

	seek(i) {
		const { lo, hi } = this.bounds();
		if (this.mode === 'live')
			this.mode = 'paused';
		this.i = Math.min(hi, Math.max(lo, i));
		this.carry = 0;
		this.onChange();
	}

	step(frames) {
		const run = this.lead;
		if (!run || run.count === 0)
			return;
		const n = Math.min(run.count - 1, Math.max(0, run.frameAt(this.i) + frames));
		this.mode = 'paused';
		this.seek(run.columns.i.data[n]);
	}

	togglePlay() {
		if (this.mode === 'playing') {
			this.mode = 'paused';
		} else {
			const { lo, hi } = this.bounds();
			// Play at the end begins again, except in a live stream that is looked at as it comes: there it pauses.
			if (this.mode === 'live' && this.live) {
				this.mode = 'paused';
			} else {
				if (this.i >= hi)
					this.i = lo;
				this.mode = 'playing';
			}
		}
		this.carry = 0;
		this.onChange();
	}

	setSpeed(speed) {
		this.speed = SPEEDS.includes(speed) ? speed : 1;
		this.onChange();
	}

	faster(by) {
		const at = SPEEDS.indexOf(this.speed) + by;
		this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at))]);
	}

	setWindow(window, seconds) {
		this.window = WINDOWS.includes(window) ? window : 'until';
		if (Number.isFinite(seconds) && seconds > 0)
			this.seconds = seconds;
		this.onChange();
	}

	// Seconds of stream from frame n to the next, where the times of the stream make sense.
	#duration(run, n) {
		const pts = run.columns.pts.data;
		const d = pts[n + 1] - pts[n];
		if (d > 0 && d <= 10)
			return d;
		return run.info.fps > 0 ? 1 / run.info.fps : 0.1;
	}

	// Playing goes on by so many seconds of the page.
	tick(dt) {
		const run = this.lead;
		if (this.mode !== 'playing' || !run)
			return;
		let n = Math.max(0, run.frameAt(this.i));
		// After a pause of the page (a hidden tab) playing goes on from where it was, not from where it would be.
		this.carry += Math.min(dt, 1) * this.speed;
		let moved = false;
		while (n + 1 < run.count && this.carry >= this.#duration(run, n)) {
			this.carry -= this.#duration(run, n);
			n++;
			moved = true;
		}
		if (n + 1 >= run.count)
			this.mode = this.live ? 'live' : 'paused';
		if (moved || this.mode !== 'playing') {
			this.i = this.mode === 'playing' ? run.columns.i.data[n] : this.bounds().hi;
			this.onChange();
		}
	}

	// Frame numbers of a run that are shown, and the current one; -1: the run has none yet.
	shown(run) {
		const n = run.frameAt(this.i);
		switch (this.window) {
		case 'all': return { from: 0, to: run.count - 1, current: n };
		case 'one': return { from: n, to: n, current: n };
		case 'seconds': return { from: n < 0 ? 0 : run.secondsBefore(n, this.seconds), to: n, current: n };
		default: return { from: 0, to: n, current: n };
		}
	}
}
