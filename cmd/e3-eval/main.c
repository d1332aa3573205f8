/* e3-eval: main: reads every input, then writes all that was asked for; nothing is written before the end. */
#include "e3/io.h"
#include "e3/stage.h"
#include "e3/tool.h"
#include "options.h"
#include <inttypes.h>

static void progress(const char *name, int64_t frames)
{
	if (e3_progress_due())
		e3_progress("%s: frame %" PRId64, name, frames);
}

static void scoring(const char *name, const char *what, int percent)
{
	if (e3_progress_due())
		e3_progress("%s: %s: %d %%", name, what, percent);
}

static int write_report(const eval_cli *c, const e3_eval_report *r, e3_err *err)
{
	e3_buf text = {0};
	e3_file file;
	int rc = c->json ? e3_eval_json(r, &text, err) : e3_eval_text(r, &text, err);
	if (!rc && !(rc = e3_file_open(&file, c->output ? c->output : "-", err))) {
		rc = e3_file_write(&file, text.data, text.len, err);
		if (rc)
			e3_file_discard(&file);
		else
			rc = e3_file_commit(&file, err);
	}
	e3_buf_release(&text);
	return rc;
}

int main(int argc, char **argv)
{
	e3_err err;
	e3_tool_init("e3-eval");
	eval_cli *c = eval_cli_parse(argc, argv);
	c->o.stop = c->o.stream.stop = e3_stop_signal, c->o.progress = progress, c->o.scoring = scoring;
	e3_eval *e = e3_eval_run(&c->o, c->input, c->inputs, &err);
	int rc = e ? 0 : -1;
	e3_progress_end();
	if (!rc && c->o.results)
		rc = e3_eval_results(&e->inputs, c->o.results, &err);
	if (!rc && c->o.charts)
		rc = e3_eval_charts(&e->inputs, c->o.charts, &err);
	if (!rc)
		rc = write_report(c, &e->report, &err);
	e3_eval_free(e);
	if (rc)
		e3_stage_explain(&err);
	return e3_tool_exit(rc, &err);
}
