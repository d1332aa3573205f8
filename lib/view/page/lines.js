// The trajectory, the frames' cameras, the picture of the current one, and the measured distance. Lines are two triangles of
// a width in pixels. What points hide is drawn faintly.

import { glProgram, glTexture } from './gl.js';
import { m34point } from './matrix.js';

const LINES_VERTEX = `
uniform sampler2D table; // path: a texel for each frame; else three for each line: from, to, colour
// from, to: xyz, and w: frame number; -1: not known; -2: always shown
vec4 read(int i) { return texelFetch(table, ivec2(i % 1024, i / 1024), 0); }
uniform mat4 camera;
uniform vec2 view; // pixels
uniform float wide, near, faint;
uniform vec3 shown; // first and last frame; the last there is
uniform vec3 early, late; // colours of the trajectory
uniform bool path;
out vec4 colour;
out float beside; // pixels from the middle of the line
void main() {
	int line = gl_VertexID / 6, corner = gl_VertexID % 6;
	corner = corner < 3 ? corner : 6 - corner; // 0 1 2, 3 2 1
	vec4 from = read(path ? line : 3 * line), to = read(path ? line + 1 : 3 * line + 1), paint = read(3 * line + 2);
	vec4 a = camera * vec4(from.xyz, 1.0), b = camera * vec4(to.xyz, 1.0);
	bool out_of_time = to.w > -1.5 && (to.w < shown.x || to.w > shown.y);
	colour = path ? vec4(mix(early, late, to.w / max(shown.z, 1.0)), out_of_time ? 0.25 : 1.0) : paint;
	colour.a *= faint;
	if (from.w == -1.0 || to.w == -1.0 || (a.w <= near && b.w <= near)) {
		gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
		return;
	}
	if (a.w < near) a = mix(a, b, (near - a.w) / (b.w - a.w));
	if (b.w < near) b = mix(b, a, (near - b.w) / (a.w - b.w));
	vec2 along = (b.xy / b.w - a.xy / a.w) * view;
	along = length(along) > 1e-4 ? normalize(along) : vec2(1.0, 0.0);
	vec4 p = (corner & 1) == 0 ? a : b;
	float side = float(corner >> 1) * 2.0 - 1.0, end = float(corner & 1) * 2.0 - 1.0;
	beside = side * (wide * 0.5 + 1.0);
	p.xy += (vec2(-along.y, along.x) * beside + along * end * wide * 0.25) * 2.0 / view * p.w;
	gl_Position = p;
}`;
const LINES_FRAGMENT = `
in vec4 colour;
in float beside;
uniform float wide;
out vec4 pixel;
void main() { pixel = vec4(colour.rgb, colour.a * clamp(wide * 0.5 + 0.5 - abs(beside), 0.0, 1.0)); }`;

const PICTURE_VERTEX = `
layout(location = 0) in vec3 place;
uniform mat4 camera;
out vec2 at;
void main() {
	at = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1));
	gl_Position = camera * vec4(place, 1.0);
}`;
const PICTURE_FRAGMENT = `
in vec2 at;
uniform sampler2D picture;
uniform float faint;
out vec4 pixel;
void main() { pixel = vec4(texture(picture, at).rgb, faint); }`;

// The corners of a frame's picture at z = depth in its camera, upper left, upper right, lower left, lower right, in the world.
export function frustumCorners(world, k, depth) {
	const [fx, fy, cx, cy] = k;
	return [[0, 0], [1, 0], [0, 1], [1, 1]].map(([x, y]) => m34point(world, [(x - cx) / fx * depth, (y - cy) / fy * depth, depth]));
}

// Numbers for the vertex shader in a texture of 4 floats a texel, 1024 texels wide, that grows. Not instances of a strip:
// where the processor draws, each instance costs as much as a draw call.
class Texels {
	constructor(gl) {
		this.gl = gl;
		this.texture = glTexture(gl, gl.NEAREST);
		this.data = new Float32Array(4096);
		this.rows = 0; // that the texture has
		this.fresh = [Infinity, 0];
	}
	// Room for count texels.
	reserve(count) {
		if (4 * count <= this.data.length) return;
		const grown = new Float32Array(4096 * Math.ceil(Math.max(4 * count, 1.5 * this.data.length) / 4096));
		grown.set(this.data);
		this.data = grown;
	}
	changed(from, to) { this.fresh = [Math.min(this.fresh[0], from), Math.max(this.fresh[1], to)]; }
	bind() {
		const gl = this.gl, rows = this.data.length / 4096, [from, to] = this.fresh;
		gl.activeTexture(gl.TEXTURE0);
		gl.bindTexture(gl.TEXTURE_2D, this.texture);
		if (rows !== this.rows) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, 1024, rows, 0, gl.RGBA, gl.FLOAT, this.data);
		else if (from < to) {
			const y = from >> 10, high = ((to - 1) >> 10) - y + 1;
			gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, y, 1024, high, gl.RGBA, gl.FLOAT, this.data, 4096 * y);
		}
		this.rows = rows;
		this.fresh = [Infinity, 0];
	}
}

// Lines of one width, each of its own colour: {a, b, colour: [r, g, b, a] bytes}.
class Segments extends Texels {
	set(lines) {
		this.reserve(3 * lines.length);
		lines.forEach(({ a, b, colour }, i) => this.data.set([...a, -2, ...b, -2, ...colour.map((v) => v / 255)], 12 * i));
		this.changed(0, 3 * lines.length);
		this.count = lines.length;
	}
}

