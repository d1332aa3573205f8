// view: one run as the page knows it: its frames in columns, corrections, what the cache held, and the pictures that fit into a
// bounded store. No drawing here.
import { FLAG, WIRE } from './wire.js';
import { KeptHistory } from './kept.js';

const PICTURE_BYTES = 96 << 20;
const EARLY_BYTES = 16 << 20;
const LEVELS = 32;
const EDGES = 8;
export const FIRST_CUT = 6;
export const FIRST_EDGE = 3;
const IDENTITY = Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0);

// A column that grows by doubling: a frame record is not an object, so that 100,000 frames are a few megabytes.
class Column {
	constructor(kind, width) {
		this.width = width;
		this.data = new kind(256 * width);
	}

	put(n, values) {
		if ((n + 1) * this.width > this.data.length) {
			const grown = new this.data.constructor(Math.max(this.data.length * 2, (n + 1) * this.width));
			grown.set(this.data);
			this.data = grown;
		}
		if (this.width === 1)
			this.data[n] = values;
		else
			this.data.set(values, n * this.width);
	}
}

// Pictures, depths and confidences by frame, no more bytes than the limit: beyond it every second of the frames that were asked
// for longest ago goes first.
export class MediaStore {
	constructor(limit) {
		this.limit = limit;
		this.clear();
	}

	clear() {
		this.items = new Map();
		this.bytes = 0;
	}

	put(type, n, record) {
		const key = n * 16 + type;
		const old = this.items.get(key);
		if (old)
			this.bytes -= old.bytes.length;
		// A copy of its own: a view would keep the whole message that it came in.
		const { w, h, lo, hi } = record;
		this.items.delete(key);
		this.items.set(key, { bytes: record.bytes.slice(), w, h, lo, hi });
		this.bytes += record.bytes.length;
		if (this.bytes > this.limit)
			this.#thin(key);
	}

	#thin(newest) {
		while (this.bytes > 0.75 * this.limit && this.items.size > 1) {
			let odd = false;
			for (const [key, item] of this.items) {
				odd = !odd;
				if (odd && key !== newest) {
					this.items.delete(key);
					this.bytes -= item.bytes.length;
				}
				if (this.bytes <= 0.75 * this.limit)
					break;
			}
		}
	}

	get(type, n) {
		const key = n * 16 + type;
		const item = this.items.get(key);
		if (item) {
			this.items.delete(key);
			this.items.set(key, item);
		}
		return item || null;
	}

	has(type, n) {
		return this.items.has(n * 16 + type);
	}
}

export class Run {
	constructor(index, info, limit) {
		this.index = index;
		this.info = info;
		this.count = 0;
		this.columns = {
			i: new Column(Float64Array, 1), pts: new Column(Float64Array, 1), captured: new Column(Float64Array, 1),
			matrix: new Column(Float32Array, 12), k: new Column(Float32Array, 4), flags: new Column(Uint16Array, 1),
			w: new Column(Uint16Array, 1), h: new Column(Uint16Array, 1), ms: new Column(Float32Array, 1),
			latency: new Column(Float32Array, 1), tokens: new Column(Uint32Array, 1), segment: new Column(Uint32Array, 1),
			points: new Column(Uint32Array, 1), got: new Column(Uint16Array, 1),
		};
		this.corrections = [];
		this.media = new MediaStore(limit || PICTURE_BYTES);
		this.kept = new KeptHistory((n) => (n < this.count ? this.columns.flags.data[n] : -1), limit);
		this.pointsHere = 0;
		this.levels = new Float64Array(LEVELS);
		this.edges = new Float64Array(EDGES);
		this.levelled = 0;
		this.early = new Map();
		this.earlyBytes = 0;
		this.tellsKept = false;
	}

	// Frames come in order. A frame that is known already (sent again after a reconnection) is left as it is: false.
	addFrame(record) {
		if (record.n !== this.count)
			return false;
		const n = this.count;
		for (const name of ['i', 'pts', 'captured', 'matrix', 'k', 'flags', 'w', 'h', 'ms', 'latency', 'tokens', 'segment'])
			this.columns[name].put(n, record[name]);
		this.columns.points.put(n, 0);
		this.columns.got.put(n, 0);
		this.tellsKept = this.tellsKept || (record.flags & FLAG.KEPT) !== 0;
		this.count++;
		return true;
	}

	// A record with bytes that comes before its frame waits for it; no more of them than a page can hold. False: its frame is here.
	waits(record) {
		if (record.n < this.count)
			return false;
		if (this.earlyBytes + record.bytes.length <= EARLY_BYTES) {
			this.earlyBytes += record.bytes.length;
			this.early.set(record.n, [...this.early.get(record.n) || [], record]);
		}
		return true;
	}

	// Those that waited for a frame, which is here now.
	takeEarly(n) {
		const waited = this.early.get(n) || [];
		this.early.delete(n);
		this.earlyBytes -= waited.reduce((sum, record) => sum + record.bytes.length, 0);
		return waited;
	}

	addMedia(record) {
		if (record.n >= this.count)
			return;
		this.columns.got.data[record.n] |= 1 << record.type;
		this.media.put(record.type, record.n, record);
	}

