/* base: what a run reads and writes: which claims clash, by every spelling of a name, and which do not. */
#include "check.h"
#include "e3/claim.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void put(const char *name)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	fclose(f);
}

/* in.e3 and links to it; pics with two pictures; links to pictures; links that lead nowhere. */
static int setup(void **state)
{
	snprintf(folder, sizeof folder, "/tmp/e3-base-claim-XXXXXX");
	if (!mkdtemp(folder) || chdir(folder))
		return -1;
	put("in.e3"), put("other.e3"), put("m.st"), put("m.st.tmp.12"), put("m.st.tmp.x");
	int rc = mkdir("a", 0777) || mkdir("a/b", 0777) || mkdir("pics", 0777) || mkdir("out", 0777) ||
		mkdir("tree", 0777) || mkdir("tree/deep", 0777) || mkfifo("fifo", 0666);
	put("pics/000000.png"), put("pics/000001.PNG"), put("pics/note.txt"), put("tree/deep/x.dpt"), put("far.png");
	return rc || symlink("in.e3", "soft.e3") || link("in.e3", "hard.e3") || symlink("../a", "a/self") ||
		symlink("../pics/000000.png", "out/000003.png") || link("far.png", "pics/hard.png") ||
		symlink("new.e3", "dangling") || symlink("dangling", "dangling2") || symlink("loop", "loop") ||
		symlink("pics", "pics-too");
}

static int teardown(void **state)
{
	char command[96];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return chdir("/") || system(command) ? -1 : 0;
}

#define IN(...) \
	{ \
		.use = E3_READS | E3_STREAM, .what = "the input", __VA_ARGS__ \
	}
#define BY(option, ...) \
	{ \
		.use = E3_WRITES, .by = (option), __VA_ARGS__ \
	}
#define OUT(...) BY("--output", __VA_ARGS__)
#define PNG .holds = "*.png|frames.tsv"

