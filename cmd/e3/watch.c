/* e3: what the stages say. Owns which of it is shown: the reason of a failure first and alone, warnings of a run that
 * goes well, everything with --verbose. */
#include "watch.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARNING = 4, DETAIL = 7, MOST_LINES = 1000 };

void one_say(const char *text)
{
	char line[2400];
	int n = snprintf(line, sizeof line - 1, "%.2300s", text);
	e3_text_clean(line);
	e3_progress_end();
	line[n++] = '\n';
	(void)e3_write_full(STDERR_FILENO, line, (size_t)n);
}

/* Where the page is: of use at once. */
static bool is_address(const char *text) { return strncmp(text, "e3-view: the page: ", 19) == 0; }

static void take_line(one_process *p, const char *text)
{
	int level = text[0] == '<' && text[1] >= '0' && text[1] <= '9' && text[2] == '>' ? text[1] - '0' : 0;
	if (level)
		text += 3;
	bool now = !e3_quiet && (e3_verbose || is_address(text));
	if (now)
		one_say(text);
	if (p->n >= MOST_LINES || e3_grow((void **)&p->line, p->n + 1, sizeof *p->line, "messages", NULL))
		return;
	char *copy = strdup(text);
	if (copy)
		p->line[p->n++] = (one_line){copy, level, e3_now(), now};
}

static void read_lines(one_process *p)
{
	char bytes[4096];
	ssize_t r;
	while ((r = read(p->said, bytes, sizeof bytes)) > 0)
		if (e3_buf_add(&p->rest, bytes, (size_t)r, NULL))
			break;
	bool ended = r == 0;
	if (ended && p->rest.len)
		(void)e3_buf_add(&p->rest, "\n", 1, NULL);
	char *from = p->rest.data, *end;
	while (p->rest.len && (end = memchr(from, '\n', p->rest.len - (size_t)(from - p->rest.data)))) {
		*end = 0;
		if (*from)
			take_line(p, from);
		from = end + 1;
	}
	if (p->rest.len) {
		p->rest.len -= (size_t)(from - p->rest.data);
		memmove(p->rest.data, from, p->rest.len);
	}
	if (ended) {
		close(p->said);
		p->said = 0;
	}
}

static void take_word(one_watch *w, bool counts, char *word)
{
	char *is = strchr(word, '=');
	if (!is)
		return;
	*is++ = 0;
	if (strcmp(word, "state") == 0)
		snprintf(w->state, sizeof w->state, "%.60s", is);
	if (strcmp(word, "device") == 0)
		snprintf(w->device, sizeof w->device, "%.60s", is);
	if (strcmp(word, "cache") == 0)
		w->cache = atof(is);
	if (strcmp(word, "budget") == 0)
		w->budget = atof(is);
	if (counts && strcmp(word, "of") == 0 && atoll(is) > 0)
		w->total = atoll(is);
	if (counts && strcmp(word, "frames") == 0) {
		w->frames = atoll(is), w->state[0] = 0;
		if (w->first == 0 && w->frames > 0)
			w->first = e3_now(), w->first_frames = w->frames;
	}
}

/* "TOOL<tab>frames=3<tab>of=48...": frames are counted where they take the longest. */
static void read_status(one_watch *w)
{
	char text[1024];
	ssize_t n;
	while ((n = recv(w->status, text, sizeof text - 1, MSG_DONTWAIT)) > 0) {
		char *save;
		text[n] = 0;
		const char *tool = strtok_r(text, "\t\n", &save);
		bool counts = tool && strcmp(tool, w->process[ONE_INFER].pid ? "e3-infer" : "e3-export") == 0;
		for (char *word; (word = strtok_r(NULL, "\t\n", &save));)
			take_word(w, counts, word);
	}
}

void one_watch_read(one_watch *w)
{
	for (int k = 0; k < ONE_STAGES; k++)
		if (w->process[k].said > 0)
			read_lines(&w->process[k]);
	read_status(w);
}

/* Ended by itself with a failure; a reader that went away is another's. */
static bool has_failed(const one_process *p)
{
	if (!p->pid || p->running)
		return false;
	if (WIFSIGNALED(p->state))
		return WTERMSIG(p->state) != SIGPIPE;
	return WEXITSTATUS(p->state) != 0 && WEXITSTATUS(p->state) != 128 + SIGPIPE;
}

