// view: where records come from: the server over a WebSocket, which is opened again whenever it breaks, or the text inside an
// --html file. It also keeps the server's clock.
import { decodeRecord, splitRecords } from './wire.js';

// Waiting before the next attempt: the first comes at once for a server that is only started again.
const RETRY = [250, 500, 1000, 2000, 4000, 8000];
// Acknowledged in batches: the server keeps 2 MiB in flight.
const ACK_BYTES = 128 << 10;
const ACK_MS = 40;
const PING_MS = 2000;

export function socketAddress(location) {
	const url = new URL('ws', location.href);
	url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
	const token = new URLSearchParams(location.search).get('token');
	url.search = token ? '?token=' + encodeURIComponent(token) : '';
	url.hash = '';
	return url.href;
}

// Our clock to the server's: of the last pings the one that came back fastest says it best.
export class ServerClock {
	constructor() {
		this.samples = [];
	}

	add(sent, received, clock) {
		if (!(clock > 0) || !(received >= sent))
			return;
		this.samples.push({ trip: received - sent, offset: clock - (sent + received) / 2 });
		if (this.samples.length > 8)
			this.samples.shift();
	}

	get known() {
		return this.samples.length > 0;
	}

	get trip() {
		return this.known ? Math.min(...this.samples.map((s) => s.trip)) : 0;
	}

	// Seconds since 1970 by the server, at a moment of ours.
	at(seconds) {
		if (!this.known)
			return 0;
		return seconds + this.samples.reduce((a, b) => (b.trip < a.trip ? b : a)).offset;
	}
}

export function nowSeconds() {
	return (performance.timeOrigin + performance.now()) / 1000;
}

export class Link {
	// on: {record(record), state('connecting'|'open'|'lost', why), opened(): what to say first, refused(error)}.
	constructor(address, on) {
		this.address = address;
		this.on = on;
		this.clock = new ServerClock();
		this.attempt = 0;
		this.timer = 0;
		this.bytes = 0;
		this.#connect();
		window.addEventListener('online', () => this.#hurry());
		document.addEventListener('visibilitychange', () => this.#hurry());
		setInterval(() => this.send({ ping: nowSeconds() }), PING_MS);
	}

	get open() {
		return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
	}

	send(value) {
		if (this.open)
			this.socket.send(JSON.stringify(value));
	}

	#connect() {
		clearTimeout(this.timer);
		this.timer = 0;
		this.on.state('connecting', '');
		const socket = new WebSocket(this.address);
		socket.binaryType = 'arraybuffer';
		this.socket = socket;
		this.pendingAck = { seq: 0, bytes: 0, timer: 0 };
		socket.onopen = () => {
			this.on.state('open', '');
			this.send({ ping: nowSeconds() });
			this.on.opened();
		};
		socket.onmessage = (event) => this.#message(event.data);
		socket.onclose = (event) => {
			clearTimeout(this.pendingAck.timer);
			this.socket = null;
			const wait = RETRY[Math.min(this.attempt, RETRY.length - 1)];
			this.attempt++;
			this.on.state('lost', event.reason || '');
			this.timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
		};
	}

	// The network is back, or somebody looks at the page again: no reason to wait.
	#hurry() {
		if (this.socket === null && document.visibilityState === 'visible')
			this.#connect();
	}

	#message(data) {
		if (!(data instanceof ArrayBuffer))
			return;
		this.bytes += data.byteLength;
		let record = null;
		try {
			record = decodeRecord(new Uint8Array(data));
		} catch (error) {
			this.on.refused(error);
		}
		if (record === null)
			return;
		this.attempt = 0;
		if (record.pong !== undefined && record.pong !== null)
			this.clock.add(record.pong, nowSeconds(), record.clock);
		this.on.record(record);
		this.#ack(record.seq, data.byteLength);
	}

	#ack(seq, bytes) {
		if (seq === 0)
			return;
		const ack = this.pendingAck;
		ack.seq = seq;
		ack.bytes += bytes;
		const say = () => {
			clearTimeout(ack.timer);
			ack.timer = 0;
			ack.bytes = 0;
			this.send({ ack: ack.seq });
		};
		if (ack.bytes >= ACK_BYTES)
			say();
		else if (ack.timer === 0)
			ack.timer = setTimeout(say, ACK_MS);
	}
}

// The records inside the page, if there are any: decoded a piece at a time, so that the page can be used meanwhile.
export class Inside {
	static in(root) {
		return root.querySelector('script.e3-records') !== null;
	}

	constructor(root, on) {
		this.on = on;
		this.clock = new ServerClock();
		this.bytes = 0;
		this.open = true;
		this.pieces = [...root.querySelectorAll('script.e3-records')];
		this.total = this.pieces.length;
		this.on.state('open', '');
		setTimeout(() => this.#next());
	}

	send() {}

	#next() {
		const piece = this.pieces.shift();
		if (!piece) {
			this.open = false;
			this.on.state('done', '');
			return;
		}
		try {
			const text = atob(piece.textContent);
			const bytes = new Uint8Array(text.length);
			for (let k = 0; k < text.length; k++)
				bytes[k] = text.charCodeAt(k);
			this.bytes += bytes.length;
			splitRecords(bytes, (one) => this.#one(one));
		} catch (error) {
			this.on.refused(error);
		}
		// The text is not needed any more, and is the larger part of the memory.
		piece.remove();
		setTimeout(() => this.#next());
	}

	#one(bytes) {
		try {
			this.on.record(decodeRecord(bytes));
		} catch (error) {
			this.on.refused(error);
		}
	}
}
