/* view: the page's files, compiled in (lib/view/assets.sh makes them of lib/view/page). */
#ifndef VIEW_ASSETS_H
#define VIEW_ASSETS_H

#include <stddef.h>

typedef struct e3_view_asset {
	const char *name; /* "index.html" */
	const char *type; /* of HTTP: "text/html; charset=utf-8" */
	const unsigned char *bytes;
	size_t len;
} e3_view_asset;

/* "index.html", "style.css", "page.js": all scripts as one module; NULL for other names. */
const e3_view_asset *e3_view_asset_of(const char *name);

#endif
