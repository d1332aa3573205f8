/* scene: views as poses in the frame of the first camera. */
#ifndef SCENE_POSE_H
#define SCENE_POSE_H

#include "path.h"

/* The quaternion x y z w of a rotation, w >= 0, unit length. */
void scene_quaternion(const double rot[9], double q[4]);
/* Translation (in units of so many metres) and quaternion of this camera from the first camera's. */
void scene_pose(const scene_view *first, const scene_view *view, double metres, double pose[7]);

#endif
