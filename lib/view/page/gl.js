// The few things every user of WebGL 2 needs: programs, targets to draw into, and what this machine can do.

// Links a program; its uniforms lie in .at by name. Throws with the compiler's text.
export function glProgram(gl, vertex, fragment, defines) {
	const head = '#version 300 es\nprecision highp float;\nprecision highp int;\n' +
		(defines || []).map((d) => `#define ${d}\n`).join('');
	const program = gl.createProgram();
	const shaders = [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]].map(([type, text]) => {
		const shader = gl.createShader(type);
		gl.shaderSource(shader, head + text);
		gl.compileShader(shader);
		gl.attachShader(program, shader);
		return shader;
	});
	gl.linkProgram(program);
	if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
		throw new Error(shaders.map((s) => gl.getShaderInfoLog(s)).join('') + gl.getProgramInfoLog(program));
	shaders.forEach((s) => gl.deleteShader(s));
	const at = {};
	const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) || 0;
	for (let i = 0; i < count; i++) {
		const name = gl.getActiveUniform(program, i).name;
		at[name.replace('[0]', '')] = gl.getUniformLocation(program, name);
	}
	return { program, at };
}

export function glTexture(gl, filter) {
	const texture = gl.createTexture();
	gl.bindTexture(gl.TEXTURE_2D, texture);
	for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
	for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
	return texture;
}

// A colour and a depth texture of one size. sized() makes them again only when the size changes.
export class GlTarget {
	constructor(gl) {
		this.gl = gl;
		this.width = this.height = 0;
		this.frame = gl.createFramebuffer();
		this.colour = glTexture(gl, gl.NEAREST);
		this.depth = glTexture(gl, gl.NEAREST);
	}
	sized(width, height) {
		const gl = this.gl;
		if (width === this.width && height === this.height) return;
		this.width = width;
		this.height = height;
		gl.bindTexture(gl.TEXTURE_2D, this.colour);
		gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
		gl.bindTexture(gl.TEXTURE_2D, this.depth);
		gl.texImage2D(gl.TEXTURE_2D, 0, gl.DEPTH_COMPONENT24, width, height, 0, gl.DEPTH_COMPONENT, gl.UNSIGNED_INT, null);
		gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
		gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.colour, 0);
		gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.depth, 0);
	}
}

// The same, filled from the arrays of a SoftImage; what is drawn on top goes to the canvas with it.
export class GlUpload {
	constructor(gl) {
		this.gl = gl;
		this.width = this.height = 0;
		this.frame = gl.createFramebuffer();
		this.colour = glTexture(gl, gl.NEAREST);
		this.depth = glTexture(gl, gl.NEAREST);
	}
	set({ width, height, colour, depth }) {
		const gl = this.gl, bytes = new Uint8Array(colour.buffer);
		const same = width === this.width && height === this.height;
		gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
		for (const [texture, at, inside, format, type, data] of [
			[this.colour, gl.COLOR_ATTACHMENT0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bytes],
			[this.depth, gl.DEPTH_ATTACHMENT, gl.DEPTH_COMPONENT32F, gl.DEPTH_COMPONENT, gl.FLOAT, depth],
		]) {
			gl.bindTexture(gl.TEXTURE_2D, texture);
			if (same) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, format, type, data);
			else {
				gl.texImage2D(gl.TEXTURE_2D, 0, inside, width, height, 0, format, type, data);
				gl.framebufferTexture2D(gl.FRAMEBUFFER, at, gl.TEXTURE_2D, texture, 0);
			}
		}
		this.width = width;
		this.height = height;
	}
	// To a canvas of the same size.
	toCanvas() {
		const gl = this.gl;
		gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.frame);
		gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
		gl.disable(gl.SCISSOR_TEST);
		gl.blitFramebuffer(0, 0, this.width, this.height, 0, 0, this.width, this.height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
		gl.bindFramebuffer(gl.FRAMEBUFFER, null);
	}
}

// True where pixels are computed by the processor: then resolution is what costs.
export function glSoftware(gl) {
	const info = gl.getExtension('WEBGL_debug_renderer_info');
	const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
	return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}
