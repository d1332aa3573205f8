// view: which patch tokens the cache still held after each frame. Records say what changed since the one before, a full one
// now and then says everything, so the state at any frame is a full record and the changes after it.
import { FLAG, eachCell } from './wire.js';

// The bytes of records that are kept for going back in time; beyond that those farthest from the scrubbed frame go, and the
// page asks the server again when somebody looks there.
const KEPT_BYTES = 48 << 20;

export class KeptHistory {
	// flagsOf(n): the flags of frame n, or -1 where it is not known; they say which frames have a record.
	constructor(flagsOf, limit) {
		this.flagsOf = flagsOf;
		this.limit = limit || KEPT_BYTES;
		this.clear();
	}

	clear() {
		this.records = new Map();
		this.fulls = [];
		this.bytes = 0;
		this.version = 0;
		this.state = null;
		this.grid = { rows: 0, cols: 0, layers: 0 };
	}

	add(record, near) {
		const old = this.records.get(record.n);
		if (old && (old.full || !record.full))
			return;
		const cost = record.entries.reduce((sum, e) => sum + 40 + (e.cells ? e.cells.length : 0), 64);
		this.bytes -= old ? old.cost : 0;
		// Cells of their own: a view would keep the whole message, or file, that they came in.
		const entries = record.entries.map((e) => ({ ...e, cells: e.cells && e.cells.slice() }));
		this.records.set(record.n, { full: record.full, entries, cost });
		this.grid = { rows: record.rows, cols: record.cols, layers: record.layers };
		if (record.full)
			this.#insertFull(record.n);
		this.bytes += cost;
		this.version++;
		// A state that ended at a gap before this record, or that was made without it, is made anew.
		if (this.state && record.n <= this.state.n)
			this.state = null;
		if (this.bytes > this.limit)
			this.#shrink(near === undefined ? record.n : near);
	}

	#insertFull(n) {
		let at = this.fulls.length;
		while (at > 0 && this.fulls[at - 1] > n)
			at--;
		this.fulls.splice(at, 0, n);
	}

	#shrink(near) {
		const order = [...this.records.keys()].sort((a, b) => Math.abs(b - near) - Math.abs(a - near));
		for (const n of order) {
			if (this.bytes <= this.limit * 0.75 || n === near)
				break;
			this.bytes -= this.records.get(n).cost;
			this.records.delete(n);
		}
		this.fulls = this.fulls.filter((n) => this.records.has(n));
		this.version++;
	}

	#lastFull(n) {
		let [lo, hi] = [0, this.fulls.length];
		while (lo < hi) {
			const mid = lo + hi >> 1;
			if (this.fulls[mid] <= n)
				lo = mid + 1;
			else
				hi = mid;
		}
		return lo > 0 ? this.fulls[lo - 1] : -1;
	}

	#apply(state, record) {
		const { rows, cols } = this.grid;
		if (record.full)
			state.frames.clear();
		for (const entry of record.entries) {
			if (entry.tokens === 0) {
				state.frames.delete(entry.frame);
				continue;
			}
			let held = state.frames.get(entry.frame);
			if (!held || held.cells.length !== rows * cols) {
				held = { tokens: 0, cells: new Uint8Array(rows * cols) };
				state.frames.set(entry.frame, held);
			}
			held.tokens = entry.tokens;
			if (entry.cells === null)
				held.cells.fill(Math.min(255, this.grid.layers));
			else {
				// An entry lists every patch that is held: the others went.
				held.cells.fill(0);
				eachCell(entry.cells, (patch, layers) => { held.cells[patch] = layers; });
			}
		}
	}

	// What the cache held after frame n: {n: the frame it is exact for, frames: Map of frame to {tokens, cells}, missing: null
	// or {from, to}: the records to ask for}. null: nothing is known. The object is the history's own until the next call.
	at(n) {
		const full = this.#lastFull(n);
		let state = this.state;
		const fresh = !state || state.n > n || full > state.n;
		if (fresh) {
			if (full < 0)
				return this.#unknown(n);
			state = { n: full - 1, frames: new Map(), missing: null };
		}
		state.missing = null;
		for (let k = state.n + 1; k <= n; k++) {
			const record = this.records.get(k);
			if (record) {
				this.#apply(state, record);
			} else if (this.flagsOf(k) < 0 || this.flagsOf(k) & FLAG.KEPT) {
				state.missing = { from: k, to: n };
				break;
			}
			state.n = k;
		}
		this.state = state;
		return state;
	}

	#unknown(n) {
		// At least every 64th record is a full one.
		for (let k = Math.max(0, n - 63); k <= n; k++)
			if (this.flagsOf(k) > 0 && this.flagsOf(k) & FLAG.KEPT)
				return { n: -1, frames: new Map(), missing: { from: Math.max(0, n - 63), to: n } };
		return null;
	}
}
