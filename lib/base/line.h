/* base: messages and the line of progress share a terminal. */
#ifndef LIB_BASE_LINE_H
#define LIB_BASE_LINE_H

/* What a message begins with: on a terminal it clears the line of progress, whichever process wrote that. */
const char *e3_line_clear(void);

/* Once, at the start: who wants to know how far this process is (e3_status). */
void e3_status_init(void);

#endif
