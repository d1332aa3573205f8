/* dev: what every backend asks before it starts an operation: have the operands the types and shapes of e3/dev.h? */
#ifndef E3_DEV_CHECK_H
#define E3_DEV_CHECK_H

#include "e3/dev.h"

/* Each returns 0, or -1 with a text such as "linear: x is BF16, expected F32". */
int e3_check_copy(e3_tensor to, e3_tensor from, e3_err *err);
int e3_check_rows(const char *op, e3_rows x, e3_rows out, e3_err *err);
int e3_check_linear(const e3_dev *dev, const e3_linear *op, e3_err *err);
int e3_check_qkv(const e3_dev *dev, const e3_qkv *op, e3_err *err);
int e3_check_attend(const e3_dev *dev, const e3_attend *op, e3_err *err);
int e3_check_match(const e3_dev *dev, const e3_match *op, e3_err *err);
int e3_check_mass(const e3_dev *dev, const e3_mass *op, e3_err *err);
int e3_check_conv(const e3_dev *dev, const e3_conv *op, e3_err *err);
int e3_check_deconv(const e3_dev *dev, e3_features x, const e3_mat *mat, e3_features out, e3_err *err);
int e3_check_upsample(const e3_dev *dev, e3_features x, e3_features out, e3_err *err);
int e3_check_add_uv(const e3_dev *dev, e3_features x, e3_err *err);
int e3_check_dense(const e3_dev *dev, const e3_dense *op, e3_err *err);

#endif
