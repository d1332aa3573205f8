// view: a distance between two points of the scene, and the unit that a known length gives to all of them.

// Lengths of a run have the network's scale until somebody says what one of them is in truth.
export class LengthUnit {
	constructor() {
		this.clear();
	}

	clear() {
		this.factor = 1;
		this.name = '';
	}

	// A length of the run is so long in truth. False: not possible.
	learn(length, truth, name) {
		if (!(length > 0) || !(truth > 0) || !Number.isFinite(truth / length))
			return false;
		this.factor = truth / length;
		this.name = name;
		return true;
	}

	text(length) {
		const value = length * this.factor;
		const digits = value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
		return digits + (this.name === '' ? ' units' : ' ' + this.name);
	}
}

export class Measure {
	// on: {scene, unit, changed()}
	constructor(root, on) {
		this.on = on;
		this.active = false;
		this.points = [];
		const find = (id) => root.getElementById(id);
		this.parts = {
			card: find('measure-card'), text: find('measure-text'), form: find('measure-form'), known: find('known'),
			unit: find('unit'), clear: find('known-clear'), button: find('measure'), canvas: find('scene'),
		};
		find('measure-close').addEventListener('click', () => this.set(false));
		this.parts.form.addEventListener('submit', (e) => this.#learn(e));
		this.parts.clear.addEventListener('click', () => {
			on.unit.clear();
			this.#show();
		});
		// A click that turned the scene is no click on a point.
		this.parts.canvas.addEventListener('pointerdown', (e) => { this.press = [e.clientX, e.clientY]; }, true);
		this.parts.canvas.addEventListener('click', (e) => this.#click(e));
	}

	set(active) {
		this.active = active;
		this.parts.button.setAttribute('aria-pressed', String(active));
		this.parts.canvas.classList.toggle('measuring', active);
		this.clear();
	}

	clear() {
		this.points = [];
		this.on.scene.setMeasure(null);
		this.#show();
	}

	get length() {
		const [a, b] = this.points;
		return b ? Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) : 0;
	}

	#click(event) {
		if (!this.active || Math.hypot(event.clientX - this.press[0], event.clientY - this.press[1]) > 5)
			return;
		const rect = this.parts.canvas.getBoundingClientRect();
		const hit = this.on.scene.pick(event.clientX - rect.left, event.clientY - rect.top);
		if (!hit) {
			this.parts.text.textContent = 'There is no point. Click on one.';
			return;
		}
		if (this.points.length === 2)
			this.points = [];
		this.points.push([...hit.point]);
		const [a, b] = this.points;
		this.on.scene.setMeasure([a, b || a]);
		this.#show();
	}

	#show() {
		const { card, text, form, clear } = this.parts;
		card.hidden = !this.active;
		form.hidden = this.points.length < 2;
		clear.hidden = this.on.unit.name === '';
		if (this.points.length === 2) {
			const b = document.createElement('b');
			b.textContent = this.on.unit.text(this.length);
			text.replaceChildren(b);
		} else {
			text.textContent = this.points.length === 1 ? 'Click the second point.' : 'Click two points.';
		}
		this.on.changed();
	}

	#learn(event) {
		event.preventDefault();
		const truth = Number(this.parts.known.value.trim().replace(',', '.'));
		if (this.on.unit.learn(this.length, truth, this.parts.unit.value)) {
			this.parts.known.setCustomValidity('');
			this.#show();
		} else {
			this.parts.known.setCustomValidity('A length above 0, as in 2.5');
			this.parts.known.reportValidity();
			this.parts.known.addEventListener('input', () => this.parts.known.setCustomValidity(''), { once: true });
		}
	}
}
