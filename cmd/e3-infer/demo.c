/* e3-infer: the bundled demo model, which knows rendered rooms only. Owns when it is said that its results mean
 * nothing: once, of a source that is a video, pictures, a camera or a network stream, unless that is the bundled clip.
 * Frames of e3-scene and of data sets, and sources that cannot be seen from here, are left alone. */
#include "e3/tool.h"
#include "e3/what.h"
#include "infer.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char demo_name[] = "e3-demo-rooms";

/* Of pipelines/demo/clip.mp4: its length, and FNV-1a of its bytes. */
enum { CLIP_BYTES = 346434 };
static const uint64_t clip_sum = 0xa9d55cb048141b3aULL;

static bool is_bundled_clip(const char *path, off_t size)
{
	FILE *f = size == CLIP_BYTES ? fopen(path, "rb") : NULL;
	uint64_t sum = 0xcbf29ce484222325ULL;
	for (int c; f && (c = getc(f)) != EOF;)
		sum = (sum ^ (uint64_t)c) * 0x100000001b3ULL;
	if (f)
		fclose(f);
	return f && sum == clip_sum;
}

/* A relative name is taken from the folder of a recorded stream, else from the current one. */
static bool shows_the_world(const char *source, const char *input)
{
	char path[PATH_MAX];
	struct stat st;
	const char *slash = strrchr(input, '/');
	bool beside = source[0] != '/' && slash && strncmp(input, "zmq:", 4) != 0;
	snprintf(path, sizeof path, "%.*s%s", beside ? (int)(slash + 1 - input) : 0, input, source);
	if (stat(path, &st))
		return strstr(source, "://") != NULL;
	if (S_ISREG(st.st_mode)) {
		e3_what_kind kind = e3_what_file(path).kind;
		return (kind == E3_WHAT_VIDEO || kind == E3_WHAT_PICTURE) && !is_bundled_clip(path, st.st_size);
	}
	return S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode);
}

void infer_warn_demo(const char *model, const e3_head *head, const char *input)
{
	const char *source = head->source;
	if (strcmp(model, demo_name) != 0 || !source || !head->tool || strcmp(head->tool, "e3-decode") != 0 ||
		!shows_the_world(source, input))
		return;
	e3_warn("this is the demo model, which knows rendered rooms only: for %s its results mean nothing, unless it shows "
			"such rooms. For photographs: e3-model fetch streamvggt or lingbot-map, or --model FILE",
		source);
}
