// The colours of numbers: polynomials near Google's turbo (depth and time, where neighbours must differ) and matplotlib's
// viridis (confidence, which must read as more and less). The same coefficients serve the shader and soft.js.

export const COLOUR_MODES = ['rgb', 'depth', 'time', 'confidence'];

// For red, green and blue each: the coefficients of 1, t, t^2, ...
const TURBO = [
	[0.13572138, 4.6153926, -42.66032258, 132.13108234, -152.94239396, 59.28637943],
	[0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604],
	[0.1066733, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973],
];
const VIRIDIS = [
	[0.2777273, 0.1050930, -0.3308618, -4.6342305, 6.2282699, 4.7763850, -5.4354559],
	[0.0054073, 1.4046135, 0.2148476, -5.7991010, 14.1799334, -13.7451454, 4.6458526],
	[0.3340998, 1.3845902, 0.0950952, -19.3324410, 56.6905526, -65.3530326, 26.3124353],
];

function polynomial(coefficients, t) { return coefficients.reduceRight((sum, c) => sum * t + c, 0); }
function unitColour(table, t) { return table.map((c) => Math.min(1, Math.max(0, polynomial(c, t)))); }
// t in 0..1 to [red, green, blue] in 0..1.
export function turboColour(t) { return unitColour(TURBO, t); }
export function viridisColour(t) { return unitColour(VIRIDIS, t); }

// The same as functions of GLSL: vec3 turbo(float), vec3 viridis(float).
export function colourShader() {
	const body = (table) => table.map((c) => c.reduceRight((sum, v) => sum === '' ? v.toFixed(7) : `(${sum}) * t + ${v.toFixed(7)}`, ''));
	const text = (name, table) => `vec3 ${name}(float t) { return clamp(vec3(${body(table).join(',\n')}), 0.0, 1.0); }\n`;
	return text('turbo', TURBO) + text('viridis', VIRIDIS);
}
