/* Any bytes as a safetensors file: opened, its configuration read, every tensor read at both ends; or refused with a
 * message. */
#include "fuzz_ckpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 9 || bytes[0] == 'P') /* that is the other target's */
		return 0;
	return fuzz_ckpt(bytes, size);
}
