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

#define FOXGLOVE(n) "foxglove." #n, "foxglove/" #n ".proto"
#define STAMPED \
	{ \
		"timestamp", PB_STAMP, MESSAGE, TIME \
	}

static const char *const numeric_types[] = {"UNKNOWN", "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "FLOAT32",
	"FLOAT64", NULL};

static const message messages[ROWS] = {
	[TIME] = {"google.protobuf.Timestamp", "google/protobuf/timestamp.proto",
		{{"seconds", PB_TIME_SECONDS, INT64}, {"nanos", PB_TIME_NANOS, INT32}}},
	[VECTOR] = {FOXGLOVE(Vector3), {{"x", PB_X, DOUBLE}, {"y", PB_Y, DOUBLE}, {"z", PB_Z, DOUBLE}}},
	[QUATERNION] = {FOXGLOVE(Quaternion),
		{{"x", PB_X, DOUBLE}, {"y", PB_Y, DOUBLE}, {"z", PB_Z, DOUBLE}, {"w", PB_W, DOUBLE}}},
	[POSE] = {FOXGLOVE(Pose),
		{{"position", PB_POSE_POSITION, MESSAGE, VECTOR}, {"orientation", PB_POSE_ORIENTATION, MESSAGE, QUATERNION}}},
	[TRANSFORM] = {FOXGLOVE(FrameTransform),
		{STAMPED, {"parent_frame_id", PB_TF_PARENT, TEXT}, {"child_frame_id", PB_TF_CHILD, TEXT},
			{"translation", PB_TF_TRANSLATION, MESSAGE, VECTOR}, {"rotation", PB_TF_ROTATION, MESSAGE, QUATERNION}}},
	[PACKED] = {FOXGLOVE(PackedElementField),
		{{"name", PB_PACKED_NAME, TEXT}, {"offset", PB_PACKED_OFFSET, FIXED32}, {"type", PB_PACKED_TYPE, ENUM}},
		"NumericType", numeric_types},
	[TRANSFORMS] = {FOXGLOVE(FrameTransforms), {{"transforms", PB_TFS_TRANSFORMS, MESSAGE, TRANSFORM, true}}},
	[CALIBRATION] = {FOXGLOVE(CameraCalibration),
		{STAMPED, {"frame_id", PB_CAL_FRAME, TEXT}, {"width", PB_CAL_WIDTH, FIXED32},
			{"height", PB_CAL_HEIGHT, FIXED32}, {"distortion_model", PB_CAL_MODEL, TEXT},
			{"D", PB_CAL_D, DOUBLE, NONE, true}, {"K", PB_CAL_K, DOUBLE, NONE, true},
			{"R", PB_CAL_R, DOUBLE, NONE, true}, {"P", PB_CAL_P, DOUBLE, NONE, true}}},
	[COMPRESSED] = {FOXGLOVE(CompressedImage),
		{STAMPED, {"frame_id", PB_JPEG_FRAME, TEXT}, {"data", PB_JPEG_DATA, BYTES}, {"format", PB_JPEG_FORMAT, TEXT}}},
	[RAW] = {FOXGLOVE(RawImage),
		{STAMPED, {"frame_id", PB_RAW_FRAME, TEXT}, {"width", PB_RAW_WIDTH, FIXED32},
			{"height", PB_RAW_HEIGHT, FIXED32}, {"encoding", PB_RAW_ENCODING, TEXT}, {"step", PB_RAW_STEP, FIXED32},
			{"data", PB_RAW_DATA, BYTES}}},
	[CLOUD] = {FOXGLOVE(PointCloud),
		{STAMPED, {"frame_id", PB_CLOUD_FRAME, TEXT}, {"pose", PB_CLOUD_POSE, MESSAGE, POSE},
			{"point_stride", PB_CLOUD_STRIDE, FIXED32}, {"fields", PB_CLOUD_FIELDS, MESSAGE, PACKED, true},
			{"data", PB_CLOUD_DATA, BYTES}}},
	[POSES] = {FOXGLOVE(PosesInFrame),
		{STAMPED, {"frame_id", PB_POSES_FRAME, TEXT}, {"poses", PB_POSES_POSES, MESSAGE, POSE, true}}},
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
