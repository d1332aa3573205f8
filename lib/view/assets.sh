#!/bin/sh
# The page's files as C: assets.sh lib/view/page >assets.c
# The scripts that `order` lists become one module, page.js: without their imports of each other, and without the word export.
set -eu
export LC_ALL=C
cd "$1"

bundle() {
	while read -r file; do
		echo "// --- $file ---"
		sed -E -e "/^import \{[^}]*\} from '\.\/[a-z0-9_]+\.js';\$/d" -e 's/^export (async function|function|class|const|let) /\1 /' "$file"
	done <order
}

while read -r file; do
	[ -s "$file" ] || { echo "assets.sh: $1/order: $file is missing" >&2; exit 1; }
done <order

array() { # NAME: standard input as bytes
	echo "static const unsigned char $1[] = {"
	od -An -v -tu1 | sed -E 's/^ +//; s/ +/,/g; s/$/,/'
	echo "};"
}

echo '/* view: made by lib/view/assets.sh. */'
echo '#include "view/assets.h"'
echo '#include <string.h>'
array index_html <index.html
array style_css <style.css
bundle | array page_js
cat <<'END'
const e3_view_asset *e3_view_asset_of(const char *name)
{
	static const e3_view_asset all[] = {
		{"index.html", "text/html; charset=utf-8", index_html, sizeof index_html},
		{"style.css", "text/css; charset=utf-8", style_css, sizeof style_css},
		{"page.js", "text/javascript; charset=utf-8", page_js, sizeof page_js},
	};
	for (size_t k = 0; k < sizeof all / sizeof *all; k++)
		if (strcmp(all[k].name, name) == 0)
			return &all[k];
	return NULL;
}
END
