// view: colour ramps of pictures, strip and legends: 256 colours made from a few, one for each theme where it matters.

// Evenly spaced colours of a ramp, as 0xrrggbb.
const STOPS = {
	// Depth: near is bright and warm, far is dark (matplotlib's inferno, CC0).
	depth: [0x000004, 0x1b0c41, 0x4a0c6b, 0x781c6d, 0xa52c60, 0xcf4446, 0xed6925, 0xfb9b06, 0xf7d13d, 0xfcffa4],
	// Confidence: matplotlib's viridis, CC0.
	confidence: [0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725],
	// What the cache holds: more is further from the background, in both themes.
	keptDark: [0x4a2f18, 0x7a4a1a, 0xa8651c, 0xd08427, 0xeba23c, 0xf8bd5e, 0xffd88f],
	keptLight: [0xf0cf9c, 0xeab468, 0xdd9436, 0xc9781f, 0xb06216, 0x96500f, 0x7d400b],
};

const made = new Map();

// 256 colours, 4 bytes each.
export function ramp(name) {
	if (!made.has(name)) {
		const stops = STOPS[name];
		const out = new Uint8ClampedArray(1024);
		for (let v = 0; v < 256; v++) {
			const x = v / 255 * (stops.length - 1);
			const k = Math.min(stops.length - 2, Math.floor(x));
			for (let c = 0; c < 3; c++) {
				const a = stops[k] >> 16 - 8 * c & 255;
				const b = stops[k + 1] >> 16 - 8 * c & 255;
				out[4 * v + c] = a + (b - a) * (x - k);
			}
			out[4 * v + 3] = 255;
		}
		made.set(name, out);
	}
	return made.get(name);
}

export function rampColour(name, share) {
	const at = 4 * Math.round(255 * Math.min(1, Math.max(0, share)));
	const c = ramp(name);
	return 'rgb(' + c[at] + ' ' + c[at + 1] + ' ' + c[at + 2] + ')';
}

export function keptRamp() {
	return document.documentElement.dataset.shade === 'light' ? 'keptLight' : 'keptDark';
}

// A legend: the ramp from left to right.
export function paintRamp(canvas, name) {
	canvas.width = 256;
	canvas.height = 1;
	const image = new ImageData(256, 1);
	image.data.set(ramp(name));
	canvas.getContext('2d').putImageData(image, 0, 0);
}
