/* model: the names that a pickle may use: torch's storages and rebuild functions, plain containers, and a few names
 * that stand beside weights in training checkpoints. Any other name is refused. */
#include "pth.h"
#include <string.h>

static const e3_pickle_name names[] = {
	{"collections", "OrderedDict", E3_PKR_DICT, 0},
	{"torch._utils", "_rebuild_tensor_v2", E3_PKR_TENSOR, 0},
	{"torch._utils", "_rebuild_tensor", E3_PKR_TENSOR, 0},
	{"torch._utils", "_rebuild_parameter", E3_PKR_PARAMETER, 0},
	{"torch._utils", "_rebuild_parameter_with_state", E3_PKR_PARAMETER, 0},
	{"torch", "FloatStorage", E3_PKR_STORAGE, E3_F32},
	{"torch", "HalfStorage", E3_PKR_STORAGE, E3_F16},
	{"torch", "BFloat16Storage", E3_PKR_STORAGE, E3_BF16},
	{"torch", "DoubleStorage", E3_PKR_STORAGE, E3_F64},
	{"torch", "LongStorage", E3_PKR_STORAGE, E3_I64},
	{"torch", "IntStorage", E3_PKR_STORAGE, E3_I32},
	{"torch", "ShortStorage", E3_PKR_STORAGE, E3_I16},
	{"torch", "CharStorage", E3_PKR_STORAGE, E3_I8},
	{"torch", "ByteStorage", E3_PKR_STORAGE, E3_U8},
	{"torch", "BoolStorage", E3_PKR_STORAGE, E3_BOOL},
	{"torch", "Size", E3_PKR_SIZE, 0},
	{"torch", "device", E3_PKR_OBJECT, 0},
	/* What training scripts save beside the weights: options, paths, numbers of numpy. */
	{"argparse", "Namespace", E3_PKR_OBJECT, 0},
	{"pathlib", "PosixPath", E3_PKR_OBJECT, 0},
	{"pathlib", "PurePosixPath", E3_PKR_OBJECT, 0},
	{"pathlib", "WindowsPath", E3_PKR_OBJECT, 0},
	{"numpy.core.multiarray", "scalar", E3_PKR_OBJECT, 0},
	{"numpy._core.multiarray", "scalar", E3_PKR_OBJECT, 0},
	{"numpy", "dtype", E3_PKR_OBJECT, 0},
	{"_codecs", "encode", E3_PKR_OBJECT, 0},
	{"torch", "float32", E3_PKR_INERT, 0},
	{"torch", "float16", E3_PKR_INERT, 0},
	{"torch", "bfloat16", E3_PKR_INERT, 0},
	{"torch", "float64", E3_PKR_INERT, 0},
	{"torch", "int64", E3_PKR_INERT, 0},
};

int e3_pickle_name_find(const char *module, size_t module_len, const char *name, size_t name_len)
{
	for (size_t k = 0; k < sizeof names / sizeof *names; k++)
		if (strlen(names[k].module) == module_len && memcmp(names[k].module, module, module_len) == 0 &&
			strlen(names[k].name) == name_len && memcmp(names[k].name, name, name_len) == 0)
			return (int)k;
	return -1;
}

const e3_pickle_name *e3_pickle_name_at(int k) { return &names[k]; }
