/* mask: a segmentation model, as segment.c sees it: a picture in, its output out (model.c). */
#ifndef E3_MASK_MODEL_H
#define E3_MASK_MODEL_H

#include "e3/mask.h"
#include "e3/onnx.h"

typedef struct e3_seg_model {
	const e3_onnx_plugin *plugin;
	e3_onnx_net *net;
	e3_onnx_value in, out; /* as the file states them */
	e3_seg_layout layout;
	int size[2]; /* columns, rows of what it takes */
	bool bgr;
	bool labels;         /* the output holds whole numbers */
	float level[3][256]; /* of each channel of a picture, as the model takes it */
	uint8_t *small;      /* the picture at that size */
	float *blob;
} e3_seg_model;

/* A view of an output: channels of maps. */
typedef struct e3_seg_maps {
	int w, h, channels;
	size_t step, next; /* from pixel to pixel, from channel to channel */
	const float *at;
} e3_seg_maps;

int e3_seg_model_open(e3_seg_model *m, const e3_seg_options *o, e3_err *err);
/* Valid until the next call. */
int e3_seg_model_run(e3_seg_model *m, const e3_image *picture, e3_seg_maps *to, e3_err *err);
/* Channels of the output as the file states them; 0: it does not. */
int e3_seg_model_channels(const e3_seg_model *m);
void e3_seg_model_close(e3_seg_model *m);

#endif
