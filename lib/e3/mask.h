/* mask: which pixels of a picture belong to a class: by a segmentation model, or from pictures in a folder.
 *
 * A segmenter brings the picture to the size its model takes (bilinear, without regard to its shape), each channel to
 * (value/255 - mean)/std, and makes a map of each class from the model's output, of the size of that output. The map is
 * brought back to the picture bilinearly, and then compared with a threshold, so that edges are those of the map
 * between its pixels.
 */
#ifndef E3_MASK_H
#define E3_MASK_H

#include "e3/image.h"
#include <stdbool.h>

/* --- segment.c --- */

enum { E3_SEG_CLASSES = 16 };

typedef struct e3_seg_class {
	char name[E3_MASK_CLASS + 1];
	int index; /* channel of the model's output, or label */
} e3_seg_class;

typedef enum e3_seg_layout { E3_SEG_ANY, E3_SEG_NCHW, E3_SEG_NHWC } e3_seg_layout;

/* What makes a pixel one of class k: channel k is the highest; its value is at least the threshold; the output's only
 * channel holds the number k. AUTO: argmax of several channels, labels of whole numbers or where one channel has
 * several classes, else the threshold. */
typedef enum e3_seg_rule { E3_SEG_AUTO, E3_SEG_ARGMAX, E3_SEG_THRESHOLD, E3_SEG_LABELS } e3_seg_rule;

typedef struct e3_seg_options {
	const char *model; /* file */
	int threads;       /* 0: as many as there are processors */
	e3_seg_class class[E3_SEG_CLASSES];
	int n_classes;
	int size[2]; /* columns, rows of what the model takes; 0: as it says itself */
	e3_seg_layout layout;
	bool bgr;
	double mean[3], std[3]; /* std above 0 */
	e3_seg_rule rule;
	double threshold;
	bool sigmoid;       /* of the values, before the threshold */
	const char *output; /* NULL: the first */
	/* As the reference does it (doc/formats.md 1.4): the values of each picture stretched to 0..255 and cut to bytes,
	 * also of one without the class; threshold is in these units. */
	bool stretch;
	int longest; /* no side of a mask is longer; 0: as the picture */
} e3_seg_options;

/* The released U2-Net for sky: everything but `model`. */
void e3_seg_sky(e3_seg_options *o);

typedef struct e3_segmenter e3_segmenter;

/* Loads the model, and checks that its inputs and outputs are what the options say, as far as it states them. *o is
 * copied, its strings are borrowed until close. */
e3_segmenter *e3_segmenter_open(const e3_seg_options *o, e3_err *err);
/* mask[n_classes]: class, w, h and px are set, memory is used again; released by the caller. RGB. */
int e3_segmenter_run(e3_segmenter *s, const e3_image *picture, e3_mask *mask, e3_err *err);
/* What was opened, for people. */
const char *e3_segmenter_text(const e3_segmenter *s);
void e3_segmenter_close(e3_segmenter *s);

/* --- head.c: what an ONNX file says of its inputs and outputs --- */

enum { E3_ONNX_NAME = 255, E3_ONNX_VALUES = 32, E3_ONNX_DIMS = 8 };

typedef struct e3_onnx_value {
	char name[E3_ONNX_NAME + 1];
	int type;                  /* ONNX's number: 1 f32; 0 not stated */
	int rank;                  /* -1: not stated */
	int64_t dim[E3_ONNX_DIMS]; /* -1: free */
} e3_onnx_value;

/* Inputs without those that are weights. */
typedef struct e3_onnx_head {
	e3_onnx_value input[E3_ONNX_VALUES], output[E3_ONNX_VALUES];
	int n_inputs, n_outputs;
} e3_onnx_head;

/* Nothing of the weights is copied. Refuses what is no ONNX model. */
int e3_onnx_head_read(const uint8_t *bytes, size_t n, e3_onnx_head *head, e3_err *err);
/* "name f32[1,3,320,320]" into to[n], a free dimension as "?". */
void e3_onnx_value_text(const e3_onnx_value *v, char *to, size_t n);

/* --- folder.c: one picture for each frame --- */

typedef struct e3_mask_folder e3_mask_folder;

/* The pictures in it (PNG, JPEG, PNM) belong to frames by name, if the first frame that has a name finds one with it:
 * a.png or a.jpg.png to a.jpg. Otherwise by number, if the name of each is a number ("000012.png"), or in natural order
 * (e3/word.h), in which pictures of folders become frames. Hidden files are none. */
e3_mask_folder *e3_mask_folder_open(const char *dir, e3_err *err);
/* The picture of a frame, the ordinal-th of the stream, with this name or NULL; -1 also when there is none, or two, or
 * when only later frames find theirs by name. In the order of the stream. */
int e3_mask_folder_load(e3_mask_folder *f, const e3_source *s, int64_t ordinal, const char *name, e3_image *picture,
	e3_err *err);
void e3_mask_folder_close(e3_mask_folder *f);

#endif
