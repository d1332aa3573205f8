/* base: how a tool's process ends when it or a library gives up. */
#ifndef LIB_BASE_LEAVE_H
#define LIB_BASE_LEAVE_H

/* From e3_tool_init: what limits do to a process becomes a message and exit status 1, and no library's code runs when
 * the process ends. */
void e3_leave_init(const char *tool);
/* The status that main is about to return is the tool's own. */
void e3_leave_now(void);

#endif
