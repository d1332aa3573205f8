/* image: writing JPEG through TurboJPEG, without chroma subsampling. */
#include "e3/image.h"
#include "e3/io.h"
#include <turbojpeg.h>

int e3_jpeg_save(const char *path, const e3_image *im, int quality, e3_err *err)
{
	e3_file file;
	unsigned char *bytes = NULL;
	unsigned long n = 0;
	if (im->channels != 3)
		return e3_fail(err, "writing: %s: %d channels: expected 3", path, im->channels);
	tjhandle tj = tjInitCompress();
	int rc = tj
		? tjCompress2(tj, im->px, im->w, 0, im->h, TJPF_RGB, &bytes, &n, TJSAMP_444, quality, TJFLAG_ACCURATEDCT)
		: -1;
	if (rc)
		e3_fail(err, "writing: %s: %s", path, tjGetErrorStr2(tj));
	if (!rc)
		rc = e3_file_open(&file, path, err);
	if (!rc && e3_file_write(&file, bytes, n, err)) {
		e3_file_discard(&file);
		rc = -1;
	} else if (!rc) {
		rc = e3_file_commit(&file, err);
	}
	tjFree(bytes);
	if (tj)
		tjDestroy(tj);
	return rc;
}
