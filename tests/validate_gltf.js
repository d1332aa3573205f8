#!/usr/bin/env node
// Khronos glTF validator on each FILE: one line "FILE errors warnings infos hints", and its messages. Exit 1 on any error or warning.
'use strict';
const fs = require('fs');
const validator = require('gltf-validator');

async function main() {
	let bad = false;
	for (const file of process.argv.slice(2)) {
		const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { maxIssues: 20 });
		const i = report.issues;
		console.log(file, i.numErrors, i.numWarnings, i.numInfos, i.numHints);
		for (const m of i.messages)
			console.log('  ', m.severity, m.code, m.message, m.pointer || m.offset);
		bad = bad || i.numErrors > 0 || i.numWarnings > 0;
	}
	process.exit(bad ? 1 : 0);
}

main();
