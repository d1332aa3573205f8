/* Any bytes as a torch archive; and, since few changed archives reach it, any bytes as the pickle of a sound archive.
 */
#include "fuzz_ckpt.h"
#include "e3/num.h"

/* A zip of two stored members, a/data.pkl with these bytes and a/data/0 with 64 zeros; its size. */
static size_t wrap(const uint8_t *pickle, size_t n, uint8_t *to)
{
	static const char *const name[2] = {"a/data.pkl", "a/data/0"};
	size_t size[2] = {n, 64}, at[2], end = 0, directory;
	for (int k = 0; k < 2; k++) {
		size_t len = strlen(name[k]);
		at[k] = end;
		memset(to + end, 0, 30);
		memcpy(to + end, "PK\3\4", 4);
		e3_put_le16(to + end + 26, (uint16_t)len);
		memcpy(to + end + 30, name[k], len);
		end += 30 + len;
		if (k == 0)
			memcpy(to + end, pickle, n);
		else
			memset(to + end, 0, size[k]);
		end += size[k];
	}
	directory = end;
	for (int k = 0; k < 2; k++) {
		size_t len = strlen(name[k]);
		memset(to + end, 0, 46);
		memcpy(to + end, "PK\1\2", 4);
		e3_put_le32(to + end + 20, (uint32_t)size[k]), e3_put_le32(to + end + 24, (uint32_t)size[k]);
		e3_put_le16(to + end + 28, (uint16_t)len), e3_put_le32(to + end + 42, (uint32_t)at[k]);
		memcpy(to + end + 46, name[k], len);
		end += 46 + len;
	}
	memset(to + end, 0, 22);
	memcpy(to + end, "PK\5\6", 4);
	e3_put_le16(to + end + 10, 2);
	e3_put_le32(to + end + 12, (uint32_t)(end - directory)), e3_put_le32(to + end + 16, (uint32_t)directory);
	return end + 22;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size >= 2 && bytes[0] == 'P' && bytes[1] == 'K')
		return fuzz_ckpt(bytes, size);
	uint8_t *archive = malloc(size + 512);
	if (archive) {
		size_t n = wrap(bytes, size, archive);
		uint8_t *exact = realloc(archive, n); /* so that a read past the end is seen */
		fuzz_ckpt(exact, n);
		free(exact);
	}
	return 0;
}
