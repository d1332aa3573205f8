/* stage: a file that is given to the wrong program. Owns which pipeline is right for what it is. */
#include "e3/stage.h"
#include "e3/tool.h"
#include "e3/word.h"
#include "wrong.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char reading[] = "reading: ", no_stream[] = ": not an e3 stream: this is ";

static bool is(const char *name) { return strcmp(e3_tool_name(), name) == 0; }

/* For a shell; what came through a pipe has no name. */
static int quoted(const char *path, e3_buf *to, e3_err *err)
{
	bool piped = strcmp(path, "-") == 0 || strcmp(path, "standard input") == 0;
	return piped ? e3_buf_printf(to, err, "FILE") : e3_word_quote(to, path, err);
}

static bool takes_frames(void) { return is("e3-infer") || is("e3-mask") || is("e3-cat") || is("e3-dump"); }

/* What leads from the file to this program. */
static int advise(e3_buf *to, const char *what, const char *file, e3_err *err)
{
	const char *tool = e3_tool_name();
	bool frames = strncmp(what, "a video", 7) == 0 || strncmp(what, "a picture", 9) == 0;
	if (frames && takes_frames())
		return e3_buf_printf(to, err, "e3-decode %s | %s ...", file, tool);
	if (frames)
		return e3_buf_printf(to, err, "e3-decode %s | e3-infer | %s ...", file, tool);
	if (strncmp(what, "a checkpoint", 12) == 0)
		return e3_buf_printf(to, err,
			is("e3-infer") ? "e3-infer --model %s ... takes it"
						   : "e3-infer --model %s takes it, e3-model list shows it",
			file);
	if (strncmp(what, "a saved session", 15) == 0)
		return e3_buf_printf(to, err, "e3-infer --load-cache %s resumes it", file);
	if (strncmp(what, "a 3D scene", 10) == 0 || strncmp(what, "points", 6) == 0)
		return e3_buf_printf(to, err, "e3-export writes such files and reads none; open it with a viewer, as Blender");
	return e3_buf_printf(to, err, "expected what e3-decode, e3-infer or e3-cat have written");
}

/* "reading: FILE: not an e3 stream: this is WHAT" */
void stage_explain_foreign(e3_err *err)
{
	e3_buf file = {0}, advice = {0};
	char *mark = !err || strncmp(err->text, reading, strlen(reading)) ? NULL : strstr(err->text, no_stream);
	char *text = mark ? strdup(err->text) : NULL;
	if (!text)
		return;
	text[mark - err->text] = 0;
	const char *what = mark + strlen(no_stream), *path = text + strlen(reading);
	if (quoted(path, &file, NULL) == 0 && advise(&advice, what, file.data, NULL) == 0) {
		e3_err again;
		e3_fail(&again, "reading: %s: this is %s: %s", path, what, advice.data);
		*err = again;
	}
	e3_buf_release(&file), e3_buf_release(&advice);
	free(text);
}

/* The head of a stream in a file; false when it cannot be read: damage is for whoever reads it. */
static bool peek_head(const char *path, e3_head *head)
{
	e3_msg msg;
	e3_in *in = e3_in_open(path, NULL, NULL);
	bool is = in && e3_in_next(in, &msg, NULL) > 0 && msg.kind == E3_HEAD && e3_head_decode(&msg, head, NULL) == 0;
	e3_in_close(in);
	return is;
}

