// Eye-dome lighting: a pixel is darkened by how much nearer its neighbours are, which gives depth to points that have no
// normals. One pass over the canvas; it also brings the cloud's depth there, so that lines are hidden by points.

import { glProgram } from './gl.js';

const EDL_VERTEX = `
void main() { gl_Position = vec4(float(gl_VertexID & 1) * 4.0 - 1.0, float(gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;

// With d the depth of a pixel, A = far - d (far - near) is near * far / z: a neighbour's z over this one's is A / An.
// Orthographic: z itself is linear in d; differences are measured against the height that is seen.
const EDL_FRAGMENT = `
uniform sampler2D colours, depths;
uniform vec4 part; // of the target, in texels: x, y, width, height
uniform vec2 origin; // of the view on the canvas
uniform float scale; // texels of the target for a pixel
uniform vec2 range; // near, far
uniform float flat_height; // orthographic: height that is seen; 0: perspective
uniform float strength, radius;
uniform vec3 back;
out vec4 pixel;
float nearer(float a, ivec2 at, ivec2 step) {
	ivec2 lo = ivec2(part.xy), hi = ivec2(part.xy + part.zw) - 1;
	float d = texelFetch(depths, clamp(at + step, lo, hi), 0).r;
	if (flat_height > 0.0) return clamp((a - d) * (range.y - range.x) / flat_height * 2.5, 0.0, 1.0);
	return max(0.0, 1.0 - a / (range.y - d * (range.y - range.x)));
}
void main() {
	ivec2 at = ivec2(part.xy + min((gl_FragCoord.xy - origin) * scale, part.zw - 1.0));
	float d = texelFetch(depths, at, 0).r;
	gl_FragDepth = d;
	if (d >= 1.0) {
		pixel = vec4(back, 1.0);
		return;
	}
	float a = flat_height > 0.0 ? d : range.y - d * (range.y - range.x);
	float sum = 0.0;
	if (strength > 0.0) {
		int r = int(radius);
		sum = nearer(a, at, ivec2(r, 0)) + nearer(a, at, ivec2(-r, 0)) + nearer(a, at, ivec2(0, r)) + nearer(a, at, ivec2(0, -r));
		int q = max(1, int(radius * 0.7071 + 0.5));
		sum += nearer(a, at, ivec2(q, q)) + nearer(a, at, ivec2(-q, q)) + nearer(a, at, ivec2(q, -q)) + nearer(a, at, ivec2(-q, -q));
		sum *= 0.5;
	}
	pixel = vec4(texelFetch(colours, at, 0).rgb * exp(-strength * sum), 1.0);
}`;

export class EyeDome {
	constructor(gl) {
		this.gl = gl;
		this.pass = glProgram(gl, EDL_VERTEX, EDL_FRAGMENT);
		this.array = gl.createVertexArray();
	}
	// From target (its part) to the bound framebuffer (its view [x, y, width, height], already set as the viewport).
	render(target, how) {
		const gl = this.gl, { program, at } = this.pass;
		gl.useProgram(program);
		gl.bindVertexArray(this.array);
		gl.activeTexture(gl.TEXTURE1);
		gl.bindTexture(gl.TEXTURE_2D, target.depth);
		gl.activeTexture(gl.TEXTURE0);
		gl.bindTexture(gl.TEXTURE_2D, target.colour);
		gl.uniform1i(at.colours, 0);
		gl.uniform1i(at.depths, 1);
		gl.uniform4fv(at.part, how.part);
		gl.uniform2f(at.origin, how.view[0], how.view[1]);
		gl.uniform1f(at.scale, how.scale);
		gl.uniform2f(at.range, how.near, how.far);
		gl.uniform1f(at.flat_height, how.flat);
		gl.uniform1f(at.strength, how.strength);
		gl.uniform1f(at.radius, how.radius);
		gl.uniform3fv(at.back, how.back);
		gl.enable(gl.DEPTH_TEST);
		gl.depthFunc(gl.ALWAYS);
		gl.depthMask(true);
		gl.disable(gl.BLEND);
		gl.drawArrays(gl.TRIANGLES, 0, 3);
		gl.depthFunc(gl.LEQUAL);
		gl.bindVertexArray(null);
	}
}
