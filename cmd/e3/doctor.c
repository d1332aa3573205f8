/* e3: `e3 doctor`: what is there, what is missing, and what to do about it. */
#include "e3/io.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include "one.h"
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ANSWER = 1 << 14 };

typedef enum state { GOOD, HINT, BAD } state;

static bool bad;

static void say(state s, const char *what, const char *fmt, ...) E3_PRINTF(3, 4);
static void say(state s, const char *what, const char *fmt, ...)
{
	static const char *const words[] = {"ok", "--", "BAD"};
	char text[2048];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	e3_text_clean(text);
	if (e3_stop_signal()) /* what it has asked may have been stopped too */
		return;
	bad = bad || s == BAD;
	printf("%-4s %-10s %s\n", words[s], what, text);
}

/* Under what was said: what to do. */
static void advise(const char *text)
{
	if (!e3_stop_signal())
		printf("%16s%s\n", "", text);
}

/* Runs e3-infer, or another program, with words; what it says is in `to`. */
static int ask(char *to, const char *name, char *const words[])
{
	enum { MOST = 16 };
	e3_err err;
	char *argv[MOST] = {one_tool_path(name, &err)};
	int n = 1, rc = -1;
	snprintf(to, ANSWER, "%s", argv[0] ? "" : err.text);
	for (int k = 0; words[k] && n < MOST - 1; k++)
		argv[n++] = words[k];
	if (argv[0] && !e3_stop_signal())
		rc = one_tool_ask(argv, true, to, ANSWER, &err);
	free(argv[0]);
	return rc;
}

static void check_tools(void)
{
	static const char *const names[] = {"e3-decode", "e3-infer", "e3-align", "e3-cat", "e3-evict-stats", "e3-view",
		"e3-export"};
	char version[] = "--version", answer[ANSWER], mine[64];
	int good = 0;
	snprintf(mine, sizeof mine, " %s\n", E3_VERSION);
	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		int rc = ask(answer, names[k], (char *[]){version, NULL});
		answer[strcspn(answer, "\n") + (rc == 0)] = 0;
		if (rc == 0 && strstr(answer, mine)) {
			good++;
			continue;
		}
		answer[strcspn(answer, "\n")] = 0;
		say(BAD, "tools", "%s: %s", names[k], answer[0] ? answer : "does not run");
		advise(rc == 0 ? "It is of another version than e3: install all of one version."
					   : "Install e3 whole, and the libraries that it needs (README.md; make deps).");
	}
	if (good == sizeof names / sizeof *names)
		say(GOOD, "tools", "e3 %s and its stages", E3_VERSION);
}

static bool read_line(const char *path, const char *with, char *to, size_t size)
{
	FILE *f = fopen(path, "r");
	bool found = false;
	while (f && !found && fgets(to, (int)size, f))
		found = strncmp(to, with, strlen(with)) == 0;
	to[found ? strcspn(to, "\n") : 0] = 0;
	if (f)
		fclose(f);
	return found;
}

/* The driver by what the kernel says of it; the plug-in by opening the device. */
static void check_gpu(void)
{
	char driver[256], answer[ANSWER], *why = answer;
	char *const words[] = {(char *)(uintptr_t) "--device", (char *)(uintptr_t) "cuda", (char *)(uintptr_t) "--plan",
		(char *)(uintptr_t) "--model", (char *)(uintptr_t) "seed:tiny:1", (char *)(uintptr_t) "--budget",
		(char *)(uintptr_t) "2f", (char *)(uintptr_t) "--size", (char *)(uintptr_t) "70x56", NULL};
	bool has_driver = read_line("/proc/driver/nvidia/version", "NVRM", driver, sizeof driver),
		 has_device = access("/dev/nvidia0", F_OK) == 0;
	if (ask(answer, "e3-infer", words) == 0) {
		char *name = strstr(answer, "device "), *end = name ? strchr(name, '\n') : NULL;
		char *from = name ? strstr(name, "MiB") : NULL;
		if (end)
			*end = 0;
		say(GOOD, "GPU", "%s%s%s", from ? from + strlen("MiB") + 2 : "is used", has_driver ? "; " : "", driver);
		return;
	}
	answer[strcspn(answer, "\n")] = 0;
	if (strncmp(answer, "e3-infer: opening the device: ", 30) == 0)
		why += 30;
	if (!has_driver && !has_device) {
		say(HINT, "GPU", "none (no NVIDIA driver): e3 computes on the CPU");
		advise(
			"The demo model runs at some frames a second there; the released one takes seconds to half a minute a frame.");
		return;
	}
	say(HINT, "GPU", "is there, but is not used: %s", why);
	advise(strstr(answer, "not installed")
			? "Build the plug-in: make cuda && make install (needs the CUDA toolkit)."
			: "Does nvidia-smi work? The plug-in needs compute capability 8.0 and a driver "
			  "as new as its CUDA.");
	if (has_driver)
		advise(driver);
}