/* Two claims, in both orders: the text of the clash, or NULL. */
static const struct {
	e3_claim a, b;
	const char *text;
} cases[] = {
	/* one file, by every spelling */
	{IN(.path = "in.e3"), OUT(.path = "in.e3"), "--output: in.e3 is the input: give the output another name"},
	{IN(.path = "in.e3"), OUT(.path = "./in.e3"), "--output: ./in.e3 is the input (in.e3)"},
	{IN(.path = "in.e3"), OUT(.path = "a/../in.e3"), "--output: a/../in.e3 is the input (in.e3)"},
	{IN(.path = "in.e3"), OUT(.path = ".//in.e3"), "is the input (in.e3)"},
	{IN(.path = "soft.e3"), OUT(.path = "in.e3"), "--output: in.e3 is the input (soft.e3)"},
	{IN(.path = "in.e3"), OUT(.path = "soft.e3"), "is the input"},
	{IN(.path = "in.e3"), OUT(.path = "hard.e3"), "is the input"},
	{IN(.path = "in.e3"), OUT(.path = "other.e3"), NULL},
	{IN(.path = "in.e3"), IN(.path = "in.e3"), NULL},
	{IN(.path = "m.st", .by = "--model"), OUT(.path = "m.st"), "--output: m.st is the file of --model"},
	/* no files */
	{IN(.path = "fifo"), OUT(.path = "fifo"), NULL},
	{IN(.path = "/dev/null"), OUT(.path = "/dev/null"), NULL},
	{OUT(.path = "/dev/null"), OUT(.path = "/dev/null"), NULL},
	{IN(.path = "zmq:pull:ipc://x"), OUT(.path = "zmq:pull:ipc://x"), NULL},
	{IN(.path = "absent"), OUT(.path = "absent"), NULL}, /* whoever opens it says so */
	/* two outputs that do not exist yet */
	{OUT(.path = "new.e3"), BY("--tee", .path = "new.e3"), "have the same name, new.e3: give them different names"},
	{OUT(.path = "new.e3"), BY("--tee", .path = "./new.e3"), "are the same file: give them different names"},
	{OUT(.path = "fifo"), BY("--tee", .path = "./fifo"), "are the same pipe: give them different names"},
	{OUT(.path = "new.e3"), OUT(.path = "a/b/../../new.e3"), "are the same file"},
	{OUT(.path = "new.e3"), OUT(.path = "dangling"), "are the same file"},
	{OUT(.path = "new.e3"), OUT(.path = "dangling2"), "are the same file"},
	{OUT(.path = "dangling"), OUT(.path = "a/self/self/../dangling2"), "are the same file"},
	{OUT(.path = "a/new.e3"), OUT(.path = "a/self/new.e3"), "are the same file"},
	{OUT(.path = "a/new.e3"), OUT(.path = "a/b/new.e3"), NULL},
	{OUT(.path = "new.e3"), OUT(.path = "newer.e3"), NULL},
	{OUT(.path = "x/y/z/"), OUT(.path = "x/./y//w/../z"), "are the same file"},
	{OUT(.path = "x/y"), OUT(.path = "x/z"), NULL},
	{OUT(.path = "loop"), BY("--tee", .path = "loop"), NULL}, /* nothing can be opened there */
	{OUT(.path = "-"), BY("--tee", .path = "-"), ": only one output can be standard output"},
	/* folders */
	{IN(.path = "pics", PNG), OUT(.path = "pics-too", PNG), "--output: pics-too is the input (pics)"},
	{OUT(.path = "new", PNG), OUT(.path = "new/", PNG), "are the same"},
	{IN(.path = "pics/000000.png"), OUT(.path = "pics", PNG),
		"--output pics would replace files such as pics/000000.png, which is the input"},
	{IN(.path = "pics/000001.PNG"), OUT(.path = "pics-too/.", PNG), "would replace files such as pics/000001.PNG"},
	{IN(.path = "pics/note.txt"), OUT(.path = "pics", PNG), NULL},
	{IN(.path = "pics/000000.png"), OUT(.path = ".", PNG), NULL},
	{IN(.path = "pics/000000.png"), OUT(.path = "out", PNG), "--output: out/000003.png is the input (pics/000000.png)"},
	{IN(.path = "pics", PNG), OUT(.path = "out", PNG), "out/000003.png is one of the files in pics, the input"},
	{IN(.path = "out", PNG), OUT(.path = "pics", PNG),
		"--output pics would replace files such as out/000003.png, which is the input"},
	{IN(.path = "out", PNG), OUT(.path = "pics/000000.png"),
		"--output pics/000000.png is one of the files in out, the input"},
	{IN(.path = "out", PNG), OUT(.path = "pics/000001.PNG"), NULL},
	{IN(.path = "pics", PNG), OUT(.path = "pics/000000.png"), "--output pics/000000.png is one of the files in pics"},
	{IN(.path = "pics", PNG), OUT(.path = "pics-too/new.png"), "is one of the files in pics"},
	{IN(.path = "pics", PNG), OUT(.path = "far.png"), "--output far.png is one of the files in pics"},
	{IN(.path = "pics", PNG), OUT(.path = "pics/run.e3"), NULL},
	{IN(.path = "pics", PNG), OUT(.path = "pics/out", PNG), NULL},
	{OUT(.path = "new", PNG), BY("--table", .path = "new/frames.tsv"), "is a file that --output new writes"},
	{OUT(.path = "new", PNG), BY("--table", .path = "new/report.txt"), NULL},
	{IN(.path = "tree", .holds = "**/*.dpt"), OUT(.path = "tree/deep/x.dpt"), "is one of the files in tree"},
	{IN(.path = "tree", .holds = "**/*.dpt"), OUT(.path = "tree/deep/x.e3"), NULL},
	{OUT(.path = "a", .holds = "attn/*"), BY("--sheet", .path = "a/attn/x.png"), "is a file that --output a writes"},
	/* what writing a file removes; an output that replaces what it continues */
	{IN(.path = "m.st.tmp.12"), OUT(.path = "m.st"), "m.st: writing it removes m.st.tmp.12, which is the input"},
	{IN(.path = "m.st.tmp.12"), {.use = E3_WRITES | E3_STREAM, .path = "m.st"}, NULL},
	{IN(.path = "m.st.tmp.x"), OUT(.path = "m.st"), NULL},
	{IN(.path = "m.st", .by = "--load"), OUT(.path = "m.st", .back = "--load"), NULL},
	{IN(.path = "m.st", .by = "--model"), OUT(.path = "m.st", .back = "--load"), "is the file of --model"},
};

static void claims_clash_where_they_are_one_file(void **state)
{
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
		for (int swapped = 0; swapped < 2; swapped++) {
			const e3_claim *first = swapped ? &cases[k].b : &cases[k].a, *second = swapped ? &cases[k].a : &cases[k].b;
			e3_err err = {""};
			assert_int_equal(e3_claim_add(first, &err), 0);
			int rc = e3_claim_add(second, &err);
			if (rc != (cases[k].text ? -1 : 0) || (rc && !strstr(err.text, cases[k].text)))
				fail_msg("case %zu, '%s' and '%s': %d '%s', expected '%s'", k, first->path, second->path, rc, err.text,
					cases[k].text ? cases[k].text : "nothing");
			e3_claims_clear();
		}
}

