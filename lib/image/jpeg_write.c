/* image: writing JPEG through TurboJPEG: files without chroma subsampling, small ones in memory with it. */
#include "e3/image.h"
#include "e3/io.h"
#include <turbojpeg.h>

/* *bytes is TurboJPEG's, to be freed with tjFree. */
static int compress(const e3_image *im, int quality, int sampling, unsigned char **bytes, unsigned long *n, e3_err *err)
{
	*bytes = NULL, *n = 0;
	if (im->channels != 3)
		return e3_fail(err, "%d channels: expected 3", im->channels);
	tjhandle tj = tjInitCompress();
	int rc =
		tj ? tjCompress2(tj, im->px, im->w, 0, im->h, TJPF_RGB, bytes, n, sampling, quality, TJFLAG_ACCURATEDCT) : -1;
	if (rc)
		e3_fail(err, "%s", tjGetErrorStr2(tj));
	if (tj)
		tjDestroy(tj);
	return rc;
}

int e3_jpeg_save(const char *path, const e3_image *im, int quality, e3_err *err)
{
	e3_file file;
	unsigned char *bytes;
	unsigned long n;
	int rc = compress(im, quality, TJSAMP_444, &bytes, &n, err) ? e3_fail_in(err, "writing: %s", path) : 0;
	if (!rc)
		rc = e3_file_open(&file, path, err);
	if (!rc && e3_file_write(&file, bytes, n, err)) {
		e3_file_discard(&file);
		rc = -1;
	} else if (!rc) {
		rc = e3_file_commit(&file, err);
	}
	tjFree(bytes);
	return rc;
}

int e3_jpeg_encode(const e3_image *im, int quality, e3_buf *out, e3_err *err)
{
	unsigned char *bytes;
	unsigned long n;
	int rc = compress(im, quality, TJSAMP_420, &bytes, &n, err) ? e3_fail_in(err, "encoding a JPEG") : 0;
	rc = rc ? rc : e3_buf_add(out, bytes, n, err);
	tjFree(bytes);
	return rc;
}
