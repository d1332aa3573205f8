/* export: the numbers of fields in Foxglove's protobuf messages, for mcap_schemas.c and mcap_messages.c. */
#ifndef E3_EXPORT_MCAP_SCHEMAS_H
#define E3_EXPORT_MCAP_SCHEMAS_H

enum { PB_TIME_SECONDS = 1, PB_TIME_NANOS };
enum { PB_X = 1, PB_Y, PB_Z, PB_W };
enum { PB_POSE_POSITION = 1, PB_POSE_ORIENTATION };
enum { PB_STAMP = 1 }; /* of every message below that has one */
enum { PB_TF_PARENT = 2, PB_TF_CHILD, PB_TF_TRANSLATION, PB_TF_ROTATION };
enum { PB_TFS_TRANSFORMS = 1 };
enum { PB_CAL_WIDTH = 2, PB_CAL_HEIGHT, PB_CAL_MODEL, PB_CAL_D, PB_CAL_K, PB_CAL_R, PB_CAL_P, PB_CAL_FRAME };
enum { PB_JPEG_DATA = 2, PB_JPEG_FORMAT, PB_JPEG_FRAME };
enum { PB_RAW_WIDTH = 2, PB_RAW_HEIGHT, PB_RAW_ENCODING, PB_RAW_STEP, PB_RAW_DATA, PB_RAW_FRAME };
enum { PB_CLOUD_FRAME = 2, PB_CLOUD_POSE, PB_CLOUD_STRIDE, PB_CLOUD_FIELDS, PB_CLOUD_DATA };
enum { PB_PACKED_NAME = 1, PB_PACKED_OFFSET, PB_PACKED_TYPE };
enum { PB_PACKED_UINT8 = 1, PB_PACKED_FLOAT32 = 7 }; /* values of its type */
enum { PB_POSES_FRAME = 2, PB_POSES_POSES };

#endif