/* Runs with standard input and output from and to files; 0 when there is no clash. */
static int with_standard(const char *input, const char *output, const e3_claim *c, size_t n, e3_err *err)
{
	int in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO), rc = 0;
	int from = open(input, O_RDONLY), to = open(output, O_WRONLY | O_APPEND);
	assert_true(from >= 0 && to >= 0);
	fflush(stdout);
	dup2(from, STDIN_FILENO), dup2(to, STDOUT_FILENO);
	for (size_t k = 0; !rc && k < n; k++)
		rc = e3_claim_add(&c[k], err);
	dup2(in, STDIN_FILENO), dup2(out, STDOUT_FILENO);
	close(in), close(out), close(from), close(to);
	e3_claims_clear();
	return rc;
}

static void standard_input_and_output_are_files_too(void **state)
{
	const e3_claim in = IN(.path = "-"), named = IN(.path = "soft.e3"), out = OUT(.path = "in.e3"),
				   png = OUT(.path = "pics", PNG), std = {.use = E3_WRITES, .path = "-"},
				   maybe = {.use = E3_WRITES | E3_MAYBE, .path = "-"};
	const struct {
		const char *input, *output;
		e3_claim c[2];
		const char *text;
	} runs[] = {
		{"in.e3", "/dev/null", {in, out}, "--output: in.e3 is standard input"},
		{"in.e3", "in.e3", {in, std}, "standard output is standard input"},
		{"in.e3", "in.e3", {in, maybe}, "standard output is standard input"},
		{"/dev/null", "in.e3", {named, maybe}, "standard output is the input (soft.e3)"},
		{"/dev/null", "in.e3", {out, maybe}, "--output in.e3 and standard output are the same file"},
		{"/dev/null", "in.e3", {std, maybe}, NULL},
		{"/dev/null", "/dev/null", {in, std}, NULL},
		{"other.e3", "in.e3", {in, std}, NULL},
		{"pics/000000.png", "/dev/null", {in, png}, "/pics/000000.png, which is standard input"},
		{"/dev/null", "pics/000000.png", {png, std}, "standard output is a file that --output pics writes"},
		{"/dev/null", "pics/000000.png", {png, maybe}, NULL},
	};
	for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
		e3_err err = {""};
		int rc = with_standard(runs[k].input, runs[k].output, runs[k].c, 2, &err);
		if (rc != (runs[k].text ? -1 : 0) || (rc && !strstr(err.text, runs[k].text)))
			fail_msg("run %zu: %d '%s', expected '%s'", k, rc, err.text, runs[k].text ? runs[k].text : "nothing");
	}
}

static void what_is_read_is_known(void **state)
{
	e3_err err = {""};
	const e3_claim in = IN(.path = "soft.e3"), out = OUT(.path = "other.e3"), fifo = IN(.path = "fifo");
	assert_int_equal(e3_claim_add(&in, &err) || e3_claim_add(&out, &err) || e3_claim_add(&fifo, &err), 0);
	assert_true(e3_claim_reads("in.e3") && e3_claim_reads("./hard.e3"));
	assert_false(e3_claim_reads("other.e3") || e3_claim_reads("fifo") || e3_claim_reads("absent"));
	e3_claims_clear();
	assert_false(e3_claim_reads("in.e3"));
}

static void links_in_an_output_folder_are_no_clash_among_themselves(void **state)
{
	e3_err err = {""};
	const e3_claim c = OUT(.path = "links", PNG);
	assert_int_equal(mkdir("links", 0777), 0);
	assert_int_equal(symlink("000001.png", "links/000000.png"), 0);
	assert_int_equal(symlink("000002.png", "links/000001.png"), 0);
	assert_int_equal(e3_claim_add(&c, &err), 0);
	e3_claims_clear();
}

/* As of a shell's variable that is not set. */
static void a_name_is_not_empty(void **state)
{
	e3_err err = {""};
	const e3_claim out = OUT(.path = ""), in = IN(.path = "");
	assert_int_equal(e3_claim_add(&out, &err), -1);
	assert_string_equal(err.text, "--output: the name is empty");
	assert_int_equal(e3_claim_add(&in, &err), -1);
	assert_string_equal(err.text, "the input: the name is empty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claims_clash_where_they_are_one_file),
		cmocka_unit_test(standard_input_and_output_are_files_too),
		cmocka_unit_test(what_is_read_is_known),
		cmocka_unit_test(a_name_is_not_empty),
		cmocka_unit_test(links_in_an_output_folder_are_no_clash_among_themselves),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
