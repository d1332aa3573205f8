/* mask: the seam to OpenCV's dnn module, which runs ONNX models: one table, in the plug-in libe3-onnx.so
 * (plugins/onnx), opened by name, so that nobody else links OpenCV. Used by lib/mask only; who wants masks includes
 * e3/mask.h.
 *
 * Not from several threads at once. Functions return 0 or -1 with the reason.
 */
#ifndef E3_ONNX_H
#define E3_ONNX_H

#include "e3/err.h"
#include <stdint.h>

#define E3_ONNX_ABI 1
enum { E3_ONNX_RANK = 4 };

/* Row-major f32. */
typedef struct e3_onnx_tensor {
	int rank, shape[E3_ONNX_RANK];
	const float *data;
} e3_onnx_tensor;

typedef struct e3_onnx_net e3_onnx_net;

typedef struct e3_onnx_plugin {
	int abi;
	const char *(*version)(void); /* of OpenCV */
	/* threads 0: as many as there are processors. NULL on failure. */
	e3_onnx_net *(*open)(const char *path, int threads, e3_err *err);
	/* Computes the output of this name. *out is valid until the next call. Integers come as f32. */
	int (*run)(e3_onnx_net *net, const e3_onnx_tensor *in, const char *output, e3_onnx_tensor *out, e3_err *err);
	void (*close)(e3_onnx_net *net);
	/* Bilinear, as cv2.resize does it by default: from [h][w][channels] to [to_h][to_w][channels]. */
	int (*resize_u8)(const uint8_t *from, const int size[2], int channels, uint8_t *to, const int to_size[2],
		e3_err *err);
	int (*resize_f32)(const float *from, const int size[2], float *to, const int to_size[2], e3_err *err);
} e3_onnx_plugin;

/* What the plug-in exports. */
#define E3_ONNX_SYMBOL "e3_onnx_plugin_opencv"

#endif
