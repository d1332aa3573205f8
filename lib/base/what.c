/* base: what a file is, by its first bytes. Owns the table of them; refuses nothing. */
#include "e3/what.h"
#include "e3/mem.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct magic {
	size_t at, n;
	const char *bytes;
	e3_what what;
} magic;

/* The first row that fits counts. */
static const magic table[] = {
	{0, 8, "\x89PNG\r\n\x1a\n", {E3_WHAT_PICTURE, "a picture (PNG)"}},
	{0, 3, "\xff\xd8\xff", {E3_WHAT_PICTURE, "a picture (JPEG)"}},
	{0, 4, "GIF8", {E3_WHAT_PICTURE, "a picture (GIF)"}},
	{8, 4, "WEBP", {E3_WHAT_PICTURE, "a picture (WebP)"}},
	{0, 4, "II*\0", {E3_WHAT_PICTURE, "a picture (TIFF)"}},
	{0, 4, "MM\0*", {E3_WHAT_PICTURE, "a picture (TIFF)"}},
	{0, 2, "\xff\x0a", {E3_WHAT_PICTURE, "a picture (JPEG XL)"}},
	{0, 12, "\0\0\0\x0cJXL \r\n\x87\n", {E3_WHAT_PICTURE, "a picture (JPEG XL)"}},
	{4, 8, "ftypheic", {E3_WHAT_PICTURE, "a picture (HEIC)"}},
	{4, 8, "ftypheix", {E3_WHAT_PICTURE, "a picture (HEIC)"}},
	{4, 8, "ftypmif1", {E3_WHAT_PICTURE, "a picture (HEIF)"}},
	{4, 8, "ftypavif", {E3_WHAT_PICTURE, "a picture (AVIF)"}},
	{4, 8, "ftypqt  ", {E3_WHAT_VIDEO, "a video (QuickTime)"}},
	{4, 4, "ftyp", {E3_WHAT_VIDEO, "a video (MP4)"}},
	{4, 4, "moov", {E3_WHAT_VIDEO, "a video (QuickTime)"}},
	{4, 4, "mdat", {E3_WHAT_VIDEO, "a video (QuickTime)"}},
	{4, 4, "wide", {E3_WHAT_VIDEO, "a video (QuickTime)"}},
	{0, 4, "\x1a\x45\xdf\xa3", {E3_WHAT_VIDEO, "a video (Matroska or WebM)"}},
	{8, 4, "AVI ", {E3_WHAT_VIDEO, "a video (AVI)"}},
	{0, 4, "FLV\1", {E3_WHAT_VIDEO, "a video (FLV)"}},
	{0, 4, "\0\0\1\xba", {E3_WHAT_VIDEO, "a video (MPEG)"}},
	{0, 4, "\0\0\1\xb3", {E3_WHAT_VIDEO, "a video (MPEG)"}},
	{0, 9, "YUV4MPEG2", {E3_WHAT_VIDEO, "a video (YUV4MPEG2)"}},
	{0, 4, "OggS", {E3_WHAT_VIDEO, "a video (Ogg)"}},
	{0, 4, "glTF", {E3_WHAT_CLOUD, "a 3D scene (GLB)"}},
	{0, 4, "ply\n", {E3_WHAT_CLOUD, "points (PLY)"}},
	{0, 4, "ply\r", {E3_WHAT_CLOUD, "points (PLY)"}},
	{0, 6, "\x93NUMPY", {E3_WHAT_ARRAYS, "an array (numpy)"}},
	{0, 8, "e3cache\n", {E3_WHAT_CACHE, "a saved session of e3-infer"}},
	{0, 2, "\x1f\x8b", {E3_WHAT_OTHER, "compressed (gzip)"}},
	{0, 4, "\x28\xb5\x2f\xfd", {E3_WHAT_OTHER, "compressed (zstd)"}},
	{0, 4, "\x7f\x45\x4c\x46", {E3_WHAT_OTHER, "a program"}},
	{0, 5, "%PDF-", {E3_WHAT_OTHER, "a document (PDF)"}},
};

/* A ZIP archive: what is in it says its first member's name. numpy's end in .npy; torch's have a pickle or a folder. */
static e3_what zip(const uint8_t *p, size_t n)
{
	enum { NAME = 30 };
	size_t len = n > NAME ? p[26] | (size_t)p[27] << 8 : 0;
	if (len < 4 || NAME + len > n)
		return (e3_what){E3_WHAT_OTHER, "a ZIP archive"};
	const char *name = (const char *)p + NAME;
	if (memcmp(name + len - 4, ".npy", 4) == 0)
		return (e3_what){E3_WHAT_ARRAYS, "arrays (npz)"};
	bool torch = memcmp(name + len - 4, ".pkl", 4) == 0 || memchr(name, '/', len);
	return torch ? (e3_what){E3_WHAT_MODEL, "a checkpoint (.pth)"} : (e3_what){E3_WHAT_OTHER, "a ZIP archive"};
}

