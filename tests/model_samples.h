/* Checkpoints made in memory for the tests of lib/model: safetensors of zeros with any names, types and shapes. */
#ifndef MODEL_SAMPLES_H
#define MODEL_SAMPLES_H

#include "e3/checkpoint.h"
#include "e3/config.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sample {
	e3_buf header; /* grows entry by entry */
	uint64_t size; /* bytes of data so far */
	char *file;    /* made by sample_open */
} sample;

static inline void sample_entry(sample *s, const char *name, e3_dtype dtype, int rank, const int64_t *shape)
{
	uint64_t bytes = e3_dtype_size(dtype);
	e3_buf_printf(&s->header, NULL, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[", s->header.len ? ',' : '{', name,
		e3_dtype_name(dtype));
	for (int k = 0; k < rank; k++) {
		e3_buf_printf(&s->header, NULL, "%s%" PRId64, k ? "," : "", shape[k]);
		bytes *= (uint64_t)shape[k];
	}
	e3_buf_printf(&s->header, NULL, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", s->size, s->size + bytes);
	s->size += bytes;
}

/* META is what stands between the braces of __metadata__, or NULL. */
static inline void sample_meta(sample *s, const char *meta)
{
	if (meta)
		e3_buf_printf(&s->header, NULL, "%c\"__metadata__\":{%s}", s->header.len ? ',' : '{', meta);
}

static inline e3_ckpt *sample_open(sample *s, e3_err *err)
{
	e3_buf_add(&s->header, "}", 1, NULL);
	s->file = calloc(1, 8 + s->header.len + s->size);
	e3_put_le64((uint8_t *)s->file, s->header.len);
	memcpy(s->file + 8, s->header.data, s->header.len);
	return e3_ckpt_memory(s->file, 8 + s->header.len + s->size, "sample", err);
}

static inline void sample_release(sample *s)
{
	e3_buf_release(&s->header);
	free(s->file);
	*s = (sample){0};
}

/* zlib's crc32, bit by bit. */
static inline uint32_t sample_crc(const void *bytes, size_t n)
{
	uint32_t crc = ~0u;
	for (size_t k = 0; k < n; k++) {
		crc ^= ((const uint8_t *)bytes)[k];
		for (int b = 0; b < 8; b++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

#endif
