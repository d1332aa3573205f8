/* export: the container of MCAP (doc/formats.md 4.12): records, chunks with their checksums and indices, the summary at
 * the end by which readers seek. One chunk is in memory; the index of chunks waits in a temporary file. Owns both. */
#include "e3/version.h"
#include "export/mcap.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const uint8_t magic[8] = {0x89, 'M', 'C', 'A', 'P', '0', '\r', '\n'};

/* Kinds of records. */
enum {
	HEADER = 1,
	FOOTER,
	SCHEMA,
	CHANNEL,
	MESSAGE,
	CHUNK,
	MESSAGE_INDEX,
	CHUNK_INDEX,
	STATISTICS = 11,
	METADATA,
	METADATA_INDEX,
	SUMMARY_OFFSET,
	DATA_END
};

enum {
	ENOUGH = 4 << 20, /* bytes of a chunk; a message that is longer makes it longer */
	PREFIX = 9        /* bytes before what a record has: its kind, its length */
};

struct e3_mcap {
	e3_file *to;
	const e3_mcap_channel *channel;
	int channels;
	uint64_t at;                      /* bytes written */
	uint32_t crc;                     /* of those since the start, then since the summary */
	e3_bytes chunk;                   /* the records of the chunk that is open */
	uint64_t span[2];                 /* the first and the last time in it */
	uint64_t all[2];                  /* in the file */
	e3_bytes index[E3_MCAP_CHANNELS]; /* of the chunk: times and places of the messages of each channel */
	uint64_t count[E3_MCAP_CHANNELS]; /* messages */
	uint64_t chunks;
	FILE *chunk_index;    /* records */
	uint64_t metadata[2]; /* where that record is; its length, 0: there is none */
	char metadata_name[32];
	e3_bytes record; /* room for one */
};

static int put(e3_mcap *m, const void *from, size_t n, e3_err *err)
{
	m->crc = (uint32_t)crc32_z(m->crc, from, n);
	m->at += n;
	return e3_file_write(m->to, from, n, err);
}

/* A record begins; what it has is added to what is returned. */
static e3_bytes *begin(e3_bytes *o, int kind)
{
	e3_bytes_le(o, (uint64_t)kind, 1);
	e3_bytes_le(o, 0, 8);
	return o;
}

/* mark: where it began. */
static void end(e3_bytes *o, size_t mark) { e3_bytes_le_at(o, mark + 1, o->b.len - mark - PREFIX, 8); }

static e3_bytes *begin_own(e3_mcap *m, int kind, e3_err *err)
{
	m->record.b.len = 0;
	m->record.err = err, m->record.rc = 0;
	return begin(&m->record, kind);
}

/* Completes the record that begin_own began, and writes it. */
static int put_own(e3_mcap *m, e3_err *err)
{
	end(&m->record, 0);
	return m->record.rc ? -1 : put(m, m->record.b.data, m->record.b.len, err);
}

/* The first channel with the same schema, after which the schema is numbered. */
static int schema_of(const e3_mcap *m, int k)
{
	int first = 0;
	while (strcmp(m->channel[first].schema, m->channel[k].schema) != 0)
		first++;
	return first;
}

static void add_schema(e3_bytes *o, const e3_mcap *m, int k)
{
	const e3_mcap_channel *c = &m->channel[k];
	e3_bytes_le(o, (uint64_t)k + 1, 2); /* 0 is not one */
	e3_bytes_text(o, c->schema);
	e3_bytes_text(o, "protobuf");
	e3_bytes_le(o, c->description->len, 4);
	e3_bytes_add(o, c->description->data, c->description->len);
}

static void add_channel(e3_bytes *o, const e3_mcap *m, int k)
{
	e3_bytes_le(o, (uint64_t)k, 2);
	e3_bytes_le(o, (uint64_t)schema_of(m, k) + 1, 2);
	e3_bytes_text(o, m->channel[k].topic);
	e3_bytes_text(o, "protobuf");
	e3_bytes_le(o, 0, 4); /* no metadata */
}

static int put_header(e3_mcap *m, e3_err *err)
{
	e3_bytes *o = begin_own(m, HEADER, err);
	e3_bytes_text(o, ""); /* profile */
	e3_bytes_text(o, "e3-export " E3_VERSION);
	return put(m, magic, sizeof magic, err) || put_own(m, err) ? -1 : 0;
}

e3_mcap *e3_mcap_open(e3_file *to, const e3_mcap_channel *channels, int n, e3_err *err)
{
	e3_mcap *m = e3_alloc(1, sizeof *m, "an MCAP file", err);
	if (!m)
		return NULL;
	*m = (e3_mcap){.to = to, .channel = channels, .channels = n, .chunk_index = e3_spool(err)};
	if (!m->chunk_index || put_header(m, err)) {
		e3_mcap_close(m);
		return NULL;
	}
	return m;
}

