/* export: the schemas of the messages in an MCAP file, as its readers want them: protobuf's own descriptions
 * (descriptor.proto: FileDescriptorSet), made from one table. The messages are Foxglove's (doc/formats.md 4.12). */
#include "export/mcap_schemas.h"
#include "export/mcap.h"
#include <string.h>

/* Types of descriptor.proto. */
typedef enum type { DOUBLE = 1, INT64 = 3, INT32 = 5, FIXED32 = 7, TEXT = 9, MESSAGE = 11, BYTES = 12, ENUM = 14 } type;

/* Rows of the table; NONE is not one. */
typedef enum row {
	NONE,
	TIME,
	VECTOR,
	QUATERNION,
	POSE,
	TRANSFORM,
	PACKED,
	TRANSFORMS,
	CALIBRATION,
	COMPRESSED,
	RAW,
	CLOUD,
	POSES,
	ROWS
} row;

typedef struct field {
	const char *name;
	int number;
	type type;
	row of; /* of a message */
	bool repeated;
} field;

enum { MAX_FIELDS = 10 };

/* A message, in a file of its own. */
typedef struct message {
	const char *name, *file;
	field fields[MAX_FIELDS];
	const char *enum_name; /* of the enum in it */
	const char *const *values;
} message;

#define FOXGLOVE(n) .name = "foxglove." #n, .file = "foxglove/" #n ".proto"
#define FIELD(n, i, t) \
	{ \
		.name = n, .number = i, .type = t \
	}
#define LIST(n, i, t) \
	{ \
		.name = n, .number = i, .type = t, .repeated = true \
	}
#define MESSAGE_OF(n, i, r) \
	{ \
		.name = n, .number = i, .type = MESSAGE, .of = r \
	}
#define LIST_OF(n, i, r) \
	{ \
		.name = n, .number = i, .type = MESSAGE, .of = r, .repeated = true \
	}
#define STAMPED MESSAGE_OF("timestamp", PB_STAMP, TIME)

static const char *const numeric_types[] = {"UNKNOWN", "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "FLOAT32",
	"FLOAT64", NULL};

static const message messages[ROWS] = {
	[TIME] = {.name = "google.protobuf.Timestamp",
		.file = "google/protobuf/timestamp.proto",
		.fields = {FIELD("seconds", PB_TIME_SECONDS, INT64), FIELD("nanos", PB_TIME_NANOS, INT32)}},
	[VECTOR] = {FOXGLOVE(Vector3),
		.fields = {FIELD("x", PB_X, DOUBLE), FIELD("y", PB_Y, DOUBLE), FIELD("z", PB_Z, DOUBLE)}},
	[QUATERNION] = {FOXGLOVE(Quaternion),
		.fields = {FIELD("x", PB_X, DOUBLE), FIELD("y", PB_Y, DOUBLE), FIELD("z", PB_Z, DOUBLE),
			FIELD("w", PB_W, DOUBLE)}},
	[POSE] = {FOXGLOVE(Pose),
		.fields = {MESSAGE_OF("position", PB_POSE_POSITION, VECTOR),
			MESSAGE_OF("orientation", PB_POSE_ORIENTATION, QUATERNION)}},
	[TRANSFORM] = {FOXGLOVE(FrameTransform),
		.fields = {STAMPED, FIELD("parent_frame_id", PB_TF_PARENT, TEXT), FIELD("child_frame_id", PB_TF_CHILD, TEXT),
			MESSAGE_OF("translation", PB_TF_TRANSLATION, VECTOR), MESSAGE_OF("rotation", PB_TF_ROTATION, QUATERNION)}},
	[PACKED] = {FOXGLOVE(PackedElementField),
		.fields = {FIELD("name", PB_PACKED_NAME, TEXT), FIELD("offset", PB_PACKED_OFFSET, FIXED32),
			FIELD("type", PB_PACKED_TYPE, ENUM)},
		.enum_name = "NumericType", .values = numeric_types},
	[TRANSFORMS] = {FOXGLOVE(FrameTransforms), .fields = {LIST_OF("transforms", PB_TFS_TRANSFORMS, TRANSFORM)}},
	[CALIBRATION] = {FOXGLOVE(CameraCalibration),
		.fields = {STAMPED, FIELD("frame_id", PB_CAL_FRAME, TEXT), FIELD("width", PB_CAL_WIDTH, FIXED32),
			FIELD("height", PB_CAL_HEIGHT, FIXED32), FIELD("distortion_model", PB_CAL_MODEL, TEXT),
			LIST("D", PB_CAL_D, DOUBLE), LIST("K", PB_CAL_K, DOUBLE), LIST("R", PB_CAL_R, DOUBLE),
			LIST("P", PB_CAL_P, DOUBLE)}},
	[COMPRESSED] = {FOXGLOVE(CompressedImage),
		.fields = {STAMPED, FIELD("frame_id", PB_JPEG_FRAME, TEXT), FIELD("data", PB_JPEG_DATA, BYTES),
			FIELD("format", PB_JPEG_FORMAT, TEXT)}},
	[RAW] = {FOXGLOVE(RawImage),
		.fields = {STAMPED, FIELD("frame_id", PB_RAW_FRAME, TEXT), FIELD("width", PB_RAW_WIDTH, FIXED32),
			FIELD("height", PB_RAW_HEIGHT, FIXED32), FIELD("encoding", PB_RAW_ENCODING, TEXT),
			FIELD("step", PB_RAW_STEP, FIXED32), FIELD("data", PB_RAW_DATA, BYTES)}},
	[CLOUD] = {FOXGLOVE(PointCloud),
		.fields = {STAMPED, FIELD("frame_id", PB_CLOUD_FRAME, TEXT), MESSAGE_OF("pose", PB_CLOUD_POSE, POSE),
			FIELD("point_stride", PB_CLOUD_STRIDE, FIXED32), LIST_OF("fields", PB_CLOUD_FIELDS, PACKED),
			FIELD("data", PB_CLOUD_DATA, BYTES)}},
	[POSES] = {FOXGLOVE(PosesInFrame),
		.fields = {STAMPED, FIELD("frame_id", PB_POSES_FRAME, TEXT), LIST_OF("poses", PB_POSES_POSES, POSE)}},
};