/* Which one e3-infer takes, by its plan: "model  NAME, licence, ...". */
static void check_model(double *need)
{
	char answer[ANSWER];
	char *const words[] = {(char *)(uintptr_t) "--device", (char *)(uintptr_t) "cpu", (char *)(uintptr_t) "--plan",
		(char *)(uintptr_t) "--budget", (char *)(uintptr_t) "10f", NULL};
	int rc = ask(answer, "e3-infer", words);
	char *model = strstr(answer, "model  "), *total = strstr(answer, "\ntotal ");
	if (rc || !model) {
		char *last = strrchr(answer, '\n');
		if (last && !last[1])
			*last = 0, last = strrchr(answer, '\n');
		say(BAD, "model", "%s", last ? last + 1 : answer);
		advise("Give one with --model or E3_MODEL, or put it into ~/.cache/e3.");
		return;
	}
	if (total)
		*need = strtod(total + strlen("\ntotal "), NULL);
	model += strlen("model"), model += strspn(model, " ");
	model[strcspn(model, "\n")] = 0;
	bool demo = strncmp(model, "e3-demo", 7) == 0;
	say(demo ? HINT : GOOD, "model", "%s", model);
	if (demo)
		advise(
			"It knows rendered rooms only. For photographs: e3-model fetch streamvggt (non-commercial) or lingbot-map "
			"(licence not settled), or --model FILE.");
}

/* Masks need a plug-in and a model; both are there when they are wanted, or not. */
static void check_masks(void)
{
	static const char *const places[] = {"/../lib/e3/libe3-onnx.so", "/libe3-onnx.so"};
	char self[PATH_MAX], path[PATH_MAX + 64];
	char *model = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	bool plugin = false;
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	for (size_t k = 0; slash && !plugin && k < sizeof places / sizeof *places; k++) {
		snprintf(path, sizeof path, "%.*s%s", (int)(slash - self), self, places[k]);
		plugin = access(path, R_OK) == 0;
	}
	bool sky = e3_cache_path("skyseg.onnx", &model, NULL) == 0 && access(model, R_OK) == 0;
	free(model);
	/* Both are tried: a plug-in may be of another version, a model cut off. */
	char answer[ANSWER] = "";
	char *const words[] = {(char *)(uintptr_t) "--sky", (char *)(uintptr_t) "/dev/null", (char *)(uintptr_t) "-o",
		(char *)(uintptr_t) "/dev/null", NULL};
	if (plugin && sky && ask(answer, "e3-mask", words) && !strstr(answer, "reading: /dev/null")) {
		answer[strcspn(answer, "\n")] = 0;
		say(HINT, "masks", "%s", answer);
		advise("Install e3 whole, of one version; e3-model fetch --force skyseg gets the model again.");
		return;
	}
	say(plugin && sky ? GOOD : HINT, "masks", "%s, %s",
		plugin ? "the plug-in for ONNX models is there" : "no plug-in for ONNX models",
		sky ? "and the model for sky" : "no model for sky yet");
	if (!plugin)
		advise("e3-mask --from works without it; make builds it where OpenCV's dnn module is installed.");
	else if (!sky)
		advise("e3-model fetch skyseg gets it; e3 --mask sky does so by itself.");
}

static void check_memory(double need)
{
	char line[256];
	double free_mib = read_line("/proc/meminfo", "MemAvailable:", line, sizeof line)
		? strtod(line + strlen("MemAvailable:"), NULL) / 1024
		: 0;
	if (free_mib <= 0)
		return;
	if (need <= 0) {
		say(GOOD, "memory", "%.1f GiB are free", free_mib / 1024);
	} else if (need > free_mib) {
		say(BAD, "memory", "%.1f GiB are free; the model needs %.1f with 10 frames of cache on the CPU",
			free_mib / 1024, need / 1024);
		advise("Close other programs, use a GPU, or a smaller --budget.");
	} else {
		say(GOOD, "memory", "%.1f GiB are free; the model needs %.1f with 10 frames of cache on the CPU",
			free_mib / 1024, need / 1024);
	}
}

