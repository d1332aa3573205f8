#!/usr/bin/env node
// Foxglove's own reader (@mcap/core) on each FILE: as a stream from the first byte, by the index, and by jumps to times, with every
// checksum. One line "FILE messages chunks topics jumps" each; exit 1 where something is wrong or the ways of reading differ.
'use strict';
const fs = require('fs');
const { McapIndexedReader, McapStreamReader } = require('@mcap/core');

function need(good, text) {
	if (!good)
		throw new Error(text);
}

function readable(file) {
	const fd = fs.openSync(file);
	return {
		size: async () => BigInt(fs.fstatSync(fd).size),
		read: async (at, n) => {
			const bytes = new Uint8Array(Number(n));
			need(fs.readSync(fd, bytes, 0, bytes.length, Number(at)) === bytes.length, 'a read beyond the end');
			return bytes;
		},
	};
}

const key = (m) => `${m.channelId} ${m.sequence} ${m.logTime} ${m.data.length}`;

function readStream(file) {
	const reader = new McapStreamReader({ validateCrcs: true });
	const seen = [];
	const types = new Set();
	const add = (bytes) => {
		reader.append(bytes);
		for (let r; (r = reader.nextRecord());) {
			types.add(r.type);
			if (r.type === 'Message')
				seen.push(key(r));
		}
	};
	const all = fs.readFileSync(file);
	for (let at = 0; at < all.length; at += 65536)
		add(all.subarray(at, at + 65536));
	need(reader.done(), 'the stream does not end');
	for (const type of ['Header', 'Schema', 'Channel', 'Metadata', 'DataEnd', 'Statistics', 'ChunkIndex', 'Footer'])
		need(types.has(type), `no ${type}`);
	return seen;
}

async function take(reader, options) {
	const out = [];
	for await (const m of reader.readMessages({ validateCrcs: true, ...options }))
		out.push({ ...m, data: undefined, key: key(m), topic: reader.channelsById.get(m.channelId).topic });
	return out;
}

async function check(file) {
	const stream = readStream(file);
	const reader = await McapIndexedReader.Initialize({ readable: readable(file) });
	const all = await take(reader, {});
	need(all.map((m) => m.key).join() === stream.join(), 'the index gives other messages than the stream');
	need(reader.statistics.messageCount === BigInt(all.length), 'the statistics count other messages');
	need(reader.statistics.chunkCount === reader.chunkIndexes.length, 'the statistics count other chunks');
	for (const c of reader.channelsById.values())
		need(reader.schemasById.get(c.schemaId).name.startsWith('foxglove.'), `schema of ${c.topic}`);
	// What a player does at a jump: of each topic the last message up to then, and all from then on.
	const times = [...new Set(all.map((m) => m.logTime))];
	const topics = [...reader.channelsById.values()].map((c) => c.topic);
	for (const t of times) {
		for (const topic of topics) {
			const want = all.filter((m) => m.topic === topic && m.logTime <= t).pop();
			const found = [];
			for await (const m of reader.readMessages({ topics: [topic], endTime: t, reverse: true })) {
				found.push(key(m));
				break;
			}
			need(found[0] === want?.key, `${topic} at ${t}`);
		}
		const after = await take(reader, { startTime: t });
		need(after.map((m) => m.key).join() === all.filter((m) => m.logTime >= t).map((m) => m.key).join(), `from ${t}`);
	}
	console.log(file, all.length, reader.chunkIndexes.length, topics.length, times.length);
}

(async () => {
	for (const file of process.argv.slice(2)) {
		try {
			await check(file);
		} catch (e) {
			console.error(`${file}: ${e.message}`);
			process.exitCode = 1;
		}
	}
})();
