// view: pictures of the side panel: decoded once and kept while they are looked at, depth and confidence in colours, and the
// picture with the patches that the cache holds.
import { WIRE } from './wire.js';
import { ramp } from './ramps.js';

const BITMAPS = 64;

async function decodeFile(item, type) {
	const mime = type === WIRE.PICTURE ? 'image/jpeg' : 'image/png';
	// Numbers, not colours: nothing may convert the grey levels.
	const options = type === WIRE.PICTURE ? {} : { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
	return createImageBitmap(new Blob([item.bytes], { type: mime }), options);
}

// The grey levels of a decoded PNG.
function levelsOf(bitmap) {
	const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
	const context = canvas.getContext('2d', { willReadFrequently: true });
	context.drawImage(bitmap, 0, 0);
	const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
	const out = new Uint8Array(bitmap.width * bitmap.height);
	for (let k = 0; k < out.length; k++)
		out[k] = data[4 * k];
	return out;
}

function coloured(levels, w, h, type) {
	const image = new ImageData(w, h);
	const colours = ramp(type === WIRE.DEPTH ? 'depth' : 'confidence');
	for (let k = 0; k < levels.length; k++) {
		const v = type === WIRE.DEPTH && levels[k] > 0 ? levels[k] - 1 : levels[k];
		for (let c = 0; c < 3; c++)
			image.data[4 * k + c] = colours[4 * v + c];
		// Level 0 of a depth is no depth: it shows what is behind the picture.
		image.data[4 * k + 3] = type === WIRE.DEPTH && levels[k] === 0 ? 0 : 255;
	}
	return image;
}

// Decoded pictures, those that were asked for last.
export class Pictures {
	constructor() {
		this.made = new Map();
		this.waiting = 0;
		this.onReady = () => {};
	}

	clear() {
		for (const entry of this.made.values())
			if (entry.bitmap)
				entry.bitmap.close();
		this.made.clear();
	}

	// {bitmap, levels, lo, hi} or null when it is not there, not yet decoded, or damaged; onReady is called when that changes.
	get(run, type, n) {
		const key = run.index + '/' + type + '/' + n;
		const had = this.made.get(key);
		if (had) {
			this.made.delete(key);
			this.made.set(key, had);
			return had.bitmap ? had : null;
		}
		const item = run.media.get(type, n);
		if (item)
			this.#make(key, item, type);
		return null;
	}

	#make(key, item, type) {
		const entry = { bitmap: null, levels: null, lo: item.lo, hi: item.hi };
		this.made.set(key, entry);
		this.waiting++;
		decodeFile(item, type).then(async (bitmap) => {
			if (type !== WIRE.PICTURE) {
				entry.levels = levelsOf(bitmap);
				const image = coloured(entry.levels, bitmap.width, bitmap.height, type);
				bitmap.close();
				bitmap = await createImageBitmap(image);
			}
			// Forgotten meanwhile, by clear or because others were asked for.
			if (this.made.get(key) === entry)
				entry.bitmap = bitmap;
			else
				bitmap.close();
		}).catch(() => {}).finally(() => {
			this.waiting--;
			this.#shrink();
			this.onReady();
		});
	}

	#shrink() {
		for (const [key, entry] of this.made) {
			if (this.made.size <= BITMAPS)
				break;
			if (entry.bitmap) {
				entry.bitmap.close();
				this.made.delete(key);
			}
		}
	}
}

// Size of a canvas in pixels of the screen, from its size in the layout; true when it changed.
export function fitCanvas(canvas) {
	const scale = Math.min(3, window.devicePixelRatio || 1);
	const w = Math.max(1, Math.round(canvas.clientWidth * scale));
	const h = Math.max(1, Math.round(canvas.clientHeight * scale));
	if (canvas.width === w && canvas.height === h)
		return false;
	canvas.width = w;
	canvas.height = h;
	return true;
}

// How dark a patch is that this share of the layers holds: what none holds is set apart from what few hold.
export function veil(share) {
	return share > 0 ? 0.6 * (1 - share) : 0.9;
}

// The layers that hold each patch over a picture: what no layer holds is nearly dark, what all hold is as it was seen.
let small = null;
export function shadePatches(context, box, cells, grid) {
	const { rows, cols, layers } = grid;
	if (!(rows > 0 && cols > 0 && layers > 0))
		return;
	const image = new ImageData(cols, rows);
	for (let p = 0; p < rows * cols; p++) {
		image.data[4 * p] = 10;
		image.data[4 * p + 1] = 11;
		image.data[4 * p + 2] = 14;
		image.data[4 * p + 3] = 255 * veil(cells ? Math.min(1, cells[p] / layers) : 0);
	}
	if (small === null)
		small = new OffscreenCanvas(1, 1);
	small.width = cols;
	small.height = rows;
	small.getContext('2d').putImageData(image, 0, 0);
	context.imageSmoothingEnabled = false;
	context.drawImage(small, box.x, box.y, box.w, box.h);
	context.imageSmoothingEnabled = true;
}

// Its legend: a light grey under the same veil, one step for each number of layers.
export function paintVeil(canvas, layers) {
	const steps = Math.max(1, layers) + 1;
	canvas.width = steps;
	canvas.height = 1;
	const image = new ImageData(steps, 1);
	for (let k = 0; k < steps; k++) {
		const v = 226 * (1 - veil(k / (steps - 1)));
		image.data.set([v + 10, v + 9, v + 6, 255], 4 * k);
	}
	canvas.getContext('2d').putImageData(image, 0, 0);
}

// The largest box of a picture's shape inside a canvas.
export function boxInside(canvas, w, h) {
	const scale = Math.min(canvas.width / w, canvas.height / h);
	const box = { w: w * scale, h: h * scale };
	box.x = (canvas.width - box.w) / 2;
	box.y = (canvas.height - box.h) / 2;
	return box;
}