static void check_disk(const char *what, const char *path)
{
	const double few = 1.0;
	struct statvfs st;
	if (statvfs(path, &st)) {
		say(BAD, what, "%s: cannot be used", path);
		return;
	}
	double gib = (double)st.f_bavail * (double)st.f_frsize / (1024.0 * 1024 * 1024);
	bool writable = access(path, W_OK) == 0;
	say(!writable || gib < few ? BAD : GOOD, what, "%s: %.1f GiB are free%s", path, gib,
		writable ? "" : ", but it may not be written");
	if (!writable)
		advise("Work in another folder, or give one with -o (temporary files: TMPDIR).");
	else if (gib < few)
		advise("A recording of 100 frames takes some 200 MB; temporary files as much: make room, or set TMPDIR.");
}

/* "\tlibpng16.so.16 => /lib/x86_64-linux-gnu/libpng16.so.16 (0x...)": the version is in the name of the file that the
 * link leads to. */
static void take_library(char *line, char *to, size_t size)
{
	static const char *const plain[] = {"libc.", "libm.", "libdl.", "libpthread.", "libgcc_s", "ld-linux", "linux-vdso",
		"librt.", "libasan", "libubsan", "libstdc++"};
	char *name = line + strspn(line, " \t"), *arrow = strstr(name, " => "), real[PATH_MAX];
	for (size_t k = 0; k < sizeof plain / sizeof *plain; k++)
		if (strncmp(name, plain[k], strlen(plain[k])) == 0)
			return;
	if (!arrow)
		return;
	char *path = arrow + strlen(" => ");
	if (strncmp(path, "not found", 9) == 0) {
		*arrow = 0;
		say(BAD, "libraries", "%s: is not installed", name);
		return;
	}
	path[strcspn(path, " ")] = 0;
	const char *file = realpath(path, real) ? strrchr(real, '/') + 1 : name;
	size_t used = strlen(to);
	snprintf(to + used, size - used, "%s%s", used ? ", " : "", file);
}

/* As ldd does it: the loader lists what it would load. Only of those libraries that the program names itself. */
static void check_libraries(void)
{
	static const char *const wanted[] = {"libav", "libsw", "libopenblas", "libblas", "libzmq", "libmsgpack", "libpng",
		"libturbojpeg", "libheif", "libcholmod", "libtiff.", "libwebp."};
	static const char *const names[] = {"e3-decode", "e3-infer", "e3-align"};
	char answer[1 << 16], none[] = "--version", list[2048] = "";
	setenv("LD_TRACE_LOADED_OBJECTS", "1", 1);
	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		e3_err err;
		char *path = one_tool_path(names[k], &err);
		char *argv[] = {path, none, NULL};
		if (path && !e3_stop_signal() && one_tool_ask(argv, true, answer, sizeof answer, &err) == 0)
			for (char *save, *line = strtok_r(answer, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
				const char *name = line + strspn(line, " \t");
				bool want = strstr(line, "not found");
				for (size_t j = 0; !want && j < sizeof wanted / sizeof *wanted; j++)
					want = strncmp(name, wanted[j], strlen(wanted[j])) == 0;
				char so[128];
				snprintf(so, sizeof so, "%.*s", (int)strcspn(name, "."), name);
				if (want && !strstr(list, so))
					take_library(line, list, sizeof list);
			}
		free(path);
	}
	unsetenv("LD_TRACE_LOADED_OBJECTS");
	if (list[0])
		say(GOOD, "libraries", "%s", list);
}

int one_doctor(int argc, char **argv)
{
	const e3_opt table[] = {E3_OPT_END};
	const e3_opts opts = {.tool = "e3",
		.usage = "doctor",
		.summary = "Says what is there and what is missing.",
		.table = table};
	double need = 0;
	const char *tmp = getenv("TMPDIR");
	if (e3_opts_parse(&opts, argc, argv) < argc)
		e3_usage_error("doctor: takes no operands");
	check_tools();
	check_gpu();
	check_model(&need);
	check_masks();
	check_memory(need);
	check_disk("disk", ".");
	check_disk("temporary", tmp && *tmp ? tmp : "/tmp");
	check_libraries();
	e3_err err = {""};
	if (fflush(stdout) || ferror(stdout))
		return e3_tool_exit(e3_fail_sys(&err, "writing: standard output"), &err);
	int status = e3_tool_exit(0, &err);
	return status ? status : bad;
}
