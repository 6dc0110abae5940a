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
#include "converters/network/head.h"
#include "converters/network/network.h"

namespace mu8::convert {

struct ReferenceOptions {
  std::string onnx_path;
  std::string posterior_path;  // empty: a network without sigmas
  HeadOptions head;
  std::string output_name;  // of several ONNX outputs; empty: there is one
  std::uint32_t samples = 50;
  std::uint64_t seed = 1;
  std::uint32_t batch = 16;
  bool mean_weights = false;     // one pass with mu itself
  bool engine_noise = false;     // the engine's own random bytes, on the folded network
  std::string engine_weights;    // the weights that the engine draws from this .mu8 file
  std::vector<float> mean, std;  // as ConvertOptions has them
};

// The network that the reference runs, ready to say what input and classes it has.
class Reference {
 public:
  explicit Reference(const ReferenceOptions& options);
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  host::InputSpec input() const;
  std::size_t classes() const;    // outputs, of whatever head, at each position
  std::size_t positions() const;  // of the answer
  host::ImageSize output_size() const;
  Head head() const;
  const std::vector<std::string>& labels() const;

  // Assumptions about the network that the user should know of.
  const std::vector<std::string>& notices() const;

  // Takes what the data are (pixels or numbers) into the network's input; to be called before Run.
  // Returns the assumptions in it. Throws Error.
  std::vector<std::string> Fit(const host::Dataset& data);

  // T passes, each one weight sample for all images: sums of probabilities or values in double.
  EnsembleResult Run(const host::Dataset& data, const host::Progress& progress = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mu8::convert
