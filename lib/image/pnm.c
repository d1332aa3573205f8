/* image: PNM, P1 to P6, 8 and 16 bits a sample, scaled to 8 bits by their maximum. Refuses headers that are not PNM,
 * samples above the maximum, and fewer bytes than the header promises (before memory is allocated). Does not read PAM
 * (P7). */
#include "read.h"
#include <string.h>

enum { MAX_HEADER = 65536 };

typedef struct scan {
	const uint8_t *p;
	size_t n, at;
} scan;

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static void skip_blank(scan *s)
{
	while (s->at < s->n)
		if (s->p[s->at] == '#')
			while (s->at < s->n && s->p[s->at] != '\n' && s->p[s->at] != '\r')
				s->at++;
		else if (is_space(s->p[s->at]))
			s->at++;
		else
			return;
}

/* A decimal number up to 65535 after blanks: 1; 0 when the bytes end; -1 when there is no number. */
static int number(scan *s, int *out)
{
	skip_blank(s);
	if (s->at == s->n)
		return 0;
	if (!is_digit(s->p[s->at]))
		return -1;
	int v = 0;
	for (; s->at < s->n && is_digit(s->p[s->at]); s->at++) {
		v = 10 * v + (s->p[s->at] - '0');
		if (v > 65535)
			return -1;
	}
	*out = v;
	return 1;
}

int pnm_header_read(const uint8_t *bytes, size_t n, pnm_header *out, e3_err *err)
{
	*out = (pnm_header){.maxval = 1};
	if (n < 3)
		return 0;
	if (bytes[0] != 'P' || bytes[1] < '1' || bytes[1] > '6' || !(is_space(bytes[2]) || bytes[2] == '#'))
		return e3_fail(err, "not a PNM header");
	out->kind = bytes[1] - '0';
	out->channels = out->kind % 3 == 0 ? 3 : 1;
	scan s = {bytes, n, 2};
	int *fields[] = {&out->w, &out->h, &out->maxval};
	const char *names[] = {"width", "height", "maximum"};
	for (int k = 0; k < (out->kind % 3 == 1 ? 2 : 3); k++) {
		int rc = number(&s, fields[k]);
		if (s.at > MAX_HEADER)
			return e3_fail(err, "PNM header: longer than %d bytes", MAX_HEADER);
		if (rc >= 0 && s.at == n) /* the number may go on */
			return 0;
		if (rc < 0 || *fields[k] < 1)
			return e3_fail(err, "PNM header: %s: expected 1 to 65535", names[k]);
	}
	if (!is_space(bytes[s.at]))
		return e3_fail(err, "PNM header: expected one blank before the samples");
	out->data = s.at + 1;
	size_t samples = (size_t)out->w * (size_t)out->channels;
	out->row = out->kind == 4 ? ((size_t)out->w + 7) / 8 : samples * (out->maxval > 255 ? 2 : 1);
	return 1;
}

static uint8_t scaled(int v, int maxval) { return (uint8_t)(maxval == 255 ? v : (v * 255 + maxval / 2) / maxval); }

/* One sample of the plain kinds; P1 digits may stand together. -1 when there is no sample. */
static int plain_sample(scan *s, const pnm_header *h)
{
	int v;
	if (h->kind != 1)
		return number(s, &v) > 0 ? v : -1;
	skip_blank(s);
	return s->at < s->n && (s->p[s->at] == '0' || s->p[s->at] == '1') ? s->p[s->at++] - '0' : -1;
}

static int raw_sample(const pnm_header *h, const uint8_t *row, size_t k)
{
	if (h->kind == 4)
		return row[k / 8] >> (7 - k % 8) & 1;
	return h->maxval > 255 ? row[2 * k] << 8 | row[2 * k + 1] : row[k];
}

static int fill(const pnm_header *h, const uint8_t *bytes, size_t n, e3_image *out, e3_err *err)
{
	scan s = {bytes, n, h->data};
	bool plain = h->kind <= 3, bitmap = h->kind % 3 == 1;
	size_t per_row = (size_t)h->w * (size_t)h->channels;
	uint8_t *to = out->px;
	for (int y = 0; y < h->h; y++)
		for (size_t k = 0; k < per_row; k++) {
			int v = plain ? plain_sample(&s, h) : raw_sample(h, bytes + h->data + (size_t)y * h->row, k);
			if (v < 0)
				return e3_fail(err, s.at < n ? "row %d: not a sample" : "truncated: the samples end in row %d of %d", y,
					h->h);
			if (v > h->maxval)
				return e3_fail(err, "row %d: sample %d: above the maximum %d", y, v, h->maxval);
			memset(to, bitmap ? 255 * !v : scaled(v, h->maxval), 3 / (size_t)h->channels);
			to += 3 / h->channels;
		}
	return 0;
}

int pnm_decode(const uint8_t *bytes, size_t n, e3_image *out, e3_err *err)
{
	pnm_header h;
	*out = (e3_image){0};
	int rc = pnm_header_read(bytes, n, &h, err);
	if (rc <= 0)
		return rc ? -1 : e3_fail(err, "truncated: the PNM header is not complete");
	/* A plain sample takes at least one character. */
	size_t least = (size_t)h.h * (h.kind > 3 ? h.row : (size_t)h.w * (size_t)h.channels);
	if (n - h.data < least)
		return e3_fail(err, "truncated: %d × %d pixels need %zu bytes, %zu are there", h.w, h.h, least, n - h.data);
	rc = e3_image_init(out, h.w, h.h, 3, err);
	if (rc)
		return -1;
	if (h.kind == 6 && h.maxval == 255)
		memcpy(out->px, bytes + h.data, least);
	else
		rc = fill(&h, bytes, n, out, err);
	if (rc)
		e3_image_release(out);
	return rc;
}
