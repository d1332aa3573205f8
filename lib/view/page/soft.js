// Draws the cloud's points without the GPU's help, into arrays. Where the browser computes WebGL on the processor, a point
// costs it microseconds, since each goes through the whole machinery of triangles; here it costs some nanoseconds. The
// picture is the same but for discs, which are squares here. Lines are drawn over it by WebGL.

import { PAGE_POINTS, cloudWanted } from './cloud.js';
import { COLOUR_MODES, turboColour, viridisColour } from './colours.js';

// Bytes red, green, blue, 255 as one number, as typed arrays lay it out.
function packed(rgb) { return (rgb[0] | rgb[1] << 8 | rgb[2] << 16 | 255 << 24) >>> 0; }

// Colours of a mode as 256 numbers from low to high; null: the points' own.
export function softRamp(mode) {
	if (mode === 'rgb' || !COLOUR_MODES.includes(mode)) return null;
	const ramp = new Uint32Array(256);
	for (let i = 0; i < 256; i++) {
		const t = i / 255;
		const colour = mode === 'confidence' ? viridisColour(t) : turboColour(mode === 'depth' ? 0.95 - 0.9 * t : 0.05 + 0.9 * t);
		ramp[i] = packed(colour.map((v) => Math.round(255 * v)));
	}
	return ramp;
}

// Where a run is drawn: colour and depth (0 near, 1 far) of width x height pixels from the lower left, and of these the
// rectangle part: [x, y, width, height].
export class SoftImage {
	constructor(width, height) {
		this.width = width;
		this.height = height;
		this.colour = new Uint32Array(width * height);
		this.depth = new Float32Array(width * height);
	}
	clear(part, colour) {
		for (let y = part[1]; y < part[1] + part[3]; y++) {
			const from = y * this.width + part[0];
			this.colour.fill(colour, from, from + part[2]);
			this.depth.fill(1, from, from + part[2]);
		}
	}
}

// camera after the matrix of a page's row, for positions of 0..65535: 4 rows of 4.
function softMatrix(camera, table, row) {
	const m = new Float64Array(16), at = 16 * row;
	for (let i = 0; i < 4; i++)
		for (let j = 0; j < 4; j++) {
			let sum = j === 3 ? camera[12 + i] : 0;
			for (let k = 0; k < 3; k++) sum += camera[4 * k + i] * table[at + 4 * k + j];
			m[4 * i + j] = j === 3 ? sum : sum / 65535;
		}
	return m;
}

// Draws a run's points into part of image; how as Points.render has it. Returns the number of points looked at.
export function softPoints(cloud, run, how, image, part) {
	const wanted = cloudWanted(how), ramp = softRamp(how.colour);
	let drawn = 0;
	cloud.pages.forEach((page, index) => {
		if (page.run !== run) return;
		for (const piece of page.parts) {
			let count = piece.count;
			if (how.fraction < 1)
				count = Math.min(count, Math.ceil(how.fraction * Math.max(piece.frame.total, piece.frame.held)) - piece.offset);
			if (count <= 0 || !wanted(piece.frame, page.rows[piece.row])) continue;
			const paint = { ramp, first: how.picking ? index * PAGE_POINTS : -1, t: piece.frame.n / Math.max(1, how.last) };
			softPiece(page, piece, count, how, image, part, paint);
			drawn += count;
		}
	});
	return drawn;
}

