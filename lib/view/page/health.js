// view: how the stream and the page are: the pill in the header, the list of figures, and the time of each frame as a plot.
import { countText } from './panel.js';
import { fitCanvas } from './picture.js';

export function bytesText(bytes) {
	const units = ['B', 'KiB', 'MiB', 'GiB'];
	let k = 0;
	while (bytes >= 1024 && k < 3) {
		bytes /= 1024;
		k++;
	}
	return (k === 0 || bytes >= 100 ? bytes.toFixed(0) : bytes.toPrecision(3)) + ' ' + units[k];
}

export function secondsText(seconds) {
	return seconds < 0.9995 ? Math.round(1000 * seconds) + ' ms' : seconds.toFixed(seconds < 10 ? 1 : 0) + ' s';
}

// Why a run failed, or '' when none did.
export function failureOf(status) {
	if (!status)
		return '';
	for (const one of [status, status.second])
		if (one && one.state === 'failed')
			return one.reason || 'the source failed';
	return '';
}

export class Health {
	constructor(root) {
		this.list = root.getElementById('health');
		this.reason = root.getElementById('health-reason');
		this.plot = root.getElementById('health-plot');
		this.pill = root.getElementById('state');
		this.text = root.getElementById('state-text');
		this.part = root.getElementById('health-part');
		this.rows = new Map();
	}

	// One line about everything: what matters most now. facts: {link, status, live, frames, behind, done, why}.
	summary(facts) {
		const { link, status, frames } = facts;
		let [state, text] = ['', 'Connecting'];
		if (link === 'lost') {
			[state, text] = ['failed', 'No connection: trying again'];
		} else if (failureOf(status) !== '') {
			[state, text] = ['failed', 'Failed after ' + countText(frames) + ' frames'];
		} else if (status && status.state === 'live' && facts.live) {
			state = facts.behind > 2 ? 'warn' : 'live';
			text = (status.fps > 0 ? status.fps.toFixed(1) + ' frames/s' : countText(frames) + ' frames') +
				(facts.behind > 0 ? ', ' + secondsText(facts.behind) + ' behind' : '');
		} else if (status || frames > 0) {
			state = status && status.state === 'ended' ? 'ended' : 'recording';
			text = (state === 'ended' ? 'Ended, ' : 'Recording, ') + countText(frames) + ' frames';
		}
		this.pill.dataset.state = state;
		this.text.textContent = text;
	}

	#row(name, text, share) {
		let row = this.rows.get(name);
		if (!row) {
			row = { term: document.createElement('dt'), value: document.createElement('dd') };
			row.term.textContent = name;
			this.list.append(row.term, row.value);
			this.rows.set(name, row);
		}
		row.term.hidden = row.value.hidden = text === '';
		if (row.value.dataset.text !== text) {
			row.value.dataset.text = text;
			row.value.textContent = text;
		}
		if (share !== undefined && text !== '') {
			let meter = row.value.querySelector('.meter');
			if (!meter) {
				meter = document.createElement('span');
				meter.className = 'meter';
				meter.append(document.createElement('i'));
				row.value.append(meter);
			}
			meter.firstChild.style.width = 100 * Math.min(1, share) + '%';
		}
	}

	// facts as of summary, and {runs, now(run): frame of now, stats of the scene, received, version, refused, trip}.
	figures(facts) {
		if (!this.part.open)
			return;
		const { status, runs, stats } = facts;
		const failed = failureOf(status);
		this.reason.hidden = failed === '';
		this.reason.textContent = failed;
		this.#row('Network', status && status.fps > 0 ? status.fps.toFixed(1) + ' frames/s, ' + status.ms.toFixed(0) + ' ms a frame' : '');
		this.#row('Capture to screen', facts.behind > 0 ? secondsText(facts.behind) : '');
		for (const run of runs) {
			const frame = facts.now(run);
			const bytes = frame ? frame.tokens * run.info.tokenBytes : 0;
			const name = runs.length > 1 ? 'Cache ' + 'AB'[run.index] : 'Cache';
			const share = run.info.budget > 0 ? bytes / run.info.budget : undefined;
			this.#row(name, bytes > 0 ? bytesText(bytes) + (run.info.budget > 0 ? ' of ' + bytesText(run.info.budget) : '') : '', share);
			const tail = runs.length > 1 ? ' ' + 'AB'[run.index] : '';
			this.#row('Policy' + tail, run.info.policy);
			this.#row('Model' + tail, run.info.model);
			this.#row('Device' + tail, run.info.device);
		}
		this.#row('Dropped', status ? countText(status.dropped + (status.second ? status.second.dropped : 0)) + ' frames without points' : '');
		this.#row('Points here', countText(stats.points) + ', ' + countText(stats.drawn) + ' drawn');
		this.#row('Drawing', stats.ms > 0 ? stats.ms.toFixed(1) + ' ms, ' + bytesText(stats.bytes) : '');
		this.#row('Received', bytesText(facts.received) + (facts.refused > 0 ? ', ' + facts.refused + ' records refused' : ''));
		this.#row('Round trip', facts.trip > 0 ? secondsText(facts.trip) : '');
		this.#row('Pages open', status && status.clients > 0 ? countText(status.clients) : '');
		this.#row('Version', facts.version);
		this.#times(runs);
	}

	// Milliseconds of each frame, the most of those that share a pixel.
	#times(runs) {
		const run = runs[0];
		this.plot.hidden = !run || run.count < 2;
		if (this.plot.hidden)
			return;
		fitCanvas(this.plot);
		const context = this.plot.getContext('2d');
		const { width, height } = this.plot;
		const css = getComputedStyle(document.documentElement);
		const scale = width / this.plot.clientWidth;
		const ms = run.columns.ms.data;
		// The first frame waits for buffers and weights: it would flatten all others.
		let most = 0;
		for (let n = Math.min(1, run.count - 1); n < run.count; n++)
			most = Math.max(most, ms[n]);
		context.clearRect(0, 0, width, height);
		if (!(most > 0))
			return;
		context.fillStyle = css.getPropertyValue('--accent');
		for (let x = 0; x < width; x++) {
			const [a, b] = [Math.floor(x / width * run.count), Math.max(Math.ceil((x + 1) / width * run.count), 1)];
			let top = 0;
			for (let n = a; n < b && n < run.count; n++)
				top = Math.max(top, ms[n]);
			const y = height - Math.min(1, top / most) * (height - 16 * scale);
			context.fillRect(x, y, 1, Math.max(scale, 2));
		}
		context.fillStyle = css.getPropertyValue('--dim');
		context.font = 10 * scale + 'px system-ui, sans-serif';
		context.fillText('ms a frame, at most ' + most.toFixed(0), 5 * scale, 11 * scale);
	}
}
