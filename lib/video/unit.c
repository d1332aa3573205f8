/* video: what one packet holds: whether decoding can start there, how many pictures it makes, single fields.
 *
 * A start needs proof in the bytes: an IDR picture of H.264, an intra random access picture of HEVC, an I picture with
 * its headers of MPEG-1, -2 and -4, a key frame of VP8, VP9 and AV1, any packet of a codec without references. Headers
 * that came earlier must come again in the same packet, or a decoder that starts there would lack them.
 */
#include "unit.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADERS = 64 };

struct video_units {
	enum AVCodecID id;
	const AVCodecParameters *par;
	int length;                   /* bytes of the length before each NAL unit; 0: start codes */
	bool intra;                   /* every picture stands alone */
	bool drops;                   /* leading pictures that refer back are not shown now */
	int anchors;                  /* MPEG-1, -2, -4: I and P pictures since decoding began */
	bool sequence_end;            /* HEVC: the sequence ended with the packet before */
	AVCodecParserContext *parser; /* H.264: single fields */
	AVCodecContext *context;
	uint64_t header[MAX_HEADERS]; /* hashes of the headers that packets carried, beyond those of the container */
	int headers;                  /* more than MAX_HEADERS: too many to follow */
};

/* --- headers that a decoder must know --- */

/* Notes the headers of this packet; whether it repeats all that came so far. */
typedef struct header_check {
	uint64_t here[MAX_HEADERS];
	int n;
} header_check;

static bool contains(const uint8_t *in, int n_in, const uint8_t *what, size_t n)
{
	return in && n_in > 0 && memmem(in, (size_t)n_in, what, n) != NULL;
}

static void note_header(video_units *u, header_check *c, const uint8_t *data, size_t n)
{
	while (n > 0 && data[n - 1] == 0)
		n--; /* padding */
	if (n == 0 || contains(u->par->extradata, u->par->extradata_size, data, n))
		return;
	uint64_t hash = e3_fnv1a64(data, n);
	if (c->n < MAX_HEADERS)
		c->here[c->n++] = hash;
	for (int k = 0; k < u->headers && k < MAX_HEADERS; k++)
		if (u->header[k] == hash)
			return;
	if (u->headers < MAX_HEADERS)
		u->header[u->headers] = hash;
	u->headers += u->headers <= MAX_HEADERS;
}

static bool has_all_headers(const video_units *u, const header_check *c)
{
	bool all = u->headers <= MAX_HEADERS;
	for (int k = 0; all && k < u->headers; k++) {
		bool found = false;
		for (int h = 0; h < c->n; h++)
			found = found || c->here[h] == u->header[k];
		all = found;
	}
	return all;
}

/* --- NAL units and start codes --- */

/* The next start code 00 00 01 in data[at, n); n: none. */
static size_t find_code(const uint8_t *data, size_t n, size_t at)
{
	for (; at + 3 < n; at++)
		if (data[at + 2] == 1 && data[at] == 0 && data[at + 1] == 0)
			return at;
	return n;
}

/* The next piece: a NAL unit, or what follows a start code up to the next one. *at moves on; false: no more. */
static bool next_piece(int length, const AVPacket *p, size_t *at, const uint8_t **piece, size_t *n)
{
	size_t size = (size_t)p->size;
	if (length > 0) {
		if (*at + (size_t)length > size)
			return false;
		uint64_t bytes = 0;
		for (int k = 0; k < length; k++)
			bytes = bytes << 8 | p->data[*at + (size_t)k];
		*at += (size_t)length;
		*piece = p->data + *at, *n = bytes < size - *at ? (size_t)bytes : size - *at;
		*at += *n;
		return *n > 0;
	}
	size_t code = find_code(p->data, size, *at);
	if (code == size)
		return false;
	size_t end = find_code(p->data, size, code + 3);
	*piece = p->data + code + 3, *n = end - code - 3, *at = end;
	return true;
}

/* --- a codec each; unit->begins is what the container says --- */