static void show_warnings(one_watch *w, int last, double before)
{
	for (int k = 0; k <= last; k++)
		for (size_t j = 0; j < w->process[k].n; j++) {
			one_line *l = &w->process[k].line[j];
			if (l->shown || (l->level != WARNING && l->level != 0) || l->at > before)
				continue;
			l->shown = true;
			one_say(l->text);
		}
}

static void show_progress(const one_watch *w)
{
	char of[32] = "", left[48] = "", cache[80] = "", speed[32] = "";
	if (!e3_progress_due())
		return;
	double passed = w->first > 0 ? e3_now() - w->first : 0, rate = 0;
	if (w->frames > w->first_frames && passed > 0)
		rate = (double)(w->frames - w->first_frames) / passed;
	if (w->total > 0)
		snprintf(of, sizeof of, " of %lld", (long long)w->total);
	if (rate > 0)
		snprintf(speed, sizeof speed, ", %.2f frames/s", rate);
	double rest = rate > 0 ? (double)(w->total - w->frames) / rate : 0;
	if (passed > 2 && w->frames > 2 && rest >= 1)
		snprintf(left, sizeof left, rest < 600 ? ", %.0f s left" : ", %.0f min left", rest < 600 ? rest : rest / 60);
	if (w->cache > 0)
		snprintf(cache, sizeof cache, w->budget > 0 ? ", cache %.0f of %.0f MiB" : ", cache %.0f MiB",
			w->cache / 1048576, w->budget / 1048576);
	if (w->state[0] || w->frames == 0)
		e3_progress("%s", w->state[0] ? w->state : "starting");
	else
		e3_progress("frame %lld%s%s%s%s", (long long)w->frames, of, speed, left, cache);
}

void one_watch_show(one_watch *w)
{
	const double moment = 1;
	for (int k = 0; k < ONE_STAGES; k++)
		w->failed = w->failed || has_failed(&w->process[k]);
	if (!w->failed && !e3_stop_signal())
		show_warnings(w, w->live ? ONE_EXPORT : ONE_INFER, e3_now() - moment);
	show_progress(w);
}

/* The last thing that it said; a warning, or what a library said. */
static const char *last_word(const one_process *p)
{
	const char *word = NULL;
	for (size_t k = 0; k < p->n; k++)
		if (p->line[k].level == WARNING)
			word = p->line[k].text;
	return word ? word : p->n ? p->line[p->n - 1].text : NULL;
}

/* When no frame came, stages behind e3-infer fail; why none came e3-decode has said. */
static const char *reason(const one_watch *w, int k)
{
	const char *early = w->frames == 0 && k > ONE_INFER ? last_word(&w->process[ONE_DECODE]) : NULL;
	return early ? early : last_word(&w->process[k]);
}

/* Why the first stage failed. One that a signal stopped did not. */
static int tell_failure(const one_watch *w, const one_plan *p, int k)
{
	const one_process *x = &w->process[k];
	const char *word = reason(w, k), *name = one_tool_name(k);
	bool killed = WIFSIGNALED(x->state);
	int status = killed ? 128 + WTERMSIG(x->state) : WEXITSTATUS(x->state);
	char text[256];
	if (killed)
		snprintf(text, sizeof text, "%s: killed by signal %d%s", name, WTERMSIG(x->state),
			WTERMSIG(x->state) == SIGKILL ? " (was memory short? see e3 doctor)" : "");
	else if (status > 128)
		snprintf(text, sizeof text, "%s: stopped by signal %d", name, status - 128);
	else
		snprintf(text, sizeof text, "%s: exit status %d", name, status);
	bool own = killed || status > 128 || !word;
	if (!e3_verbose || own)
		one_say(own ? text : word);
	return status == 127 ? 1 : status;
}

int one_watch_verdict(one_watch *w, const one_plan *p)
{
	int stop = e3_stop_signal();
	for (int k = 0; k < ONE_STAGES; k++) {
		bool stopped = WIFEXITED(w->process[k].state) && WEXITSTATUS(w->process[k].state) == 128 + stop;
		if (has_failed(&w->process[k]) && !(stop && (stopped || WIFSIGNALED(w->process[k].state))))
			return tell_failure(w, p, k);
	}
	if (!stop)
		show_warnings(w, ONE_EXPORT, e3_now());
	return 0;
}

void one_watch_close(one_watch *w)
{
	for (int k = 0; k < ONE_STAGES; k++) {
		one_process *p = &w->process[k];
		if (p->said > 0)
			close(p->said);
		for (size_t j = 0; j < p->n; j++)
			free(p->line[j].text);
		free(p->line);
		e3_buf_release(&p->rest);
	}
	if (w->status > 0)
		close(w->status);
}
