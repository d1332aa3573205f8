// Draws the cloud's points with WebGL 2: copies what is new of each page, and draws ranges of pages. Everything that a
// slider or the timeline changes is a uniform, and which points pass is decided in the vertex shader.

import { glProgram, glTexture } from './gl.js';
import { PAGE_POINTS, PAGE_ROWS, POINT_BYTES, ROW_FLOATS, cloudRanges, cloudWanted } from './cloud.js';
import { COLOUR_MODES, colourShader } from './colours.js';

const ROWS_WIDE = 256; // rows of the table in one row of texels
const TABLE_WIDTH = ROWS_WIDE * ROW_FLOATS / 4;

const POINTS_VERTEX = `
layout(location = 0) in vec3 place; // in the box, 0..1
layout(location = 1) in uvec4 paint; // red, green, blue, confidence << 3 | edge
layout(location = 2) in uint row;
uniform sampler2D table;
uniform mat4 camera; // world to clip
uniform vec3 shown; // first and last frame; number of the last frame there is
uniform uvec2 cut; // smallest confidence, largest edge
uniform int mode;
uniform vec2 depths; // log2 of the nearest z, 1 / log2 of the ratio to the farthest
uniform vec4 size; // pixels for a width of 1 at w = 1; times; smallest; largest
#ifdef PICK
uniform uint page;
flat out vec4 colour;
#else
flat out vec3 colour;
flat out float wide;
#endif
void main() {
	ivec2 at = ivec2(int(row) % ${ROWS_WIDE} * 4, int(row) / ${ROWS_WIDE});
	vec4 about = texelFetch(table, at + ivec2(3, 0), 0);
	if (about.x < shown.x || about.x > shown.y || paint.w >> 3 < cut.x || (paint.w & 7u) > cut.y) {
		gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
		gl_PointSize = 0.0;
		return;
	}
	vec4 p = vec4(place, 1.0);
	vec4 world = vec4(dot(texelFetch(table, at, 0), p), dot(texelFetch(table, at + ivec2(1, 0), 0), p),
		dot(texelFetch(table, at + ivec2(2, 0), 0), p), 1.0);
	gl_Position = camera * world;
	float z = max(about.y + about.z * place.z, 1e-6);
	float pixels = clamp(size.x * size.y * about.w * z / max(gl_Position.w, 1e-6), size.z, size.w);
	gl_PointSize = pixels;
#ifdef PICK
	uint id = page << 17 | uint(gl_VertexID);
	colour = vec4(float(id & 255u), float(id >> 8 & 255u), float(id >> 16 & 255u), float(id >> 24)) / 255.0;
#else
	wide = pixels;
	if (mode == 0) colour = vec3(paint.xyz) / 255.0;
	else if (mode == 1) colour = turbo(0.95 - 0.9 * clamp((log2(z) - depths.x) * depths.y, 0.0, 1.0));
	else if (mode == 2) colour = turbo(0.05 + 0.9 * about.x / max(shown.z, 1.0));
	else colour = viridis(float(paint.w >> 3) / 31.0);
#endif
}`;

// Large points are discs.
const POINTS_FRAGMENT = `
#ifdef PICK
flat in vec4 colour;
out vec4 pixel;
void main() { pixel = colour; }
#else
flat in vec3 colour;
flat in float wide;
out vec4 pixel;
void main() {
	vec2 d = gl_PointCoord - 0.5;
	if (wide > 3.5 && dot(d, d) > 0.25) discard;
	pixel = vec4(colour, 1.0);
}
#endif`;

