// The standard deviations of a trained network's parameters, from .npz or .safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

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
// Throws Error before it unpacks arrays of more than `most_bytes` in all.
Posterior ReadPosterior(const std::string& path, std::uint64_t most_bytes);

// The same for the posterior of a model file, an empty one without a path: sigmas are as many as
// the model's parameters at most, in up to four times their bytes (half precision there, double
// here).
Posterior ReadPosteriorOf(const std::string& model_path, const std::string& path);

}  // namespace mu8::convert
