// Pointer, wheel, fingers and keys move the camera. Left button or one finger: turn. Right or middle button, Shift or
// Ctrl with the left, or two fingers: shift; two fingers also zoom and twist. Wheel: zoom towards the pointer. Double
// click: look at what is there. With the keyboard on the canvas: W A S D move, Q and E down and up, + and - zoom, F all.

const NAVIGATE_KEYS = {
	KeyW: { walk: [0, 0, 1] }, KeyS: { walk: [0, 0, -1] }, KeyA: { walk: [-1, 0, 0] }, KeyD: { walk: [1, 0, 0] },
	KeyE: { walk: [0, 1, 0] }, KeyQ: { walk: [0, -1, 0] },
	ArrowLeft: { turn: [-1, 0] }, ArrowRight: { turn: [1, 0] }, ArrowUp: { turn: [0, -1] }, ArrowDown: { turn: [0, 1] },
	PageUp: { zoom: 0.9 }, PageDown: { zoom: 1 / 0.9 },
};

export class Navigator {
	constructor(canvas, scene) {
		this.canvas = canvas;
		this.scene = scene;
		this.pointers = new Map();
		this.tap = { time: 0, x: 0, y: 0 };
		canvas.style.touchAction = 'none';
		if (!canvas.hasAttribute('tabindex')) canvas.tabIndex = 0;
		const on = (name, take) => canvas.addEventListener(name, take, { passive: false });
		on('pointerdown', (e) => this.down(e));
		on('pointermove', (e) => this.move(e));
		for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) on(name, (e) => this.up(e));
		on('wheel', (e) => this.wheel(e));
		on('dblclick', (e) => this.focus(e));
		on('contextmenu', (e) => e.preventDefault());
		on('keydown', (e) => this.key(e));
	}
	at(e) {
		const box = this.canvas.getBoundingClientRect();
		return [e.clientX - box.left, e.clientY - box.top];
	}
	down(e) {
		const [x, y] = this.at(e);
		this.pointers.set(e.pointerId, { x, y, shift: e.button > 0 || e.shiftKey || e.ctrlKey || e.metaKey });
		try {
			this.canvas.setPointerCapture(e.pointerId);
		} catch {
			// The pointer is gone already, as with events that a script makes.
		}
		this.canvas.focus({ preventScroll: true });
	}
	up(e) {
		const pointer = this.pointers.get(e.pointerId);
		this.pointers.delete(e.pointerId);
		if (!pointer || e.type !== 'pointerup' || e.pointerType !== 'touch' || pointer.moved) return;
		// Browsers make no double click of taps where touch-action is none.
		const { time, x, y } = this.tap;
		const near = Math.hypot(pointer.x - x, pointer.y - y) < 30;
		this.tap = { time: e.timeStamp, x: pointer.x, y: pointer.y };
		if (near && e.timeStamp - time < 350) this.focus(e);
	}
	move(e) {
		const pointer = this.pointers.get(e.pointerId);
		if (!pointer) return;
		const [x, y] = this.at(e), dx = x - pointer.x, dy = y - pointer.y;
		if (dx === 0 && dy === 0) return;
		const { height, aspect, nx, ny } = this.scene.viewAt(x, y), camera = this.scene.camera;
		if (this.pointers.size === 1) {
			if (pointer.shift) camera.pan(dx, dy, height);
			else camera.rotate(dx, dy, height);
		} else if (this.pointers.size === 2) {
			const other = [...this.pointers].find(([id]) => id !== e.pointerId)[1];
			const was = [pointer.x - other.x, pointer.y - other.y], is = [x - other.x, y - other.y];
			camera.pan(dx / 2, dy / 2, height);
			const turned = Math.atan2(is[1], is[0]) - Math.atan2(was[1], was[0]);
			camera.twist(turned - 2 * Math.PI * Math.round(turned / (2 * Math.PI)));
			camera.zoom(Math.max(1, Math.hypot(...was)) / Math.max(1, Math.hypot(...is)), nx, ny, aspect);
		}
		if (Math.hypot(dx, dy) > 2) pointer.moved = true;
		Object.assign(pointer, { x, y });
		this.scene.moved();
	}
	wheel(e) {
		e.preventDefault();
		const { aspect, nx, ny } = this.scene.viewAt(...this.at(e));
		const lines = e.deltaY * (e.deltaMode === 1 ? 33 : e.deltaMode === 2 ? 400 : 1);
		this.scene.camera.zoom(Math.exp(Math.max(-400, Math.min(400, lines)) * (e.ctrlKey ? 0.01 : 0.0015)), nx, ny, aspect);
		this.scene.moved();
	}
	focus(e) {
		const hit = this.scene.pick(...this.at(e));
		if (!hit) return;
		this.scene.focus(hit.point);
		this.scene.moved();
	}
	key(e) {
		if (e.ctrlKey || e.altKey || e.metaKey) return;
		const camera = this.scene.camera, height = this.canvas.clientHeight || 1;
		const { walk, turn, zoom } = NAVIGATE_KEYS[e.code] || {};
		if (walk) camera.walk(...walk.map((v) => v * 0.06));
		else if (turn) camera.rotate(turn[0] * height / 40, turn[1] * height / 40, height);
		else if (zoom) camera.zoom(zoom, 0, 0, 1);
		else return;
		e.preventDefault();
		this.scene.moved();
	}
}
