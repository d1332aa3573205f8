/* model: the eviction policies: one table, one row a policy.
 *
 * The row is all there is: options, help texts, saved sessions and the device read from it. A policy that combines the
 * device's measurements differently needs a row in lib/model/policy.c and nothing else (HACKING.md).
 */
#ifndef E3_POLICY_H
#define E3_POLICY_H

#include "e3/dev.h"
#include <stdbool.h>

/* How a policy that evicts whole frames chooses those that stay (doc/network.md 9.7, 9.9). */
typedef enum e3_whole_rule {
	E3_WHOLE_NONE,    /* it evicts tokens */
	E3_WHOLE_UNLIKE,  /* the newest, and those that are least like the newest */
	E3_WHOLE_AGES,    /* the newest, and one from each span of ages */
	E3_WHOLE_FARTHEST /* always the one that is least like all that are kept */
} e3_whole_rule;

typedef struct e3_whole {
	e3_whole_rule rule;
	int frames; /* that stay, frame 0 and the newest among them: the policy's own budget; 0: as the budget says */
	int newest; /* of them the newest */
	/* Each layer chooses for itself, by the mean key of each frame. Else all layers and the camera head keep the same
	 * frames, chosen by their descriptors (e3_session_descriptor). */
	bool by_layer;
} e3_whole;

typedef struct e3_policy {
	const char *name;     /* in options, in the head of a stream and in saved sessions */
	const char *old_name; /* what files of older versions say, or NULL */
	const char *help;     /* one line: which tokens are evicted */
	bool keeps_all;       /* nothing is evicted: no budget is needed */
	bool protects_newest; /* of the special tokens only those of frame 0 and of the newest frame are protected */
	bool first_only;      /* of the special tokens only those of frame 0 are protected */
	bool newest_whole;    /* all tokens of the newest frame are protected */
	bool no_compat;       /* has no form with the released code's defects in eviction (E3_COMPAT_F16_SUMS, _STARVE) */
	/* Stay: all tokens of the frames that a past began with and of the newest `window` other key frames
	 * (e3_infer_options), and the special tokens of every key frame, for ever. So there is no budget to state, and
	 * nothing is scored (doc/network.md 9.11). */
	bool slides;
	e3_whole whole;     /* evicts whole frames; nothing is scored then */
	e3_scoring scoring; /* how the device scores tokens: the lowest score is evicted first */
} e3_policy;

/* The first is the default. A row without a name closes the table. */
extern const e3_policy e3_policies[];

/* By its name or its old one; NULL when there is none. */
const e3_policy *e3_policy_find(const char *name);

#endif
