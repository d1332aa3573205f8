/* wire: an abort: the stage that failed first, and why. */
#include "out.h"
#include "unpack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a failure upstream reads: tool, exit code, text. e3_out_abort takes it apart again. */
#define FORM "%s failed (exit %d): %s"

static int encode(e3_pack *p, const e3_abort *x, e3_err *err)
{
	e3_pack_begin(p, E3_ABORT, 0);
	e3_pack_text(p, "tool", x->tool);
	e3_pack_int(p, "code", x->code);
	e3_pack_text(p, "text", x->text);
	return e3_pack_finish(p, err);
}

int e3_abort_decode(const e3_msg *msg, e3_abort *x, e3_err *err)
{
	e3_field table[] = {
		E3_NEED(TEXT, "tool", &x->tool),
		{E3_F_INT, "code", &x->code, .min = 0, .max = 255},
		E3_NEED(TEXT, "text", &x->text),
		{.type = E3_F_END},
	};
	e3_abort_release(x);
	if (e3_decode_body(msg, E3_ABORT, table, err) == 0)
		return 0;
	e3_abort_release(x);
	return e3_decode_failed(msg, err);
}

int e3_abort_fail(const e3_abort *x, e3_err *err) { return e3_fail(err, FORM, x->tool, x->code, x->text); }

/* An abort made of the text of another abort says the same as that one: the first failure is what is reported. The
 * pieces are cut out of `copy`. */
static e3_abort first_failure(const char *tool, int code, char *copy)
{
	e3_abort a = {.tool = (char *)(uintptr_t)tool, .code = code, .text = copy};
	char name[64];
	int status, used = 0;
	if (sscanf(copy, "%63[a-z0-9-] failed (exit %d): %n", name, &status, &used) == 2 && used > 0 && status >= 0 &&
		status <= 255) {
		copy[strlen(name)] = 0;
		a = (e3_abort){.tool = copy, .code = status, .text = copy + used};
	}
	return a;
}

void e3_out_abort(e3_out *out, const char *tool, int code, const char *text)
{
	if (!out)
		return;
	char *copy = strdup(text ? text : "");
	e3_err why = {""};
	bool packed = false;
	if (copy) {
		e3_abort a = first_failure(tool, code, copy);
		e3_abort_fail(&a, &why);
		packed = encode(e3_out_pack(out), &a, NULL) == 0;
	}
	e3_out_cut_short(out, packed, why.text);
	free(copy);
}