static void look_h264(video_units *u, const AVPacket *p, video_unit *unit)
{
	enum { SLICE = 1, IDR = 5, SPS = 7, PPS = 8, SPS_EXTENSION = 13, SUBSET_SPS = 15 };
	header_check c = {.n = 0};
	const uint8_t *nal;
	size_t at = 0, n;
	int pictures = 0, idr = 0, slices = 0;
	while (next_piece(u->length, p, &at, &nal, &n)) {
		int type = nal[0] & 31;
		if (type == SPS || type == PPS || type == SPS_EXTENSION || type == SUBSET_SPS)
			note_header(u, &c, nal, n);
		if ((type == SLICE || type == IDR) && n > 1)
			slices++, pictures += nal[1] >> 7,
				idr += type == IDR; /* a picture's first slice begins with macroblock 0 */
	}
	uint8_t *out;
	int n_out;
	av_parser_parse2(u->parser, u->context, &out, &n_out, p->data, p->size, p->pts, p->dts, p->pos);
	bool single = u->parser->picture_structure == AV_PICTURE_STRUCTURE_TOP_FIELD ||
		u->parser->picture_structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD;
	unit->shown = pictures > 0;
	unit->field = !single || pictures != 1 ? 0 : u->parser->picture_structure == AV_PICTURE_STRUCTURE_TOP_FIELD ? 1 : 2;
	unit->odd = pictures != (single && pictures == 2 ? 2 : 1);
	/* The second field of an IDR picture may be a P field. */
	unit->start = !unit->odd && idr > 0 && (idr == slices || single) && has_all_headers(u, &c);
	unit->closed = idr > 0;
	unit->begins = unit->begins || idr > 0 || u->parser->key_frame == 1;
}

static void look_hevc(video_units *u, const AVPacket *p, bool from_here, video_unit *unit)
{
	enum { RASL_N = 8, RASL_R = 9, BLA_FIRST = 16, BLA_LAST = 18, CRA = 21, IRAP_LAST = 23, VPS = 32, PPS = 34 };
	enum { END_OF_SEQUENCE = 36, END_OF_STREAM = 37, SLICE_LAST = 31 };
	header_check c = {.n = 0};
	const uint8_t *nal;
	size_t at = 0, n;
	int pictures = 0, irap = 0, other = 0;
	bool ended = false, after_end = u->sequence_end;
	unit->leading = false;
	while (next_piece(u->length, p, &at, &nal, &n)) {
		int type = nal[0] >> 1 & 63, layer = (nal[0] & 1) << 5 | (n > 1 ? nal[1] >> 3 : 0);
		if (n < 3 || layer > 0) /* other layers are not decoded */
			continue;
		if (type >= VPS && type <= PPS)
			note_header(u, &c, nal, n);
		ended = ended || type == END_OF_SEQUENCE || type == END_OF_STREAM;
		if (type > SLICE_LAST)
			continue;
		pictures += nal[2] >> 7; /* first_slice_segment_in_pic_flag */
		irap += type >= BLA_FIRST && type <= IRAP_LAST, other += type < BLA_FIRST || type > IRAP_LAST;
		if (type >= BLA_FIRST && type <= IRAP_LAST)
			u->drops = from_here || type != CRA || after_end;
		unit->leading = unit->leading || ((type == RASL_N || type == RASL_R) && u->drops);
	}
	u->sequence_end = ended;
	unit->shown = pictures > 0;
	unit->odd = pictures != 1;
	unit->begins = irap > 0;
	unit->closed = true; /* those that do are marked as leading */
	unit->start = !unit->odd && irap > 0 && other == 0 && has_all_headers(u, &c);
}

/* The first B pictures lie between a picture that was cut off and the one that decoding began with. */
static void leads(video_units *u, bool from_here, bool picture, bool b, bool closed, video_unit *unit)
{
	if (from_here)
		u->anchors = 0, u->drops = !closed;
	u->anchors += picture && !b;
	unit->leading = b && u->anchors < 2 && u->drops;
	unit->closed = true;
}