static bool is_stream(const uint8_t *p, size_t n)
{
	enum { MARK = 0xc9, KINDS = 16 };
	return n >= 7 && p[0] == MARK && p[5] >= 1 && p[5] <= KINDS && (p[6] >> 4 == 8 || p[6] == 0xde || p[6] == 0xdf);
}

/* The length of a JSON object, then the object. */
static bool is_safetensors(const uint8_t *p, size_t n)
{
	return n >= 9 && p[8] == '{' && !p[4] && !p[5] && !p[6] && !p[7];
}

static bool is_pnm(const uint8_t *p, size_t n)
{
	return n >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6' && (isspace(p[2]) || p[2] == '#');
}

static bool is_text(const uint8_t *p, size_t n)
{
	enum { LEAST = 4 };
	for (size_t k = 0, len; k < n; k += len) {
		len = e3_utf8_length(p + k, n - k);
		if ((len == 0 && n - k >= LEAST) || (p[k] < ' ' && !isspace(p[k]) && p[k] != '\033'))
			return false;
		len += len == 0; /* the last one may be cut off */
	}
	return n >= LEAST;
}

/* Text that another program wrote, which may be taken for a path of a camera: by words that it has near its begin. */
static const struct {
	const char *word, *name;
} texts[] = {
	{"IMAGE_ID, QW", "the images of COLMAP (images.txt)"},
	{"IMAGE_ID QW", "the images of COLMAP (images.txt)"},
	{"CAMERA_ID, MODEL", "the cameras of COLMAP (cameras.txt)"},
	{"CAMERA_ID MODEL", "the cameras of COLMAP (cameras.txt)"},
	{"POINT3D_ID, X", "the points of COLMAP (points3D.txt)"},
	{"POINT3D_ID X", "the points of COLMAP (points3D.txt)"},
	{"\"transform_matrix\"", "the cameras of NeRF or nerfstudio (transforms.json)"},
	{"\"camera_angle_x\"", "the cameras of NeRF or nerfstudio (transforms.json)"},
	{"\"fl_x\"", "the cameras of NeRF or nerfstudio (transforms.json)"},
};

static const char *text_name(const uint8_t *p, size_t n)
{
	size_t at = 0;
	for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
		if (memmem(p, n, texts[k].word, strlen(texts[k].word)))
			return texts[k].name;
	while (at < n && isspace(p[at]))
		at++;
	return at < n && (p[at] == '{' || p[at] == '[') ? "JSON" : "text";
}

e3_what e3_what_bytes(const uint8_t *p, size_t n)
{
	if (n == 0)
		return (e3_what){E3_WHAT_EMPTY, "empty"};
	for (const magic *m = table; m < table + sizeof table / sizeof *table; m++)
		if (n >= m->at + m->n && memcmp(p + m->at, m->bytes, m->n) == 0)
			return m->what;
	if (is_stream(p, n))
		return (e3_what){E3_WHAT_STREAM, "a stream of e3"};
	if (n >= 4 && memcmp(p, "PK\3\4", 4) == 0)
		return zip(p, n);
	if (n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5)
		return (e3_what){E3_WHAT_MODEL, "a checkpoint (a pickle)"};
	if (is_safetensors(p, n))
		return (e3_what){E3_WHAT_MODEL, "a checkpoint (.safetensors)"};
	if (is_pnm(p, n))
		return (e3_what){E3_WHAT_PICTURE, "a picture (PNM)"};
	if (n >= 2 && p[0] == 'B' && p[1] == 'M' && !is_text(p, n))
		return (e3_what){E3_WHAT_PICTURE, "a picture (BMP)"};
	if (n > 188 && p[0] == 0x47 && p[188] == 0x47)
		return (e3_what){E3_WHAT_VIDEO, "a video (MPEG-TS)"};
	return is_text(p, n) ? (e3_what){E3_WHAT_TEXT, text_name(p, n)} : (e3_what){E3_WHAT_UNKNOWN, NULL};
}

e3_what e3_what_file(const char *path)
{
	uint8_t bytes[E3_WHAT_BYTES];
	struct stat st;
	bool std = strcmp(path, "-") == 0;
	bool file = (std ? fstat(STDIN_FILENO, &st) : stat(path, &st)) == 0 && S_ISREG(st.st_mode); /* no pipe is opened */
	int fd = std ? STDIN_FILENO : file ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	ssize_t n = -1;
	if (file && fd >= 0) {
		off_t at = std ? lseek(fd, 0, SEEK_CUR) : 0;
		n = at < 0 ? -1 : pread(fd, bytes, sizeof bytes, at);
	}
	if (fd >= 0 && !std)
		close(fd);
	return n < 0 ? (e3_what){E3_WHAT_UNKNOWN, NULL} : e3_what_bytes(bytes, (size_t)n);
}
