/* view: which requests are refused, by Host, Origin and token. */
#include "view/rules.h"
#include "e3/sha256.h"
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 253 };

static void digest(const char *token, char to[65])
{
	e3_sha256 s;
	e3_sha256_init(&s);
	e3_sha256_add(&s, token, strlen(token));
	e3_sha256_text(&s, to);
}

int view_rules_token(view_rules *r, const char *token, e3_err *err)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
	r->guarded = token != NULL;
	if (!token)
		return 0;
	size_t n = strlen(token);
	if (n < VIEW_TOKEN_MIN || n > VIEW_TOKEN_MAX || strspn(token, letters) != n)
		return e3_fail(err, "the token: expected %d to %d letters, digits, '.', '_', '~' or '-'", VIEW_TOKEN_MIN,
			VIEW_TOKEN_MAX);
	digest(token, r->digest);
	return 0;
}

bool view_is_loopback(const char *name)
{
	struct in_addr v4;
	struct in6_addr v6;
	size_t n = strlen(name);
	if (inet_pton(AF_INET, name, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, name, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(name, "localhost") == 0 || (n > 10 && strcasecmp(name + n - 10, ".localhost") == 0);
}

/* "name:port", "[address]:port" or either without a port, to the name alone. */
static bool name_of(const char *host, char name[NAME_MAX_BYTES + 1])
{
	const char *end;
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		end = strchr(host, ':');
		end = end ? end : host + strlen(host);
	}
	size_t n = (size_t)(end - host);
	if (n == 0 || n > NAME_MAX_BYTES)
		return false;
	memcpy(name, host, n);
	name[n] = 0;
	const char *port = *end == ']' ? end + 1 : end;
	return !*port || (port[1] && strspn(port + 1, "0123456789") == strlen(port + 1));
}

const char *view_rules_host(const view_rules *r, const char *host)
{
	char name[NAME_MAX_BYTES + 1];
	if (!host || !name_of(host, name))
		return "no valid Host";
	if (r->guarded || view_is_loopback(name) || strcasecmp(name, r->listen) == 0)
		return NULL;
	return "the Host is no name of this machine (a token allows any)";
}

const char *view_rules_origin(const char *host, const char *origin)
{
	if (!origin)
		return NULL;
	const char *at = strncasecmp(origin, "http://", 7) == 0 ? origin + 7
		: strncasecmp(origin, "https://", 8) == 0           ? origin + 8
															: NULL;
	return at && host && strcasecmp(at, host) == 0 ? NULL : "the Origin is another site";
}

const char *view_rules_check_token(const view_rules *r, const char *token)
{
	char given[65];
	unsigned char differ = 0;
	if (!r->guarded)
		return NULL;
	if (!token || !*token)
		return "no token";
	digest(token, given);
	for (int k = 0; k < 64; k++)
		differ |= (unsigned char)(given[k] ^ r->digest[k]);
	return differ ? "wrong token" : NULL;
}