static void look_mpeg12(video_units *u, const AVPacket *p, bool from_here, video_unit *unit)
{
	enum {
		PICTURE = 0x00,
		SEQUENCE = 0xB3,
		EXTENSION = 0xB5,
		GROUP = 0xB8,
		CODING_EXTENSION = 8,
		I = 1,
		B = 3,
		FRAME = 3
	};
	const uint8_t *piece;
	size_t at = 0, n;
	int pictures = 0, first = 0, fields = 0;
	bool sequence = false, closed = false;
	while (next_piece(0, p, &at, &piece, &n)) {
		if (piece[0] == GROUP && n > 4)
			closed = piece[4] >> 6 & 1;
		sequence = sequence || piece[0] == SEQUENCE;
		if (piece[0] == PICTURE && n > 2 && pictures++ == 0)
			first = piece[2] >> 3 & 7;
		if (piece[0] == EXTENSION && n > 3 && piece[1] >> 4 == CODING_EXTENSION)
			fields += (piece[3] & 3) != FRAME;
	}
	unit->shown = pictures > 0;
	unit->odd = pictures != (fields ? 2 : 1);
	unit->start = !unit->odd && first == I && sequence;
	leads(u, from_here, pictures > 0, first == B, closed, unit);
	unit->begins = unit->begins || first == I;
}

static void look_mpeg4(video_units *u, const AVPacket *p, bool from_here, video_unit *unit)
{
	enum {
		VOL_FIRST = 0x20,
		VOL_LAST = 0x2F,
		VISUAL_SEQUENCE = 0xB0,
		VISUAL_OBJECT = 0xB5,
		VOP = 0xB6,
		SMALL = 8,
		B = 2
	};
	header_check c = {.n = 0};
	const uint8_t *piece;
	size_t at = 0, n;
	int pictures = 0, type = 0;
	while (next_piece(0, p, &at, &piece, &n)) {
		if (piece[0] == VOP && n > 1 && pictures++ == 0)
			type = piece[1] >> 6;
		if ((piece[0] >= VOL_FIRST && piece[0] <= VOL_LAST) || piece[0] == VISUAL_SEQUENCE || piece[0] == VISUAL_OBJECT)
			note_header(u, &c, piece, n);
	}
	leads(u, from_here, pictures > 0, type == B, false, unit);
	/* DivX packs two pictures into a packet and sends a tiny one, not coded, instead of the second. */
	unit->shown = pictures;
	unit->odd = pictures != 1 || p->size <= SMALL;
	unit->start = !unit->odd && type == 0 && has_all_headers(u, &c);
	unit->begins = unit->begins || (pictures > 0 && type == 0);
}

static void look_vp8(const AVPacket *p, video_unit *unit)
{
	unit->start = unit->begins = !(p->data[0] & 1);
	unit->shown = p->data[0] >> 4 & 1;
}

typedef struct vp9_frame {
	bool key, shown, known;
} vp9_frame;

static vp9_frame look_vp9_frame(const uint8_t *data, size_t n)
{
	if (n == 0 || data[0] >> 6 != 2)
		return (vp9_frame){false, false, false};
	int shift = (data[0] >> 4 & 3) == 3 ? 2 : 3; /* profile 3 has a bit more */
	if (data[0] >> shift & 1)
		return (vp9_frame){false, true, true}; /* shows a frame that was decoded before */
	return (vp9_frame){!(data[0] >> (shift - 1) & 1), data[0] >> (shift - 2) & 1, true};
}

/* A packet may hold several frames; an index at its end says where they are. */
static void look_vp9(const AVPacket *p, video_unit *unit)
{
	size_t size = (size_t)p->size, at = 0;
	uint8_t mark = p->data[size - 1];
	size_t frames = (size_t)(mark & 7) + 1, bytes = (size_t)(mark >> 3 & 3) + 1, index = 2 + frames * bytes;
	unit->shown = 0;
	if ((mark & 0xE0) != 0xC0 || index > size || p->data[size - index] != mark)
		frames = 1, index = 0;
	for (size_t k = 0; k < frames; k++) {
		size_t n = index ? 0 : size;
		for (size_t b = 0; index && b < bytes; b++)
			n |= (size_t)p->data[size - index + 1 + k * bytes + b] << (8 * b);
		if (n > size - index - at) {
			unit->odd = true;
			break;
		}
		vp9_frame f = look_vp9_frame(p->data + at, n);
		unit->odd = unit->odd || !f.known;
		unit->shown += f.shown;
		if (k == 0)
			unit->start = unit->begins = f.known && f.key;
		at += n;
	}
}

