/* e3-model: lists, checks, converts, makes and fetches checkpoints: parse, open, do, close. */
#include "model.h"
#include "e3/io.h"
#include "e3/tool.h"
#include <string.h>
#include <unistd.h>

static int run(const em_options *o, e3_err *err)
{
	if (!o->command->run)
		return em_fetch(o, err);
	if (o->command->writes && strcmp(o->output, "-") == 0 && e3_refuse_terminal(STDOUT_FILENO, err))
		return -1;
	e3_ckpt *ckpt = e3_ckpt_open(o->input, err);
	if (!ckpt)
		return -1;
	int rc = o->command->run(ckpt, o, err);
	e3_ckpt_close(ckpt);
	return rc;
}

int main(int argc, char **argv)
{
	static em_options o;
	e3_err err = {""};
	e3_tool_init("e3-model");
	int rc = em_parse(argc, argv, &o, &err) || run(&o, &err) ? -1 : 0;
	return e3_tool_exit(rc, &err);
}
