/* model: torch's zip archive. */
#include "ckpt.h"
int e3_pth_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err)
{
	return e3_fail(err, "torch archives are not read yet");
}
