/* What both checkpoint targets do with a file in memory. */
#ifndef FUZZ_CKPT_H
#define FUZZ_CKPT_H

#include "e3/checkpoint.h"
#include "e3/config.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Aborts when a refusal has no message, or what was opened contradicts itself. */
static inline int fuzz_ckpt(const uint8_t *bytes, size_t size)
{
	e3_err err = {""};
	e3_config config;
	e3_buf report = {0};
	float v[64];
	e3_ckpt *c = e3_ckpt_memory(bytes, size, "fuzz", &err);
	if (!c) {
		if (strncmp(err.text, "reading model: fuzz: ", 21) != 0 || !err.text[21])
			abort();
		return 0;
	}
	for (size_t k = 0; k < e3_ckpt_count(c); k++) {
		const e3_tensor_info *t = e3_ckpt_at(c, k);
		size_t n = t->count < 64 ? t->count : 64;
		if (e3_ckpt_find(c, t->name) != t || e3_ckpt_read_raw(c, t, t->count, 1, v, &err) == 0)
			abort();
		int rc = e3_ckpt_read_f32(c, t, 0, n, v, &err) | e3_ckpt_read_f32(c, t, t->count - n, n, v, &err);
		if ((rc != 0) != (t->dtype > E3_F64))
			abort();
	}
	err.text[0] =
		0; /* the configuration of what is no network is some 400 misses each time: only of what looks like one */
	if (e3_ckpt_find(c, "aggregator.camera_token") && e3_config_read(c, &config, &report, &err) &&
		(!err.text[0] || !report.len))
		abort();
	e3_buf_release(&report);
	e3_ckpt_close(c);
	return 0;
}

#endif
