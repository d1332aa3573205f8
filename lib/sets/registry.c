/* sets: the registry of data sets. */
#include "internal.h"

#define NAME(ident, name) name,
#define ROW(ident, name) &sets_##ident,

static const char *const names[] = {E3_SETS(NAME)};
static const sets_row *const rows[] = {E3_SETS(ROW)};

const char *e3_set_name(e3_set_id id) { return id >= 0 && id < E3_SET_COUNT ? names[id] : NULL; }
const sets_row *sets_row_of(e3_set_id id) { return rows[id]; }
const e3_set_info *e3_set_info_of(e3_set_id id) { return &rows[id]->info; }
