// The standard deviations of a trained network's parameters, from .npz or .safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mu8::convert {

// Sigma arrays by initializer name: name "<initializer>.sigma" in the posterior file, here without
// the suffix; values in the initializer's own (ONNX) layout. The file may hold
// "<initializer>.mean", too: what the parameter was when its sigma was trained.
struct SigmaArray {
  std::vector<std::size_t> shape;
  std::vector<float> values;
  std::vector<float> means = {};  // of the same shape; empty: the file has none
};
using Posterior = std::map<std::string, SigmaArray>;

// Reads `<name>.sigma` and `<name>.mean` arrays from .npz (float16, float32 or float64, stored or
// deflated) or .safetensors (F16, BF16, F32, F64). Arrays of other names are an error, except keys
// beginning with "__".
// Throws Error before it unpacks arrays of more than `most_bytes` in all.
Posterior ReadPosterior(const std::string& path, std::uint64_t most_bytes);

}  // namespace mu8::convert
