/* onnx: ONNX models through OpenCV's dnn module, as one table (lib/e3/onnx.h). Owns the network and its last output;
 * OpenCV's exceptions end here as errors, and it prints nothing. */
extern "C" {
#include "e3/onnx.h"
}
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>
#include <exception>
#include <new>
#include <string>
#include <vector>

struct e3_onnx_net {
	cv::dnn::Net net;
	cv::Mat out;
};

namespace
{

const char *version() { return CV_VERSION; }

/* The exception is the message. */
int silent(int, const char *, const char *, const char *, int, void *) { return 0; }

int failed(const char *what, const std::exception &e, e3_err *err)
{
	const auto *cv = dynamic_cast<const cv::Exception *>(&e);
	std::string text = cv ? cv->err : e.what();
	text = text.substr(0, text.find('\n')); /* what follows lists the inputs of a layer */
	return e3_fail(err, "%s: OpenCV %s: %s", what, CV_VERSION, text.c_str());
}

e3_onnx_net *open_net(const char *path, int threads, e3_err *err)
{
	try {
		cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
		cv::redirectError(silent);
		if (threads > 0)
			cv::setNumThreads(threads);
		auto *net = new e3_onnx_net;
		try {
			net->net = cv::dnn::readNetFromONNX(path);
			net->net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
			net->net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
			return net;
		} catch (...) {
			delete net;
			throw;
		}
	} catch (const std::exception &e) {
		failed("loading the model", e, err);
	}
	return nullptr;
}

int run(e3_onnx_net *n, const e3_onnx_tensor *in, const char *output, e3_onnx_tensor *out, e3_err *err)
{
	try {
		cv::Mat blob(in->rank, in->shape, CV_32F, const_cast<float *>(in->data)); // NOLINT: only read
		n->net.setInput(blob);
		cv::Mat got = n->net.forward(output);
		if (got.dims > E3_ONNX_RANK)
			return e3_fail(err, "running the model: output %s has %d dimensions, expected at most %d", output, got.dims,
				E3_ONNX_RANK);
		got.convertTo(n->out, CV_32F);
		if (!n->out.isContinuous())
			n->out = n->out.clone();
		out->rank = n->out.dims;
		for (int k = 0; k < n->out.dims; k++)
			out->shape[k] = n->out.size[k];
		out->data = n->out.ptr<float>();
		return 0;
	} catch (const std::exception &e) {
		return failed("running the model", e, err);
	}
}

void close_net(e3_onnx_net *n) { delete n; }

template <typename T> int resize(const T *from, const int size[2], int type, T *to, const int to_size[2], e3_err *err)
{
	try {
		const cv::Mat a(size[1], size[0], type, const_cast<T *>(from)); // NOLINT: only read
		cv::Mat b(to_size[1], to_size[0], type, to);
		cv::resize(a, b, b.size());
		return 0;
	} catch (const std::exception &e) {
		return failed("resizing", e, err);
	}
}

int resize_u8(const uint8_t *from, const int size[2], int channels, uint8_t *to, const int to_size[2], e3_err *err)
{
	return resize(from, size, CV_8UC(channels), to, to_size, err);
}

int resize_f32(const float *from, const int size[2], float *to, const int to_size[2], e3_err *err)
{
	return resize(from, size, CV_32FC1, to, to_size, err);
}

} // namespace

extern "C" __attribute__((visibility("default"))) const e3_onnx_plugin e3_onnx_plugin_opencv;
const e3_onnx_plugin e3_onnx_plugin_opencv = {E3_ONNX_ABI, version, open_net, run, close_net, resize_u8, resize_f32};
