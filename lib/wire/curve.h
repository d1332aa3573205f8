/* wire: CURVE keys in files. A public key file holds lines "curve-public KEY NAME", a secret key file one line
 * "curve-secret KEY" (KEY: 40 characters of Z85, ZeroMQ's spelling of 32 bytes); lines that begin with '#' and empty
 * lines are skipped. */
#ifndef E3_WIRE_CURVE_H
#define E3_WIRE_CURVE_H

#include "e3/err.h"

enum { E3_CURVE_TEXT = 41, E3_CURVE_NAME = 64 };

typedef struct e3_curve_pair {
	char secret[E3_CURVE_TEXT], public_key[E3_CURVE_TEXT];
} e3_curve_pair;

/* Refuses a secret that others may read. */
int e3_curve_secret(const char *path, e3_curve_pair *pair, e3_err *err);
/* The one key of a public key file. */
int e3_curve_public(const char *path, char key[E3_CURVE_TEXT], e3_err *err);
/* Is the key in the list, a file or the .pub files of a folder? 1 with its name, 0, or -1 when the list cannot be read
 * or is damaged. key "" only checks the list, which must hold a key at least. */
int e3_curve_allowed(const char *path, const char *key, char name[E3_CURVE_NAME], e3_err *err);

#endif