// Where the cameras of a run were: xyz and the frame number, -1 where there is no pose.
class Path extends Texels {
	set(n, centre) {
		const known = this.known || 0;
		this.reserve(n + 1);
		for (let i = known; i < n; i++) this.data[4 * i + 3] = -1;
		this.data.set(centre ? [...centre, n] : [0, 0, 0, -1], 4 * n);
		this.changed(Math.min(known, n), n + 1);
		this.known = Math.max(known, n + 1);
	}
	get count() { return (this.known || 0) - 1; }
	clear() { this.known = 0; }
}

export class Lines {
	constructor(gl) {
		this.gl = gl;
		this.lines = glProgram(gl, LINES_VERTEX, LINES_FRAGMENT);
		this.picture = glProgram(gl, PICTURE_VERTEX, PICTURE_FRAGMENT);
		this.paths = [new Path(gl), new Path(gl)];
		this.frusta = [new Segments(gl), new Segments(gl)];
		this.measure = new Segments(gl);
		this.textures = [null, null];
		this.empty = gl.createVertexArray();
		this.corners = gl.createBuffer();
		this.quad = gl.createVertexArray();
		gl.bindVertexArray(this.quad);
		gl.bindBuffer(gl.ARRAY_BUFFER, this.corners);
		gl.bufferData(gl.ARRAY_BUFFER, 48, gl.DYNAMIC_DRAW);
		gl.enableVertexAttribArray(0);
		gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 12, 0);
		gl.bindVertexArray(null);
	}
	clear() {
		for (const p of this.paths) p.clear();
		for (const s of this.frusta) s.set([]);
		this.measure.set([]);
		this.setPicture(0, null);
		this.setPicture(1, null);
	}
	setPicture(run, bitmap) {
		const gl = this.gl;
		if (this.textures[run]) gl.deleteTexture(this.textures[run]);
		this.textures[run] = null;
		if (!bitmap) return;
		this.textures[run] = glTexture(gl, gl.LINEAR);
		gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, bitmap);
	}
	// how: {camera, view: [w, h], near, from, to, last, early, late, dpr, path, frusta, picture: corners or null, flat}
	render(run, how) {
		const gl = this.gl;
		gl.enable(gl.BLEND);
		gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE);
		gl.depthMask(false);
		gl.enable(gl.DEPTH_TEST);
		for (const [test, faint] of [[gl.GREATER, 0.22], [gl.LEQUAL, 1]]) {
			gl.depthFunc(test);
			if (how.picture && this.textures[run]) this.renderPicture(run, how, faint);
			this.begin(how, faint);
			if (how.path) this.strips(this.paths[run], 2 * how.dpr, true);
			if (how.frusta) this.strips(this.frusta[run], 1.5 * how.dpr, false);
		}
		if (this.measure.count > 0) {
			gl.disable(gl.DEPTH_TEST);
			this.begin(how, 1);
			this.strips(this.measure, 2.5 * how.dpr, false);
			gl.enable(gl.DEPTH_TEST);
		}
		gl.disable(gl.BLEND);
		gl.depthMask(true);
		gl.depthFunc(gl.LEQUAL);
		gl.bindVertexArray(null);
	}
	begin(how, faint) {
		const gl = this.gl, { program, at } = this.lines;
		gl.useProgram(program);
		gl.bindVertexArray(this.empty);
		gl.uniformMatrix4fv(at.camera, false, how.camera);
		gl.uniform2fv(at.view, how.view);
		gl.uniform1f(at.near, how.flat > 0 ? -1 : how.near);
		gl.uniform1f(at.faint, faint);
		gl.uniform3f(at.shown, how.from, how.to, how.last);
		gl.uniform3fv(at.early, how.early);
		gl.uniform3fv(at.late, how.late);
	}
	strips(lines, wide, path) {
		const gl = this.gl;
		if (!(lines.count > 0)) return;
		lines.bind();
		gl.uniform1i(this.lines.at.table, 0);
		gl.uniform1f(this.lines.at.wide, wide);
		gl.uniform1i(this.lines.at.path, path ? 1 : 0);
		gl.drawArrays(gl.TRIANGLES, 0, 6 * lines.count);
	}
	renderPicture(run, how, faint) {
		const gl = this.gl, { program, at } = this.picture;
		gl.useProgram(program);
		gl.bindVertexArray(this.quad);
		gl.bindBuffer(gl.ARRAY_BUFFER, this.corners);
		gl.bufferSubData(gl.ARRAY_BUFFER, 0, new Float32Array(how.picture.flat()));
		gl.activeTexture(gl.TEXTURE0);
		gl.bindTexture(gl.TEXTURE_2D, this.textures[run]);
		gl.uniform1i(at.picture, 0);
		gl.uniform1f(at.faint, faint);
		gl.uniformMatrix4fv(at.camera, false, how.camera);
		gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
	}
}

// The lines of a frame's camera: a pyramid, and a short roof over the picture's upper edge.
export function frustumLines(world, k, depth, colour) {
	const apex = m34point(world, [0, 0, 0]), [a, b, c, d] = frustumCorners(world, k, depth);
	const [fx, fy, cx, cy] = k;
	const top = m34point(world, [(0.5 - cx) / fx * depth, (-cy - 0.18) / fy * depth, depth]);
	return [[apex, a], [apex, b], [apex, c], [apex, d], [a, b], [b, d], [d, c], [c, a], [a, top], [top, b]]
		.map(([from, to]) => ({ a: from, b: to, colour }));
}
