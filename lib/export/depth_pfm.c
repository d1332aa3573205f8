/* export: depth as PFM (doc/formats.md 4.9): 32-bit floats, little endian, rows from bottom to top, each frame written
 * as it arrives. Unknown depth is 0, as in the depth PNGs. */
#include "e3/num.h"
#include "export/depth_map.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct pfm {
	e3_format_writer base;
	e3_depth_map map;
	uint8_t *row;
	size_t cap; /* bytes of it */
} pfm;

static int write_rows(pfm *s, e3_file *to, e3_err *err)
{
	size_t n = (size_t)s->map.w;
	if (4 * n > s->cap) {
		if (e3_grow((void **)&s->row, 4 * n, 1, "a row of depth", err))
			return -1;
		s->cap = 4 * n;
	}
	if (fprintf(to->f, "Pf\n%d %d\n-1.0\n", s->map.w, s->map.h) < 0)
		return e3_fail_sys(err, "writing: %s", to->path);
	for (int y = s->map.h - 1; y >= 0; y--) {
		for (size_t x = 0; x < n; x++)
			e3_put_lef32(s->row + 4 * x, s->map.d[(size_t)y * n + x]);
		if (e3_file_write(to, s->row, 4 * n, err))
			return -1;
	}
	return 0;
}

static int pfm_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	pfm *s = (pfm *)w;
	const e3_pred *p = frame->pred;
	char name[64], path[4096];
	e3_file file;
	snprintf(name, sizeof name, "%06" PRId64 ".pfm", p->s.i);
	if (e3_depth_map_make(&s->map, p, run->opt->depth_at_source, err) ||
		e3_outdir_name(&w->dir, name, path, sizeof path, err) || e3_file_open(&file, path, err))
		return -1;
	if (write_rows(s, &file, err)) {
		e3_file_discard(&file);
		return -1;
	}
	return e3_file_commit(&file, err);
}

/* Its header and its size: the format has no place for a name. Most other programs write the number otherwise. */
static bool pfm_ours(const uint8_t *head, size_t n, uint64_t size)
{
	char text[64] = "";
	unsigned w, h;
	int used = 0;
	memcpy(text, head, n < sizeof text - 1 ? n : sizeof text - 1);
	char *end = strstr(text, "\n-1.0\n");
	if (!end || sscanf(text, "Pf\n%9u %9u%n", &w, &h, &used) != 2 || text + used != end)
		return false;
	return size == (uint64_t)used + strlen("\n-1.0\n") + 4 * (uint64_t)w * h;
}

static void pfm_release(e3_format_writer *w)
{
	e3_depth_map_release(&((pfm *)w)->map);
	free(((pfm *)w)->row);
}

const e3_format_ops e3_depth_pfm_format = {
	.size = sizeof(pfm),
	.check = e3_depth_map_check,
	.add = pfm_add,
	.ours = pfm_ours,
	.release = pfm_release,
};
