// The FP32 reference: T networks drawn from the posterior, run on the original graph, so that
// BatchNorm folding is part of what is compared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "converters/host/datasets.h"
#include "converters/host/progress.h"
#include "converters/judge/ensemble.h"
#include "converters/network/network.h"

namespace mu8::convert {

struct ReferenceOptions {
  std::string onnx_path;
  std::string posterior_path;  // empty: a network without sigmas
  std::optional<Head> head;    // nothing: as the ONNX file says
  std::string output_name;     // of several ONNX outputs; empty: there is one
  std::uint32_t samples = 50;
  std::uint64_t seed = 1;
  std::uint32_t batch = 16;
  bool mean_weights = false;     // one pass with mu itself
  bool engine_noise = false;     // the engine's own random bytes, on the folded network
  std::string engine_weights;    // the weights that the engine draws from this .mu8 file
  std::vector<float> mean, std;  // x = (u8 / 255 - mean) / std; empty: the ONNX file's own, or 0, 1
};

// The network that the reference runs, ready to say what input and classes it has.
class Reference {
 public:
  explicit Reference(const ReferenceOptions& options);
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  int height() const;
  int width() const;
  int channels() const;
  std::size_t classes() const;
  const std::vector<std::string>& labels() const;
  // False when neither the options nor the ONNX file say how pixels become inputs: mean 0, std 1.
  bool has_normalization() const;

  // Assumptions that the user should know of.
  const std::vector<std::string>& notices() const;

  // T passes, each one weight sample for all images: sum of softmax in double.
  EnsembleResult Run(const host::Dataset& data, const host::Progress& progress = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mu8::convert
