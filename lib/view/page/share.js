// view: a link that carries the view: camera, time and settings in the part of the address that no server sees.

const SHARE_MARK = '#v=';
const SHARE_MOST = 8192;

export function encodeShare(value) {
	const bytes = new TextEncoder().encode(JSON.stringify(value));
	const text = btoa(String.fromCharCode(...bytes));
	return SHARE_MARK + text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

// null: there is none, or it is damaged. What it says is still to be checked by who uses it.
export function decodeShare(hash) {
	if (!hash.startsWith(SHARE_MARK) || hash.length > SHARE_MOST)
		return null;
	try {
		const text = atob(hash.slice(SHARE_MARK.length).replaceAll('-', '+').replaceAll('_', '/'));
		const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
		const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
		return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
	} catch {
		return null;
	}
}

// What the browser remembers between visits; a page from a file may have no such place.
export function recall(name) {
	try {
		return localStorage.getItem('e3-view.' + name);
	} catch {
		return null;
	}
}

export function remember(name, value) {
	try {
		localStorage.setItem('e3-view.' + name, value);
	} catch {
		// It is only forgotten.
	}
}

export function download(blob, name) {
	const a = document.createElement('a');
	a.href = URL.createObjectURL(blob);
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 60000);
}
