/* e3: one command from a clip to something to look at: parse, look at the source, plan, run. */
#include "e3/tool.h"
#include "one.h"
#include <string.h>

static int run(const one_request *r)
{
	e3_err err = {""};
	one_source source;
	one_plan plan = {0};
	int status = 1;
	if (one_source_look(r, &source, &status, &err)) {
		/* What a stage said has its name in front. */
		if (e3_stop_signal())
			return 128 + e3_stop_signal();
		if (strncmp(err.text, "e3-", 3) == 0)
			one_say(err.text);
		else
			e3_warn("%s", err.text);
		return status;
	}
	int rc = one_plan_make(r, &source, &plan, &err);
	if (rc) {
		status = 2;
		e3_warn("%s", err.text);
	} else if (r->dry) {
		rc = one_plan_print(&plan, &err);
		status = e3_tool_exit(rc, &err);
	} else if ((status = one_plan_fetch(&plan)) == 0) {
		status = one_run(&plan, &source);
	}
	one_plan_release(&plan);
	return status;
}

int main(int argc, char **argv)
{
	static one_request r;
	e3_tool_init("e3");
	if (argc > 1 && strcmp(argv[1], "help") == 0)
		return one_help(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "doctor") == 0)
		return one_doctor(argc - 1, argv + 1);
	one_parse(argc, argv, &r);
	int status = run(&r);
	e3_tool_exit(0, NULL); /* nothing is left to say */
	for (int k = 0; k < ONE_STAGES; k++)
		one_words_release(&r.more[k]);
	return status;
}