static void look_av1(video_units *u, const AVPacket *p, video_unit *unit)
{
	enum { SEQUENCE = 1, FRAME_HEADER = 3, FRAME = 6 };
	header_check c = {.n = 0};
	size_t at = 0, size = (size_t)p->size;
	int frames = 0;
	bool key = false;
	while (at < size) {
		uint8_t head = p->data[at];
		size_t n = 0, start = at + 1 + (head >> 2 & 1);
		int type = head >> 3 & 15;
		bool more = head >> 1 & 1;
		if (!more)
			n = start < size ? size - start : 0;
		for (int shift = 0; more && start < size && shift < 56; shift += 7) {
			uint8_t b = p->data[start++];
			n |= (size_t)(b & 127) << shift;
			more = b >> 7;
		}
		if (start > size || n > size - start)
			break;
		if (type == SEQUENCE)
			note_header(u, &c, p->data + start, n);
		/* not shown again, a key frame, shown */
		if ((type == FRAME || type == FRAME_HEADER) && n > 0 && frames++ == 0)
			key = p->data[start] >> 4 == 1;
		at = start + n;
	}
	unit->odd = at != size || frames == 0;
	unit->start = !unit->odd && key && has_all_headers(u, &c);
	unit->begins = unit->begins || key;
}

/* Motion JPEG may leave its tables to an earlier picture. */
static bool stands_alone(const video_units *u, const AVPacket *p)
{
	static const uint8_t tables[] = {0xFF, 0xDB};
	return u->intra &&
		(u->id != AV_CODEC_ID_MJPEG || contains(p->data, p->size < 4096 ? p->size : 4096, tables, sizeof tables));
}

video_unit video_unit_of(video_units *u, const AVPacket *p, bool from_here)
{
	video_unit unit = {.begins = p->flags & AV_PKT_FLAG_KEY, .shown = 1};
	if (p->size <= 0)
		return (video_unit){.shown = 0};
	switch (u->id) {
	case AV_CODEC_ID_H264:
		look_h264(u, p, &unit);
		break;
	case AV_CODEC_ID_HEVC:
		look_hevc(u, p, from_here, &unit);
		break;
	case AV_CODEC_ID_MPEG1VIDEO:
	case AV_CODEC_ID_MPEG2VIDEO:
		look_mpeg12(u, p, from_here, &unit);
		break;
	case AV_CODEC_ID_MPEG4:
		look_mpeg4(u, p, from_here, &unit);
		break;
	case AV_CODEC_ID_VP8:
		look_vp8(p, &unit);
		break;
	case AV_CODEC_ID_VP9:
		look_vp9(p, &unit);
		break;
	case AV_CODEC_ID_AV1:
		look_av1(u, p, &unit);
		break;
	default:
		unit.start = stands_alone(u, p), unit.begins = unit.begins || unit.start;
	}
	unit.odd = unit.odd || (p->flags & AV_PKT_FLAG_CORRUPT);
	unit.start = unit.start && !unit.odd;
	if (p->flags & AV_PKT_FLAG_DISCARD)
		unit.shown = 0;
	return unit;
}

/* --- */

static int length_size(const AVCodecParameters *par)
{
	const uint8_t *x = par->extradata;
	if (par->codec_id == AV_CODEC_ID_H264 && par->extradata_size >= 7 && x[0] == 1)
		return (x[4] & 3) + 1;
	if (par->codec_id == AV_CODEC_ID_HEVC && par->extradata_size >= 23 && (x[0] || x[1] || x[2] > 1))
		return (x[21] & 3) + 1;
	return 0;
}

video_units *video_units_open(const AVCodecParameters *par)
{
	video_units *u = calloc(1, sizeof *u);
	if (!u)
		return NULL;
	const AVCodecDescriptor *d = avcodec_descriptor_get(par->codec_id);
	*u = (video_units){.id = par->codec_id,
		.par = par,
		.length = length_size(par),
		.intra = d && (d->props & AV_CODEC_PROP_INTRA_ONLY)};
	if (par->codec_id != AV_CODEC_ID_H264)
		return u;
	u->parser = av_parser_init((int)par->codec_id);
	u->context = avcodec_alloc_context3(NULL);
	if (!u->parser || !u->context || avcodec_parameters_to_context(u->context, par) < 0) {
		video_units_close(u);
		return NULL;
	}
	u->parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
	return u;
}

void video_units_close(video_units *u)
{
	if (!u)
		return;
	av_parser_close(u->parser);
	avcodec_free_context(&u->context);
	free(u);
}
