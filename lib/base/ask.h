/* base: a question to the person at the terminal. */
#ifndef LIB_BASE_ASK_H
#define LIB_BASE_ASK_H

/* May it be replaced? `what`: "out.glb exists: replace it". 1 yes, also where there is nobody to ask; 0 no. */
int e3_ask_replace(const char *what);

#endif
