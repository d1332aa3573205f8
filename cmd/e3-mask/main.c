/* e3-mask: frames in, frames and masks out: parse, open, loop, close. Of a stream of predictions it masks the pictures
 * that these carry. Everything is passed on first, and the masks of a frame follow it. */
#include "mask.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct masker {
	mask_request r;
	e3_segmenter *seg; /* one of these */
	e3_mask_folder *folder;
	e3_mask mask[E3_SEG_CLASSES];
	e3_frame frame;
	e3_pred pred;
	int64_t frames, marked; /* seen; of which a class was in the picture */
	double seconds;         /* in the model */
} masker;

/* A picture of the source, upright, edge to edge; or one of the frame itself, as the frame came. */
static int mask_from_folder(masker *m, const e3_source *s, const e3_image *picture, const char *name, e3_err *err)
{
	e3_image im = {0};
	e3_mask *to = &m->mask[0];
	if (e3_mask_folder_load(m->folder, s, m->frames, name, &im, err))
		return -1;
	size_t n = (size_t)im.w * (size_t)im.h;
	for (size_t k = 0; k < n; k++) {
		bool black = !(im.px[3 * k] | im.px[3 * k + 1] | im.px[3 * k + 2]);
		im.px[k] = black == m->r.invert ? 255 : 0;
	}
	free(to->px);
	*to = (e3_mask){.class = to->class, .w = im.w, .h = im.h, .px = im.px};
	to->has_fit = im.w != picture->w || im.h != picture->h;
	to->fit = (e3_fit){(double)im.w / s->src_w, (double)im.h / s->src_h, 0, 0};
	if (to->class || (to->class = strdup(m->r.class)))
		return 0;
	return e3_fail(err, "masking frame %" PRId64 ": out of memory", s->i);
}

static bool any(const e3_mask *mask) { return memchr(mask->px, 255, (size_t)mask->w * (size_t)mask->h) != NULL; }

static int add_masks(masker *m, const e3_source *s, const e3_image *picture, const char *name, e3_err *err)
{
	int n = m->seg ? m->r.seg.n_classes : 1, found = 0;
	double start = e3_now();
	if (m->seg ? e3_segmenter_run(m->seg, picture, m->mask, err) : mask_from_folder(m, s, picture, name, err))
		return e3_fail_in(err, "masking frame %" PRId64, s->i);
	m->seconds += e3_now() - start;
	for (int k = 0; k < n; k++) {
		m->mask[k].i = s->i;
		found |= any(&m->mask[k]);
		if (e3_out_mask(m->r.stage.out, &m->mask[k], err))
			return -1;
	}
	m->frames++, m->marked += found;
	e3_stage_progress(&m->r.stage, m->frames, m->r.stage.head.frames, "%s", "");
	return 0;
}

static int take(masker *m, const e3_msg *msg, e3_err *err)
{
	bool preds = m->r.stage.head.model != NULL;
	if (e3_stage_pass(&m->r.stage, msg, err))
		return -1;
	if (msg->kind == E3_FRAME && !preds) {
		if (e3_frame_decode(msg, &m->frame, err))
			return -1;
		const e3_image picture = {.w = m->frame.w, .h = m->frame.h, .channels = 3, .px = m->frame.rgb};
		return add_masks(m, &m->frame.s, &picture, m->frame.name, err);
	}
	if (msg->kind == E3_PRED && preds) {
		if (e3_pred_decode(msg, &m->pred, err))
			return -1;
		const e3_image picture = {.w = m->pred.w, .h = m->pred.h, .channels = 3, .px = m->pred.rgb};
		return add_masks(m, &m->pred.s, &picture, m->pred.name, err);
	}
	return 0;
}

/* --- OpenCV --- */

static char crash[700];

static void on_crash(int sig)
{
	(void)sig;
	(void)!write(STDERR_FILENO, crash, strlen(crash));
	e3_file_leave_unfinished();
	_exit(1);
}

/* OpenCV throws what it finds wrong in a model; what it does not look for ends the process: layers that are not
 * connected, numbers that do not fit. Who gave the model is told so. Endless recursion needs a stack of its own. */
static void tell_crashes(const char *model)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	static char stack[1 << 16];
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction crashed = {.sa_handler = on_crash, .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND)};
	snprintf(crash, sizeof crash - 1, "%s%s: running the model: %.500s: OpenCV crashed: is the model damaged?",
		getenv("E3_LEVELS") ? "<4>" : "", e3_tool_name(), model);
	e3_text_clean(crash);
	crash[strlen(crash)] = '\n';
	sigaltstack(&own, NULL);
	for (size_t k = 0; k < sizeof signals / sizeof *signals; k++)
		sigaction(signals[k], &crashed, NULL);
}

static int open_all(masker *m, e3_err *err)
{
	if (e3_stage_open_output(&m->r.stage, err) || mask_check_model(&m->r, err))
		return -1;
	if (!m->r.dir)
		tell_crashes(m->r.seg.model);
	if (m->r.dir ? !(m->folder = e3_mask_folder_open(m->r.dir, err)) : !(m->seg = e3_segmenter_open(&m->r.seg, err)))
		return -1;
	if (m->seg)
		e3_detail("%s: %s", m->r.seg.model, e3_segmenter_text(m->seg));
	return e3_stage_open_input(&m->r.stage, err);
}

static int loop(masker *m, e3_err *err)
{
	e3_msg msg;
	int more;
	while ((more = e3_stage_next(&m->r.stage, &msg, err)) > 0)
		if (take(m, &msg, err))
			return -1;
	return more;
}

static void tell(const masker *m)
{
	if (m->frames && !m->marked)
		e3_note("no pixel of %" PRId64 " frame%s is of %s", m->frames, m->frames == 1 ? "" : "s",
			m->seg && m->r.seg.n_classes > 1 ? "these classes" : "this class");
	if (m->seg && m->frames)
		e3_detail("%" PRId64 " frames, %.1f ms each in the model", m->frames, 1e3 * m->seconds / (double)m->frames);
}

int main(int argc, char **argv)
{
	static masker m = {.r.stage = E3_STAGE_INIT};
	e3_err err = {""};
	e3_tool_init("e3-mask");
	mask_parse(argc, argv, &m.r);
	int rc = open_all(&m, &err) || loop(&m, &err) ? -1 : 0;
	if (rc)
		mask_explain(&err);
	rc = e3_stage_finish(&m.r.stage, rc, &err);
	if (!rc)
		tell(&m);
	e3_stage_close(&m.r.stage);
	e3_segmenter_close(m.seg);
	e3_mask_folder_close(m.folder);
	for (int k = 0; k < E3_SEG_CLASSES; k++)
		e3_mask_release(&m.mask[k]);
	e3_frame_release(&m.frame);
	e3_pred_release(&m.pred);
	free(m.r.found);
	return e3_tool_exit(rc, &err);
}