int e3_stage_explain_source(const char *path, e3_err *err)
{
	e3_what what = e3_what_file(path);
	e3_head head = {0};
	e3_buf file = {0}, advice = {0};
	bool named = strcmp(path, "-") != 0;
	if (what.kind != E3_WHAT_STREAM && what.kind != E3_WHAT_CACHE && what.kind != E3_WHAT_MODEL &&
		what.kind != E3_WHAT_CLOUD && what.kind != E3_WHAT_ARRAYS)
		return -1;
	int rc = quoted(path, &file, NULL);
	if (!rc && what.kind == E3_WHAT_STREAM && named && peek_head(path, &head) && head.model)
		rc = e3_buf_printf(&advice, NULL, "e3-export --glb out.glb %s writes files of it", file.data);
	else if (!rc && what.kind == E3_WHAT_STREAM)
		rc = e3_buf_printf(&advice, NULL, "e3-infer %s | e3-export ...", file.data);
	else if (!rc && what.kind == E3_WHAT_ARRAYS)
		rc = e3_buf_printf(&advice, NULL, "expected a video or pictures");
	else if (!rc)
		rc = advise(&advice, what.name, file.data, NULL);
	if (!rc)
		e3_fail(err, "reading: %s: this is %s: %s", named ? path : "standard input", what.name, advice.data);
	e3_head_release(&head);
	e3_buf_release(&file), e3_buf_release(&advice);
	return -1;
}

int stage_head_fits(e3_stage_need needs, const char *input, const e3_head *head, e3_err *err)
{
	bool named = strcmp(input, "-") && strncmp(input, "zmq:", 4), foreign = needs == E3_STAGE_ANY;
	e3_buf file = {0};
	if (foreign || (needs == E3_STAGE_PREDICTIONS) == (head->model != NULL))
		return 0;
	if (named && quoted(input, &file, err))
		return -1;
	const char *name = strcmp(input, "-") ? input : "standard input", *path = named ? file.data : "";
	if (needs == E3_STAGE_PREDICTIONS)
		e3_fail(err, "reading: %s: holds frames, not predictions: put e3-infer between: %s%s | %s ...", name,
			named ? "e3-infer " : "... | e3-infer", path, e3_tool_name());
	else
		e3_fail(err,
			"reading: %s: holds predictions already, not frames: e3-export --glb out.glb %s writes files of them", name,
			named ? path : "FILE");
	e3_buf_release(&file);
	return -1;
}

/* A folder: of results, of which one file is meant; or of pictures, which may be in folders of their own. */
static int refuse_folder(const char *path, e3_err *err)
{
	e3_buf to = {0}, run = {0}, file = {0};
	struct stat st;
	int rc = e3_buf_printf(&run, NULL, "%s/run.e3", path);
	bool results = !rc && stat(run.data, &st) == 0;
	if (!rc)
		rc = quoted(results ? run.data : path, &file, NULL);
	if (!rc && results)
		rc = e3_buf_printf(&to, NULL, "these are results of e3: the recording is %s", file.data);
	else if (!rc)
		rc = e3_buf_printf(&to, NULL, "if it holds pictures: e3-decode %s |%s %s ...", file.data,
			takes_frames() ? "" : " e3-infer |", e3_tool_name());
	if (!rc)
		e3_fail(err, "reading: %s: Is a directory: %s", path, to.data);
	e3_buf_release(&to), e3_buf_release(&run), e3_buf_release(&file);
	return -1;
}

int e3_stage_peek(const e3_stage *s, e3_err *err)
{
	struct stat st;
	if (strcmp(s->input, "-") != 0 && stat(s->input, &st) == 0 && S_ISDIR(st.st_mode))
		return refuse_folder(s->input, err);
	e3_what what = e3_what_file(s->input);
	bool named = strcmp(s->input, "-") != 0;
	if (what.kind != E3_WHAT_UNKNOWN && what.kind != E3_WHAT_EMPTY && what.kind != E3_WHAT_STREAM) {
		e3_fail(err, "reading: %s: not an e3 stream: this is %s", named ? s->input : "standard input", what.name);
		stage_explain_foreign(err);
		return -1;
	}
	if (what.kind != E3_WHAT_STREAM || !named)
		return 0;
	e3_head head = {0};
	int rc = peek_head(s->input, &head) ? stage_head_fits(s->needs, s->input, &head, err) : 0;
	e3_head_release(&head);
	return rc;
}
