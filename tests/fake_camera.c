/* fake_camera: a V4L2 camera where there is none: preloaded into e3-decode, it answers for the device named in
 * FAKE_CAMERA.
 *
 * It gives YUYV pictures of the size asked for, FAKE_RATE a second (25), all of whose pixels are 16 + 2k for picture k
 * since it was plugged in (modulo 200), dated 30 ms before they are due, however late they are handed out. The file of
 * that name is the plug: without it there is no device, and a device in use is gone. With a line "hang" in it the
 * driver stops giving pictures, with "busy" somebody else has it. Only what FFmpeg asks a driver is here; anything else
 * is refused as a driver would.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 4, WIDEST = 1920, HIGHEST = 1080, PAGE = 4096 };

static struct {
	int fd, w, h;
	unsigned picture, queued[BUFFERS], n_queued;
	int memory; /* what the buffers are mapped from */
	double begun;
	unsigned rate;
} cam = {.fd = -1, .w = 64, .h = 48};

static const char *plug(void) { return getenv("FAKE_CAMERA"); }

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int plugged(char line[16])
{
	FILE *f = fopen(plug(), "r");
	line[0] = 0;
	if (!f)
		return 0;
	if (!fgets(line, 16, f))
		line[0] = 0;
	fclose(f);
	return 1;
}

static int fail(int code)
{
	errno = code;
	return -1;
}

static unsigned buffer_size(void) { return ((unsigned)(cam.w * cam.h * 2) + PAGE - 1) / PAGE * PAGE; }

static int open_camera(int flags)
{
	char line[16];
	if (!plugged(line))
		return fail(ENOENT);
	const char *rate = getenv("FAKE_RATE");
	cam.rate = rate ? (unsigned)atoi(rate) : 25;
	cam.picture = 0, cam.n_queued = 0;
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	return cam.fd = real("/dev/null", flags);
}

int open64(const char *path, int flags, ...);
int open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, int) : 0;
	va_end(args);
	if (plug() && strcmp(path, "/dev/video42") == 0)
		return open_camera(flags);
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	return real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, int) : 0;
	va_end(args);
	return open(path, flags, mode);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, __off64_t offset)
{
	void *(*real)(void *, size_t, int, int, int, __off64_t) =
		(void *(*)(void *, size_t, int, int, int, __off64_t))dlsym(RTLD_NEXT, "mmap");
	return real(at, n, protection, flags, fd >= 0 && fd == cam.fd ? cam.memory : fd, offset);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, __off_t offset)
{
	return mmap64(at, n, protection, flags, fd, offset);
}

static int give_buffer(struct v4l2_buffer *b)
{
	char line[16];
	double due = cam.begun + (double)cam.picture / cam.rate, wait;
	for (;;) {
		if (!plugged(line))
			return fail(ENODEV);
		if (strncmp(line, "hang", 4) != 0 && now() >= due && cam.n_queued > 0)
			break;
		wait = due - now();
		usleep(wait > 0.01 || wait < 0 ? 10000 : (unsigned)(1e6 * wait));
	}
	unsigned k = cam.queued[0];
	memmove(cam.queued, cam.queued + 1, --cam.n_queued * sizeof *cam.queued);
	size_t n = (size_t)cam.w * (size_t)cam.h * 2;
	unsigned char *px = malloc(n);
	for (size_t p = 0; px && p < n; p++)
		px[p] = p % 2 ? 128 : (unsigned char)(16 + cam.picture * 2 % 200);
	if (!px || pwrite(cam.memory, px, n, (off_t)(k * buffer_size())) != (ssize_t)n)
		return fail(EIO);
	free(px);
	double taken = due - 0.03;
	b->index = k, b->bytesused = (unsigned)n, b->length = buffer_size(), b->sequence = cam.picture++;
	b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_MAPPED;
	b->timestamp.tv_sec = (time_t)taken, b->timestamp.tv_usec = (suseconds_t)(1e6 * (taken - (double)(time_t)taken));
	return 0;
}

static int set_format(struct v4l2_format *f, int set)
{
	struct v4l2_pix_format *p = &f->fmt.pix;
	if (set && p->width > 0 && p->height > 0)
		cam.w = p->width < WIDEST ? (int)p->width : WIDEST, cam.h = p->height < HIGHEST ? (int)p->height : HIGHEST;
	p->width = (unsigned)cam.w, p->height = (unsigned)cam.h, p->pixelformat = V4L2_PIX_FMT_YUYV,
	p->field = V4L2_FIELD_NONE;
	p->bytesperline = 2 * p->width, p->sizeimage = p->bytesperline * p->height;
	return 0;
}

static int set_rate(struct v4l2_streamparm *p, int set)
{
	struct v4l2_captureparm *c = &p->parm.capture;
	if (set && c->timeperframe.numerator)
		cam.rate = c->timeperframe.denominator / c->timeperframe.numerator;
	c->capability = V4L2_CAP_TIMEPERFRAME;
	c->timeperframe = (struct v4l2_fract){1, cam.rate};
	return 0;
}

static int answer(unsigned long request, void *arg)
{
	char line[16];
	if (!plugged(line))
		return fail(ENODEV);
	if (request == VIDIOC_QUERYCAP) {
		struct v4l2_capability *c = arg;
		memset(c, 0, sizeof *c);
		strcpy((char *)c->driver, "fake"), strcpy((char *)c->card, "Fake camera");
		c->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
	} else if (request == VIDIOC_ENUMINPUT) {
		struct v4l2_input *i = arg;
		if (i->index > 0)
			return fail(EINVAL);
		strcpy((char *)i->name, "lens"), i->type = V4L2_INPUT_TYPE_CAMERA, i->std = 0;
	} else if (request == VIDIOC_G_INPUT) {
		*(int *)arg = 0;
	} else if (request == VIDIOC_G_FMT || request == VIDIOC_S_FMT) {
		return set_format(arg, request == VIDIOC_S_FMT);
	} else if (request == VIDIOC_G_PARM || request == VIDIOC_S_PARM) {
		return set_rate(arg, request == VIDIOC_S_PARM);
	} else if (request == VIDIOC_REQBUFS) {
		struct v4l2_requestbuffers *r = arg;
		r->count = BUFFERS;
		cam.memory = memfd_create("fake camera", MFD_CLOEXEC);
		return cam.memory < 0 ? -1 : ftruncate(cam.memory, BUFFERS * (off_t)buffer_size());
	} else if (request == VIDIOC_QUERYBUF) {
		struct v4l2_buffer *b = arg;
		b->length = buffer_size(), b->m.offset = b->index * buffer_size();
	} else if (request == VIDIOC_QBUF) {
		cam.queued[cam.n_queued++] = ((struct v4l2_buffer *)arg)->index;
	} else if (request == VIDIOC_STREAMON) {
		if (strncmp(line, "busy", 4) == 0)
			return fail(EBUSY);
		cam.begun = now();
	} else if (request == VIDIOC_DQBUF) {
		return give_buffer(arg);
	} else if (request != VIDIOC_STREAMOFF) {
		return fail(ENOTTY);
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	if (fd >= 0 && fd == cam.fd)
		return answer((unsigned)request, arg); /* FFmpeg's callers extend the sign */
	int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	return real(fd, request, arg);
}

int close(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
	if (fd >= 0 && fd == cam.fd) {
		real(cam.memory);
		cam.fd = cam.memory = -1;
	}
	return real(fd);
}
