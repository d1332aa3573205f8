/* video: times that go on when the clock of the source starts again. */
#include "times.h"
#include <libavutil/avutil.h>

bool video_times_jump(const video_times *t, int64_t before, int64_t after)
{
	return after < before - t->slack || (t->longest > 0 && after - before > t->longest);
}

int64_t video_times_add(video_times *t, int64_t raw)
{
	if (!t->begun) {
		t->begun = true, t->offset = 0;
		return t->raw = t->at = raw;
	}
	if (raw == AV_NOPTS_VALUE) { /* the stamp after it is compared with the one before it */
		t->without++;
		return t->at += t->step;
	}
	int64_t before = t->at;
	if (video_times_jump(t, t->raw, raw)) {
		t->offset = t->at + t->step - raw;
		t->restarts++;
	} else if (raw > t->raw) {
		t->step = (raw - t->raw) / (t->without + 1);
		t->step += t->step == 0;
	}
	t->raw = raw, t->without = 0;
	t->at = raw + t->offset > before ? raw + t->offset : before + 1;
	return t->at;
}