int e3_mcap_metadata(e3_mcap *m, const char *name, const char *const *pairs, e3_err *err)
{
	e3_bytes *o = begin_own(m, METADATA, err);
	e3_bytes_text(o, name);
	size_t at = o->b.len;
	e3_bytes_le(o, 0, 4);
	for (int k = 0; pairs[k]; k++)
		e3_bytes_text(o, pairs[k]);
	e3_bytes_le_at(o, at, o->b.len - at - 4, 4);
	snprintf(m->metadata_name, sizeof m->metadata_name, "%s", name);
	m->metadata[0] = m->at, m->metadata[1] = o->b.len;
	return put_own(m, err);
}

/* --- chunks --- */

static void widen(uint64_t span[2], uint64_t time, bool first)
{
	span[0] = first || time < span[0] ? time : span[0];
	span[1] = first || time > span[1] ? time : span[1];
}

/* The indices of the channels that have messages in the chunk; *offsets: where each is, as the index of chunks has it.
 */
static int put_message_indices(e3_mcap *m, e3_bytes *offsets, e3_err *err)
{
	for (int k = 0; k < m->channels; k++) {
		const e3_buf *b = &m->index[k].b;
		if (!b->len)
			continue;
		e3_bytes_le(offsets, (uint64_t)k, 2);
		e3_bytes_le(offsets, m->at, 8);
		e3_bytes *o = begin_own(m, MESSAGE_INDEX, err);
		e3_bytes_le(o, (uint64_t)k, 2);
		e3_bytes_le(o, b->len, 4);
		e3_bytes_add(o, b->data, b->len);
		if (put_own(m, err))
			return -1;
		m->index[k].b.len = 0;
	}
	return offsets->rc;
}

static int spool_chunk_index(e3_mcap *m, uint64_t start, uint64_t length, const e3_bytes *offsets, e3_err *err)
{
	e3_bytes *o = begin_own(m, CHUNK_INDEX, err);
	e3_bytes_le(o, m->span[0], 8);
	e3_bytes_le(o, m->span[1], 8);
	e3_bytes_le(o, start, 8);
	e3_bytes_le(o, length, 8);
	e3_bytes_le(o, offsets->b.len, 4);
	e3_bytes_add(o, offsets->b.data, offsets->b.len);
	e3_bytes_le(o, m->at - start - length, 8);
	e3_bytes_text(o, ""); /* not compressed */
	e3_bytes_le(o, m->chunk.b.len, 8);
	e3_bytes_le(o, m->chunk.b.len, 8);
	end(o, 0);
	return o->rc ? -1 : e3_spool_write(m->chunk_index, o->b.data, o->b.len, err);
}

/* Writes the chunk that is open, and its indices. */
static int put_chunk(e3_mcap *m, e3_err *err)
{
	const e3_buf *b = &m->chunk.b;
	const uint64_t start = m->at;
	e3_bytes offsets = {.err = err};
	if (!b->len)
		return 0;
	e3_bytes *o = begin_own(m, CHUNK, err);
	e3_bytes_le(o, m->span[0], 8);
	e3_bytes_le(o, m->span[1], 8);
	e3_bytes_le(o, b->len, 8);
	e3_bytes_le(o, crc32_z(0, (const uint8_t *)b->data, b->len), 4);
	e3_bytes_text(o, "");
	e3_bytes_le(o, b->len, 8);
	const uint64_t length = o->b.len + b->len;
	e3_bytes_le_at(o, 1, length - PREFIX, 8);
	int rc = o->rc || put(m, o->b.data, o->b.len, err) || put(m, b->data, b->len, err) ||
		put_message_indices(m, &offsets, err) || spool_chunk_index(m, start, length, &offsets, err);
	e3_buf_release(&offsets.b);
	m->chunk.b.len = 0;
	m->chunks++;
	return rc ? -1 : 0;
}

/* Schemas and channels come before the first message of theirs. */
static void describe_channels(e3_mcap *m)
{
	e3_bytes *o = &m->chunk;
	for (int k = 0; k < 2 * m->channels; k++) {
		size_t mark = o->b.len;
		if (k % 2 == 0 && schema_of(m, k / 2) != k / 2)
			continue;
		begin(o, k % 2 ? CHANNEL : SCHEMA);
		(k % 2 ? add_channel : add_schema)(o, m, k / 2);
		end(o, mark);
	}
}

int e3_mcap_message(e3_mcap *m, int channel, uint64_t time, const e3_buf *message, e3_err *err)
{
	e3_bytes *o = &m->chunk, *index = &m->index[channel];
	bool first = !m->chunks && !o->b.len;
	o->err = index->err = err;
	if (first)
		describe_channels(m);
	widen(m->all, time, first);
	widen(m->span, time, first || !o->b.len);
	size_t mark = o->b.len;
	e3_bytes_le(index, time, 8);
	e3_bytes_le(index, mark, 8);
	begin(o, MESSAGE);
	e3_bytes_le(o, (uint64_t)channel, 2);
	e3_bytes_le(o, m->count[channel]++, 4);
	e3_bytes_le(o, time, 8);
	e3_bytes_le(o, time, 8);
	e3_bytes_add(o, message->data, message->len);
	end(o, mark);
	if (o->rc || index->rc)
		return -1;
	return o->b.len < ENOUGH ? 0 : put_chunk(m, err);
}

