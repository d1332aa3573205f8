/* Fuzz target: any bytes as an ONNX model, of which only inputs and outputs are read. */
#include "e3/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static e3_onnx_head head;
	char text[300];
	e3_err err;
	if (e3_onnx_head_read(data, size, &head, &err))
		return 0;
	for (int k = 0; k < head.n_inputs; k++)
		e3_onnx_value_text(&head.input[k], text, sizeof text);
	for (int k = 0; k < head.n_outputs; k++)
		e3_onnx_value_text(&head.output[k], text, sizeof text);
	return 0;
}
