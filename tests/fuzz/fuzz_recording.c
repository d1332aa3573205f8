/* Fuzz target: any bytes as a recording that a page looks at. Nothing may crash, hang or reserve what the bytes do not
 * justify; every record that comes out has the size that it says. */
#include <sys/mman.h>

#include "view/store.h"

/* The walk through a file is private to its source, so that is compiled in here: without its thread. */
#include "view/index.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int descriptor(void)
{
	static int fd = -1;
	if (fd < 0)
		fd = memfd_create("recording", MFD_CLOEXEC);
	return fd;
}

static void get_all(e3_view_store *v, e3_buf *out)
{
	int64_t frames = e3_view_frames(v, 0);
	for (int64_t n = -1; n < frames + 2 && n < 6; n++)
		for (int type = 0; type <= E3_VIEW_STATUS + 1; type++)
			for (int count = 0; count < 2; count++) {
				e3_view_key key = {.type = type, .n = n, .count = count};
				out->len = 0;
				int rc = e3_view_get(v, &key, out, NULL);
				if (rc == 1 && (out->len < E3_VIEW_HEADER || out->len % 4 || e3_le32((uint8_t *)out->data) != out->len))
					__builtin_trap();
				(void)e3_view_points(v, 0, n);
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const e3_view_options o = {.points = 1000, .bytes = 4096, .chunk = 300};
	e3_err err;
	e3_buf out = {0}, light = {0};
	unsigned arrays;
	view_bytes memory = {.memory = data ? data : (const uint8_t *)"", .size = size};
	if (view_light(&memory, 0, size, &light, &arrays, &err) == 0) {
		e3_pred p = {0};
		e3_msg msg = {.kind = (uint8_t)light.data[5], .bytes = (uint8_t *)light.data, .len = light.len};
		(void)view_light_decode(&msg, &p, &err);
		e3_pred_release(&p);
	}
	int fd = descriptor();
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	e3_view_store *v = e3_view_open(&o, &err);
	if (!v)
		return 0;
	view_run *r = &v->run[0];
	walk w = {.v = v, .r = r, .newest = -1, .bytes = {.fd = fd, .size = size}};
	r->fd = dup(fd), r->name = strdup("recording");
	static FILE *rows; /* one file for all runs: making one takes longer than all the rest */
	rows = rows ? rows : e3_spool(&err);
	r->rows = (view_rows){.f = rows, .size = sizeof(view_row)};
	if (begin(&w, &err) == 0) {
		(void)go_through(&w, &err);
		(void)view_commit(v, r, &err);
		(void)e3_view_hello(v, &out, &err);
		get_all(v, &out);
	}
	e3_buf_release(&w.whole), e3_buf_release(&out), e3_buf_release(&light);
	r->rows.f = NULL;
	e3_view_close(v);
	return 0;
}