/* --- the summary --- */

static int put_statistics(e3_mcap *m, e3_err *err)
{
	e3_bytes *o = begin_own(m, STATISTICS, err);
	uint64_t messages = 0, schemas = 0;
	for (int k = 0; k < m->channels; k++) {
		messages += m->count[k];
		schemas += schema_of(m, k) == k;
	}
	e3_bytes_le(o, messages, 8);
	e3_bytes_le(o, schemas, 2);
	e3_bytes_le(o, (uint64_t)m->channels, 4);
	e3_bytes_le(o, 0, 4); /* attachments */
	e3_bytes_le(o, m->metadata[1] > 0, 4);
	e3_bytes_le(o, m->chunks, 4);
	e3_bytes_le(o, m->all[0], 8);
	e3_bytes_le(o, m->all[1], 8);
	e3_bytes_le(o, 10 * (uint64_t)m->channels, 4);
	for (int k = 0; k < m->channels; k++) {
		e3_bytes_le(o, (uint64_t)k, 2);
		e3_bytes_le(o, m->count[k], 8);
	}
	return put_own(m, err);
}

static int put_metadata_index(e3_mcap *m, e3_err *err)
{
	if (!m->metadata[1])
		return 0;
	e3_bytes *o = begin_own(m, METADATA_INDEX, err);
	e3_bytes_le(o, m->metadata[0], 8);
	e3_bytes_le(o, m->metadata[1], 8);
	e3_bytes_text(o, m->metadata_name);
	return put_own(m, err);
}

static int put_chunk_indices(e3_mcap *m, e3_err *err)
{
	char room[65536];
	size_t n;
	rewind(m->chunk_index);
	while ((n = fread(room, 1, sizeof room, m->chunk_index)) > 0)
		if (put(m, room, n, err))
			return -1;
	return ferror(m->chunk_index) ? e3_fail_sys(err, "reading a temporary file") : 0;
}

static int put_schemas(e3_mcap *m, e3_err *err)
{
	for (int k = 0; k < m->channels; k++) {
		if (schema_of(m, k) != k)
			continue;
		add_schema(begin_own(m, SCHEMA, err), m, k);
		if (put_own(m, err))
			return -1;
	}
	return 0;
}

static int put_channels(e3_mcap *m, e3_err *err)
{
	for (int k = 0; k < m->channels; k++) {
		add_channel(begin_own(m, CHANNEL, err), m, k);
		if (put_own(m, err))
			return -1;
	}
	return 0;
}

/* Records of one kind after the other: in this order, with the places that the end of the summary tells. */
static const struct {
	int kind;
	int (*put)(e3_mcap *m, e3_err *err);
} groups[] = {
	{SCHEMA, put_schemas},
	{CHANNEL, put_channels},
	{STATISTICS, put_statistics},
	{METADATA_INDEX, put_metadata_index},
	{CHUNK_INDEX, put_chunk_indices},
};

enum { GROUPS = sizeof groups / sizeof *groups };

static int put_summary(e3_mcap *m, uint64_t *offsets, e3_err *err)
{
	uint64_t from[GROUPS + 1];
	for (int k = 0; k < GROUPS; k++) {
		from[k] = m->at;
		if (groups[k].put(m, err))
			return -1;
	}
	from[GROUPS] = *offsets = m->at;
	for (int k = 0; k < GROUPS; k++) {
		if (from[k] == from[k + 1])
			continue;
		e3_bytes *o = begin_own(m, SUMMARY_OFFSET, err);
		e3_bytes_le(o, (uint64_t)groups[k].kind, 1);
		e3_bytes_le(o, from[k], 8);
		e3_bytes_le(o, from[k + 1] - from[k], 8);
		if (put_own(m, err))
			return -1;
	}
	return 0;
}

int e3_mcap_finish(e3_mcap *m, e3_err *err)
{
	uint64_t summary, offsets;
	if (put_chunk(m, err))
		return -1;
	e3_bytes_le(begin_own(m, DATA_END, err), m->crc, 4);
	if (put_own(m, err))
		return -1;
	summary = m->at, m->crc = 0;
	if (put_summary(m, &offsets, err))
		return -1;
	e3_bytes *o = begin_own(m, FOOTER, err);
	e3_bytes_le(o, summary, 8);
	e3_bytes_le(o, offsets, 8);
	e3_bytes_le(o, 0, 4);
	end(o, 0);
	if (o->rc)
		return -1;
	const size_t before = o->b.len - 4; /* the checksum is of everything up to itself */
	e3_bytes_le_at(o, before, crc32_z(m->crc, (const uint8_t *)o->b.data, before), 4);
	return put(m, o->b.data, o->b.len, err) || put(m, magic, sizeof magic, err) ? -1 : 0;
}

void e3_mcap_close(e3_mcap *m)
{
	if (!m)
		return;
	for (int k = 0; k < E3_MCAP_CHANNELS; k++)
		e3_buf_release(&m->index[k].b);
	e3_buf_release(&m->chunk.b);
	e3_buf_release(&m->record.b);
	if (m->chunk_index)
		fclose(m->chunk_index);
	free(m);
}