static const row rows[] = {
	[E3_FOXGLOVE_TRANSFORMS] = TRANSFORMS,
	[E3_FOXGLOVE_CALIBRATION] = CALIBRATION,
	[E3_FOXGLOVE_COMPRESSED_IMAGE] = COMPRESSED,
	[E3_FOXGLOVE_RAW_IMAGE] = RAW,
	[E3_FOXGLOVE_POINT_CLOUD] = CLOUD,
	[E3_FOXGLOVE_POSES] = POSES,
};

/* --- descriptor.proto: the numbers of its fields --- */

enum { SET_FILE = 1 };
enum { FILE_NAME = 1, FILE_PACKAGE, FILE_DEPENDENCY, FILE_MESSAGE, FILE_SYNTAX = 12 };
enum { MESSAGE_NAME = 1, MESSAGE_FIELD, MESSAGE_ENUM = 4 };
enum { FIELD_NAME = 1, FIELD_NUMBER = 3, FIELD_LABEL, FIELD_TYPE, FIELD_TYPE_NAME };
enum { OPTIONAL = 1, REPEATED = 3 }; /* values of a label */
enum { ENUM_NAME = 1, ENUM_VALUE };
enum { VALUE_NAME = 1, VALUE_NUMBER };

static const char *last_of(const char *name) { return strrchr(name, '.') + 1; }

static void add_field(e3_bytes *o, const message *m, const field *f)
{
	char of[128] = "";
	size_t mark = e3_pb_open(o, MESSAGE_FIELD);
	e3_pb_text(o, FIELD_NAME, f->name);
	e3_pb_int(o, FIELD_NUMBER, (uint64_t)f->number);
	e3_pb_int(o, FIELD_LABEL, f->repeated ? REPEATED : OPTIONAL);
	e3_pb_int(o, FIELD_TYPE, f->type);
	if (f->type == MESSAGE)
		snprintf(of, sizeof of, ".%s", messages[f->of].name);
	else if (f->type == ENUM)
		snprintf(of, sizeof of, ".%s.%s", m->name, m->enum_name);
	if (*of)
		e3_pb_text(o, FIELD_TYPE_NAME, of);
	e3_pb_close(o, mark);
}

static void add_enum(e3_bytes *o, const message *m)
{
	size_t mark = e3_pb_open(o, MESSAGE_ENUM);
	e3_pb_text(o, ENUM_NAME, m->enum_name);
	for (int k = 0; m->values[k]; k++) {
		size_t value = e3_pb_open(o, ENUM_VALUE);
		e3_pb_text(o, VALUE_NAME, m->values[k]);
		e3_pb_int(o, VALUE_NUMBER, (uint64_t)k);
		e3_pb_close(o, value);
	}
	e3_pb_close(o, mark);
}

/* The files that a message's own file imports: each once. */
static int imports(const message *m, row to[MAX_FIELDS])
{
	int n = 0;
	for (const field *f = m->fields; f->name; f++) {
		int k = 0;
		while (k < n && to[k] != f->of)
			k++;
		if (f->of != NONE && k == n)
			to[n++] = f->of;
	}
	return n;
}

static void add_file(e3_bytes *o, const message *m)
{
	row import[MAX_FIELDS];
	int n = imports(m, import);
	char package[64];
	snprintf(package, sizeof package, "%.*s", (int)(last_of(m->name) - 1 - m->name), m->name);
	size_t file = e3_pb_open(o, SET_FILE);
	e3_pb_text(o, FILE_NAME, m->file);
	e3_pb_text(o, FILE_PACKAGE, package);
	for (int k = 0; k < n; k++)
		e3_pb_text(o, FILE_DEPENDENCY, messages[import[k]].file);
	size_t mark = e3_pb_open(o, FILE_MESSAGE);
	e3_pb_text(o, MESSAGE_NAME, last_of(m->name));
	for (const field *f = m->fields; f->name; f++)
		add_field(o, m, f);
	if (m->values)
		add_enum(o, m);
	e3_pb_close(o, mark);
	e3_pb_text(o, FILE_SYNTAX, "proto3");
	e3_pb_close(o, file);
}

/* What a file imports stands before it: every message of the table is made of those above it. */
static void mark_needed(row r, bool needed[ROWS])
{
	row import[MAX_FIELDS];
	int n = imports(&messages[r], import);
	needed[r] = true;
	for (int k = 0; k < n; k++)
		mark_needed(import[k], needed);
}

const char *e3_foxglove_name(e3_foxglove which) { return messages[rows[which]].name; }

void e3_foxglove_describe(e3_foxglove which, e3_bytes *o)
{
	bool needed[ROWS] = {false};
	mark_needed(rows[which], needed);
	for (row r = NONE + 1; r < ROWS; r++)
		if (needed[r])
			add_file(o, &messages[r]);
}