export class Points {
	constructor(gl, cloud) {
		this.gl = gl;
		this.cloud = cloud;
		this.draw = glProgram(gl, colourShader() + POINTS_VERTEX, POINTS_FRAGMENT);
		this.pick = glProgram(gl, POINTS_VERTEX, POINTS_FRAGMENT, ['PICK']);
		this.multi = gl.getExtension('WEBGL_multi_draw');
		// A new context has none of the copies.
		for (const page of cloud.pages.concat(cloud.free)) page.gpu = null;
		cloud.dropped = [];
	}
	makeCopy(page) {
		const gl = this.gl, buffer = gl.createBuffer(), array = gl.createVertexArray();
		gl.bindVertexArray(array);
		gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
		gl.bufferData(gl.ARRAY_BUFFER, PAGE_POINTS * POINT_BYTES, gl.DYNAMIC_DRAW);
		gl.enableVertexAttribArray(0);
		gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, POINT_BYTES, 0);
		gl.enableVertexAttribArray(1);
		gl.vertexAttribIPointer(1, 4, gl.UNSIGNED_BYTE, POINT_BYTES, 6);
		gl.enableVertexAttribArray(2);
		gl.vertexAttribIPointer(2, 1, gl.UNSIGNED_SHORT, POINT_BYTES, 10);
		gl.bindVertexArray(null);
		const table = glTexture(gl, gl.NEAREST);
		gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, TABLE_WIDTH, PAGE_ROWS / ROWS_WIDE, 0, gl.RGBA, gl.FLOAT, null);
		page.gpu = { buffer, array, table };
		page.sentPoints = 0;
		page.newRows = [0, page.rows.length];
	}
	// Copies what is new. Returns bytes copied.
	upload() {
		const gl = this.gl;
		let bytes = 0;
		for (const page of this.cloud.dropped) {
			if (!page.gpu) continue;
			gl.deleteBuffer(page.gpu.buffer);
			gl.deleteVertexArray(page.gpu.array);
			gl.deleteTexture(page.gpu.table);
			page.gpu = null;
		}
		this.cloud.dropped = [];
		for (const page of this.cloud.pages) {
			if (page.gpu === null) this.makeCopy(page);
			if (page.sentPoints < page.used) {
				gl.bindBuffer(gl.ARRAY_BUFFER, page.gpu.buffer);
				gl.bufferSubData(gl.ARRAY_BUFFER, page.sentPoints * POINT_BYTES, page.words, page.sentPoints * 6,
					(page.used - page.sentPoints) * 6);
				bytes += (page.used - page.sentPoints) * POINT_BYTES;
				page.sentPoints = page.used;
			}
			const [from, to] = page.newRows;
			if (from < to) {
				const y = Math.floor(from / ROWS_WIDE), height = Math.ceil(to / ROWS_WIDE) - y;
				gl.bindTexture(gl.TEXTURE_2D, page.gpu.table);
				gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, y, TABLE_WIDTH, height, gl.RGBA, gl.FLOAT, page.table,
					y * TABLE_WIDTH * 4);
				page.newRows = [PAGE_ROWS, 0];
			}
		}
		return bytes;
	}
	// Draws a run. how: {camera: 4x4, planes, from, to, last, confidence, edge, colour, depths: [nearest, farthest],
	// size: [4], fraction, picking}. Returns the number of points that went through the vertex shader.
	render(run, how) {
		const gl = this.gl, { program, at } = how.picking ? this.pick : this.draw;
		const wanted = cloudWanted(how);
		let drawn = 0;
		gl.useProgram(program);
		gl.uniformMatrix4fv(at.camera, false, how.camera);
		gl.uniform3f(at.shown, how.from, how.to, how.last);
		gl.uniform2ui(at.cut, how.confidence, how.edge);
		gl.uniform4fv(at.size, how.size);
		gl.uniform1i(at.table, 0);
		if (!how.picking) {
			gl.uniform1i(at.mode, Math.max(0, COLOUR_MODES.indexOf(how.colour)));
			gl.uniform2f(at.depths, Math.log2(how.depths[0]), 1 / Math.log2(how.depths[1] / how.depths[0]));
		}
		gl.activeTexture(gl.TEXTURE0);
		this.cloud.pages.forEach((page, index) => {
			if (page.run !== run || page.gpu === null) return;
			const [firsts, counts] = cloudRanges(page, wanted, how.fraction);
			if (firsts.length === 0) return;
			gl.bindVertexArray(page.gpu.array);
			gl.bindTexture(gl.TEXTURE_2D, page.gpu.table);
			if (how.picking) gl.uniform1ui(at.page, index);
			if (this.multi && firsts.length > 1)
				this.multi.multiDrawArraysWEBGL(gl.POINTS, firsts, 0, counts, 0, firsts.length);
			else firsts.forEach((first, i) => gl.drawArrays(gl.POINTS, first, counts[i]));
			drawn += counts.reduce((a, b) => a + b, 0);
		});
		gl.bindVertexArray(null);
		return drawn;
	}
}
