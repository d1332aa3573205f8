/* eval: the table of tasks, in the order of e3_eval_task. */
#include "eval/tasks.h"

const eval_task *const eval_tasks[E3_EVAL_TASKS] = {&eval_task_depth, &eval_task_video, &eval_task_pose,
	&eval_task_pairs, &eval_task_recon};

const char *e3_eval_task_name(e3_eval_task task) { return eval_tasks[task]->name; }
