// What arrives, by type of record.
const names = ['', 'hello', 'frame', 'picture', 'depth', 'confidence', 'kept', 'correct', 'chunk', 'status'];
const counts = new Map();
const log = document.getElementById('log');
const url = new URL('ws' + location.search, location.href.replace(/^http/, 'ws'));
const socket = new WebSocket(url);
socket.binaryType = 'arraybuffer';
socket.onmessage = (event) => {
	const view = new DataView(event.data);
	const name = names[view.getUint8(4)];
	counts.set(name, (counts.get(name) || 0) + 1);
	log.textContent = [...counts].map(([key, n]) => `${key} ${n}`).join('\n');
	socket.send(JSON.stringify({ ack: view.getUint32(12, true) }));
};
socket.onclose = (event) => {
	log.textContent += `\nclosed: ${event.reason}`;
};
