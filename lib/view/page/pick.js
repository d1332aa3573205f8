// Which point is under the pointer: the points around it are drawn once more, each in a colour that is its number.

import { GlTarget } from './gl.js';
import { PAGE_POINTS } from './cloud.js';
import { SoftImage } from './soft.js';

export const PICK_WIDE = 21; // pixels, odd

// The number nearest to the middle of a square of wide pixels, 4 bytes each; -1: there is none.
export function nearestPick(bytes, wide) {
	const middle = (wide - 1) / 2;
	let best = -1, distance = Infinity;
	for (let i = 0; i < wide * wide; i++) {
		const id = (bytes[4 * i] | bytes[4 * i + 1] << 8 | bytes[4 * i + 2] << 16 | bytes[4 * i + 3] << 24) >>> 0;
		const d = (i % wide - middle) ** 2 + (Math.floor(i / wide) - middle) ** 2;
		if (id !== 0xffffffff && d < distance) {
			best = id;
			distance = d;
		}
	}
	return best;
}
export function pickPlace(id) { return { page: Math.floor(id / PAGE_POINTS), index: id % PAGE_POINTS }; }

export class Picker {
	constructor(gl) {
		this.gl = gl;
		this.target = new GlTarget(gl);
	}
	// The same with the processor: draw(image, part).
	pickSoft(draw) {
		const image = new SoftImage(PICK_WIDE, PICK_WIDE), part = [0, 0, PICK_WIDE, PICK_WIDE];
		image.clear(part, 0xffffffff);
		draw(image, part);
		const id = nearestPick(new Uint8Array(image.colour.buffer), PICK_WIDE);
		return id < 0 ? null : pickPlace(id);
	}
	// draw() draws the points with their numbers, in PICK_WIDE pixels around the place. Returns {page, index} or null.
	pick(draw) {
		const gl = this.gl;
		this.target.sized(PICK_WIDE, PICK_WIDE);
		gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
		gl.viewport(0, 0, PICK_WIDE, PICK_WIDE);
		gl.disable(gl.SCISSOR_TEST);
		gl.disable(gl.BLEND);
		gl.enable(gl.DEPTH_TEST);
		gl.depthMask(true);
		gl.depthFunc(gl.LEQUAL);
		gl.clearColor(1, 1, 1, 1);
		gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
		draw();
		const bytes = new Uint8Array(4 * PICK_WIDE * PICK_WIDE);
		gl.readPixels(0, 0, PICK_WIDE, PICK_WIDE, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
		const id = gl.isContextLost() ? -1 : nearestPick(bytes, PICK_WIDE);
		return id < 0 ? null : pickPlace(id);
	}
}
