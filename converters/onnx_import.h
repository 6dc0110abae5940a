// Reads the mean network from an ONNX file (opset 7 to 17) into a Network.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "converters/network.h"

namespace mu8::convert {

// Sigma arrays by initializer name: name "<initializer>.sigma" in the posterior file, here without
// the suffix; values in the initializer's own (ONNX) layout.
struct SigmaArray {
  std::vector<std::size_t> shape;
  std::vector<float> values;
};
using Posterior = std::map<std::string, SigmaArray>;

// Reads `<name>.sigma` arrays from .npz (float32 or float64, stored or deflated) or .safetensors
// (F32, F64). Arrays without the suffix are an error, except keys beginning with "__".
Posterior ReadPosterior(const std::string& path);

// Imports graph and parameters. Accepts Conv, Gemm, MatMul (+ Add of a constant), Add of a constant
// bias, BatchNormalization, Relu, MaxPool, AveragePool, GlobalAveragePool, ReduceMean over H and W,
// Flatten, Reshape to (N, -1), Dropout, Identity, Constant, and a final Softmax or LogSoftmax (dropped: the
// engine's own output is probabilities). A flattened CHW vector is permuted to HWC in the columns of
// the dense layer that reads it. metadata_props "mean", "std" (comma-separated floats) and "labels"
// (newline-separated) fill the fields of the same name.
// Throws Error with ALL problems: unsupported nodes by name and reason, sigmas without an
// initializer, shape mismatches, missing static shapes (only the batch dimension may be symbolic).
Network ImportOnnx(const std::string& path, const Posterior& posterior);

}  // namespace mu8::convert
