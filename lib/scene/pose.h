/* scene: views as poses in the frame of the first camera. */
#ifndef SCENE_POSE_H
#define SCENE_POSE_H

#include "path.h"

/* x y z w, w >= 0, unit length, of a rotation. */
void scene_quaternion(const double rot[9], double q[4]);
/* t (in units of so many metres) and quaternion: this camera from the first camera's. */
void scene_pose(const scene_view *first, const scene_view *view, double metres, double pose[7]);

#endif
