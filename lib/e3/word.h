/* base: words of a command line: which one was meant, how a shell reads one, in which order names are shown.
 */
#ifndef E3_WORD_H
#define E3_WORD_H

#include "e3/mem.h"

/* How far a mistyped word is from `right`: letters that are missing, added, changed or swapped; 1 where it is one of
 * the parts that hyphens separate. -1: too far to be meant. */
int e3_word_distance(const char *word, const char *right);

/* Adds a word, and a blank before it unless the text is empty, as a POSIX shell reads it back. */
int e3_word_quote(e3_buf *to, const char *word, e3_err *err);

/* The order of names in file managers: runs of digits as numbers, ASCII letters without regard to case, all else by
 * bytes. Names that are equal so far (007 and 7, A and a) are ordered by bytes. As strcmp. */
int e3_word_natural(const char *a, const char *b);

#endif
