/* export: the mesh of a run: what mesh.c makes of the frames, and the two files it becomes. */
#ifndef E3_EXPORT_MESH_H
#define E3_EXPORT_MESH_H

#include "e3/surface.h"
#include "export/writer.h"

/* mesh_glb.c: refuses more than 4 GiB. */
int e3_mesh_write_glb(e3_file *to, const e3_export_run *run, const e3_mesh *m, e3_err *err);
/* mesh_ply.c */
int e3_mesh_write_ply(e3_file *to, const e3_export_run *run, const e3_mesh *m, e3_err *err);

#endif
