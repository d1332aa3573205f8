/* sets: private: gzip-compressed JSON objects in files. */
#ifndef E3_SETS_JSON_GZ_H
#define E3_SETS_JSON_GZ_H

#include "internal.h"
#include <jansson.h>

/* An object; NULL with "reading: PATH: ..." otherwise. */
json_t *sets_json_load(const char *path, e3_err *err);
int sets_json_save(const char *path, const json_t *json, e3_err *err);

#endif