	// Of a recording it may be known only later than its frame that there is such a record.
	addKept(record, near) {
		this.tellsKept = true;
		if (record.n < this.count)
			this.columns.flags.data[record.n] |= FLAG.KEPT;
		this.kept.add(record, near);
	}

	pointsOf(n) {
		return n < this.count ? this.columns.points.data[n] : -1;
	}

	addPoints(record) {
		if (record.n >= this.count)
			return;
		const points = this.columns.points.data;
		const had = points[record.n];
		points[record.n] = Math.max(had, record.offset + record.count);
		this.pointsHere += points[record.n] - had;
	}

	// The confidences and edges of points: 10 bytes each, the last one has both.
	addLevels(bytes) {
		for (let at = 9; at < bytes.length; at += 10) {
			this.levels[bytes[at] >> 3]++;
			this.edges[bytes[at] & 7]++;
		}
		this.levelled += Math.floor(bytes.length / 10);
	}

	// The cut of confidence at first, from the levels of the points that came: what is hardly sure is left out, but never more than
	// half of them, so that a run whose confidences are all alike or all low is seen.
	firstCut() {
		let level = 0;
		for (let less = this.levels[0]; level < FIRST_CUT && 2 * less <= this.levelled; less += this.levels[level])
			level++;
		return level;
	}

	// The nearest depth edge that is drawn at first, likewise: depth may be so rough that edges are everywhere.
	firstEdge() {
		let edge = FIRST_EDGE;
		for (let kept = this.edges.slice(0, edge + 1).reduce((a, b) => a + b); edge < EDGES - 1 && 2 * kept < this.levelled; kept += this.edges[edge])
			edge++;
		return edge;
	}

	// A correction replaces those of the frames that it covers whole; of others the newest is looked at first.
	addCorrection(record) {
		this.corrections = this.corrections.filter((c) => c.from < record.from || c.to > record.to);
		this.corrections.push({ from: record.from, to: record.to, matrix: record.matrix });
	}

	correction(n) {
		const i = this.columns.i.data[n];
		for (let k = this.corrections.length - 1; k >= 0; k--)
			if (this.corrections[k].from <= i && i <= this.corrections[k].to)
				return this.corrections[k].matrix;
		return null;
	}

	frame(n) {
		if (!(n >= 0 && n < this.count))
			return null;
		const c = this.columns;
		return {
			n, i: c.i.data[n], pts: c.pts.data[n], captured: c.captured.data[n], flags: c.flags.data[n], w: c.w.data[n],
			h: c.h.data[n], ms: c.ms.data[n], latency: c.latency.data[n], tokens: c.tokens.data[n], segment: c.segment.data[n],
			points: c.points.data[n], matrix: c.matrix.data.subarray(12 * n, 12 * n + 12), k: c.k.data.subarray(4 * n, 4 * n + 4),
		};
	}

	flag(n, bit) {
		return n >= 0 && n < this.count && (this.columns.flags.data[n] & bit) !== 0;
	}

	// The last frame whose stream index is at most i; -1 before the first.
	frameAt(i) {
		let [lo, hi] = [0, this.count];
		while (lo < hi) {
			const mid = lo + hi >> 1;
			if (this.columns.i.data[mid] <= i)
				lo = mid + 1;
			else
				hi = mid;
		}
		return lo - 1;
	}

	// The first frame at a time or after it, where times grow; -1: none.
	frameAtTime(seconds) {
		const pts = this.columns.pts.data;
		let [lo, hi] = [0, this.count];
		while (lo < hi) {
			const mid = lo + hi >> 1;
			if (pts[mid] < seconds - 1e-6)
				lo = mid + 1;
			else
				hi = mid;
		}
		return lo < this.count ? lo : -1;
	}

	// The first frame that is no more than so many seconds before frame n.
	secondsBefore(n, seconds) {
		const pts = this.columns.pts.data;
		let k = n;
		while (k > 0 && pts[k - 1] >= pts[n] - seconds && pts[k - 1] <= pts[k])
			k--;
		return k;
	}

	// Where the camera was, in the world of the run as it is corrected now; null without a pose.
	position(n) {
		if (!this.flag(n, FLAG.POSE))
			return null;
		const m = this.columns.matrix.data.subarray(12 * n, 12 * n + 12);
		const c = this.correction(n) || IDENTITY;
		return [0, 4, 8].map((r) => c[r] * m[3] + c[r + 1] * m[7] + c[r + 2] * m[11] + c[r + 3]);
	}

	// How much of frame f the cache held: tokens as a share of all its patches in all layers.
	share(tokens) {
		const all = this.info.rows * this.info.cols * this.info.layers;
		return all > 0 ? Math.min(1, tokens / all) : 0;
	}

	// True where the page had the picture or the depth of a frame, and dropped it.
	dropped(n) {
		if (!(n >= 0 && n < this.count))
			return false;
		const got = this.columns.got.data[n];
		return [WIRE.PICTURE, WIRE.DEPTH, WIRE.CONFIDENCE].some((type) => got & 1 << type && !this.media.has(type, n));
	}
}
