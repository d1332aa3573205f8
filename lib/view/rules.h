/* view: who may talk to the server. Pure functions of what a request says.
 *
 * A page of another site that is open in the same browser must not reach the server: its Origin differs from the Host
 * that it asks. A site whose name leads to this machine (DNS rebinding) has both alike: so without a token the Host
 * must be a name of the loopback, or the one that the server listens on. With a token any Host will do.
 */
#ifndef VIEW_RULES_H
#define VIEW_RULES_H

#include "e3/err.h"
#include <stdbool.h>

enum { VIEW_TOKEN_MIN = 16, VIEW_TOKEN_MAX = 128 };

typedef struct view_rules {
	const char *listen; /* the name or address that the server listens on, without a port; borrowed */
	bool guarded;       /* there is a token */
	char digest[65];    /* its SHA-256 */
} view_rules;

/* NULL: no token. A token has 16 to 128 letters, digits, '.', '_', '~', '-', so that it is the same in an address. */
int view_rules_token(view_rules *r, const char *token, e3_err *err);

/* Each gives NULL when the request is fine, else the reason. `host` and `origin` are the headers' values, NULL: absent;
 * `token` the one in the address, NULL: none. */
const char *view_rules_host(const view_rules *r, const char *host);
const char *view_rules_origin(const char *host, const char *origin);
/* Takes the same time wherever the two differ. */
const char *view_rules_check_token(const view_rules *r, const char *token);

/* Is it an address or a name of the loopback? Without port and brackets. */
bool view_is_loopback(const char *name);

#endif
