// How much is drawn: all of it while things rest, and what the machine draws in time while they move. A fence tells how
// long a picture took; while one is not finished no other is begun, so that a slow machine answers the mouse late by one
// picture and not by many.

const PACE_STEPS = [
	{ scale: 1, fraction: 1 }, { scale: 0.75, fraction: 0.6 }, { scale: 0.5, fraction: 0.35 }, { scale: 0.5, fraction: 0.15 },
];
const PACE_SLOW = 45; // ms
const PACE_FAST = 25;
const PACE_REST = 160; // after so long without a change everything is drawn

export class Pace {
	// before: the one of the context that was lost.
	constructor(gl, before) {
		this.gl = gl;
		this.begunCount = this.finishedCount = before ? before.begunCount : 0;
		this.step = 0;
		this.ms = 0; // of the last pictures
		this.full = false;
		this.fence = null;
		this.calm = 0;
		this.patience = 30; // pictures that must be fast before more is drawn
		this.changedAt = 0;
	}
	// What to draw now: {scale, fraction}, or null: nothing.
	plan(now, changed, force) {
		if (!this.finished(now) && !force) {
			if (changed) this.changedAt = now;
			return null;
		}
		if (force) return PACE_STEPS[0];
		if (changed) {
			this.changedAt = now;
			return PACE_STEPS[this.step];
		}
		return this.full || now - this.changedAt < PACE_REST ? null : PACE_STEPS[0];
	}
	drew(now, plan) {
		const gl = this.gl;
		this.full = plan === PACE_STEPS[0];
		if (this.fence) gl.deleteSync(this.fence);
		this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
		gl.flush();
		this.begun = now;
		this.begunCount++;
		this.drawing = plan;
	}
	finished(now) {
		const gl = this.gl;
		if (this.fence === null) return true;
		if (gl.getSyncParameter(this.fence, gl.SYNC_STATUS) !== gl.SIGNALED && now - this.begun < 2000) return false;
		gl.deleteSync(this.fence);
		this.fence = null;
		this.finishedCount = this.begunCount;
		this.took(now - this.begun);
		return true;
	}
	took(ms) {
		this.ms = this.ms === 0 ? ms : 0.8 * this.ms + 0.2 * ms;
		if (this.drawing !== PACE_STEPS[this.step]) return;
		if (ms > PACE_SLOW && this.step < PACE_STEPS.length - 1) {
			this.step++;
			this.patience = Math.min(1000, 2 * this.patience);
			this.calm = 0;
		} else if (ms < PACE_FAST && this.step > 0) {
			if (++this.calm < this.patience) return;
			this.step--;
			this.calm = 0;
		} else this.calm = 0;
	}
}