function softPiece(page, piece, count, how, image, part, paint) {
	const { words, table } = page, m = softMatrix(how.camera, table, piece.row), { colour, depth, width } = image;
	const [m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15] = m;
	const near = table[16 * piece.row + 13], deep = table[16 * piece.row + 14] / 65535, spacing = table[16 * piece.row + 15];
	const [unit, times, smallest, largest] = how.size, grow = unit * times * spacing, { confidence, edge } = how;
	const [left, bottom, wide, high] = part, halfWide = wide / 2, halfHigh = high / 2;
	const mode = paint.first >= 0 ? 4 : paint.ramp === null ? 0 : COLOUR_MODES.indexOf(how.colour), ramp = paint.ramp;
	const low = Math.log2(how.depths[0]), step = 255 / Math.log2(how.depths[1] / how.depths[0]);
	const oneColour = mode === 2 ? ramp[Math.round(255 * Math.min(1, paint.t))] : 0;
	for (let i = piece.first, a = 6 * i; i < piece.first + count; i++, a += 6) {
		const info = words[a + 4] >> 8;
		if (info >> 3 < confidence || (info & 7) > edge) continue;
		const x = words[a], y = words[a + 1], z = words[a + 2], w = m12 * x + m13 * y + m14 * z + m15;
		if (w <= 0) continue;
		const inverse = 1 / w, d = (m8 * x + m9 * y + m10 * z + m11) * inverse * 0.5 + 0.5;
		if (d < 0 || d > 1) continue;
		const px = ((m0 * x + m1 * y + m2 * z + m3) * inverse + 1) * halfWide, py = ((m4 * x + m5 * y + m6 * z + m7) * inverse + 1) * halfHigh;
		if (px < 0 || px > wide || py < 0 || py > high) continue;
		const far = near + deep * z;
		let size = grow * far * inverse;
		size = 0.5 * (size < smallest ? smallest : size > largest ? largest : size);
		let tint = oneColour;
		if (mode === 0) tint = words[a + 3] | (words[a + 4] & 255) << 16 | 0xff000000;
		else if (mode === 1) tint = ramp[Math.max(0, Math.min(255, Math.round((Math.log2(far) - low) * step)))];
		else if (mode === 3) tint = ramp[Math.round(255 * (info >> 3) / 31)];
		else if (mode === 4) tint = paint.first + i;
		// A pixel is the point's when its middle lies in the square.
		const x0 = Math.max(0, Math.ceil(px - size - 0.5)), x1 = Math.min(wide, Math.ceil(px + size - 0.5));
		const y0 = Math.max(0, Math.ceil(py - size - 0.5)), y1 = Math.min(high, Math.ceil(py + size - 0.5));
		for (let v = y0; v < y1; v++) {
			const line = (bottom + v) * width + left;
			for (let at = line + x0; at < line + x1; at++)
				if (d < depth[at]) {
					depth[at] = d;
					colour[at] = tint;
				}
		}
	}
}

// What edl.js does, with four neighbours. how: {near, far, flat: height that is seen or 0, strength, radius, back: [r, g, b]
// in 0..1}.
export function softLight(image, part, how) {
	const { colour, depth, width } = image, [left, bottom, wide, high] = part, { far, flat, strength, radius } = how;
	const range = far - how.near, back = packed(how.back.map((v) => Math.round(255 * v))), steep = flat > 0 ? range / flat * 2.5 : 0;
	const nearer = (a, d, other) => {
		if (other >= d) return 0;
		return flat > 0 ? Math.min(1, (d - other) * steep) : 1 - a / (far - other * range);
	};
	for (let y = 0; y < high; y++) {
		const line = (bottom + y) * width + left;
		const down = line - Math.min(y, radius) * width, up = line + Math.min(high - 1 - y, radius) * width;
		for (let x = 0; x < wide; x++) {
			const d = depth[line + x];
			if (d >= 1) {
				colour[line + x] = back;
				continue;
			}
			if (strength === 0) continue;
			const a = far - d * range;
			const sum = nearer(a, d, depth[down + x]) + nearer(a, d, depth[up + x]) +
				nearer(a, d, depth[line + Math.max(0, x - radius)]) + nearer(a, d, depth[line + Math.min(wide - 1, x + radius)]);
			if (sum < 0.001) continue;
			const s = Math.exp(-strength * sum), c = colour[line + x];
			colour[line + x] = (c & 255) * s | ((c >> 8 & 255) * s) << 8 | ((c >> 16 & 255) * s) << 16 | 0xff000000;
		}
	}
}
