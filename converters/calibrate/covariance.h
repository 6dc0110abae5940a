// Covariance of a layer's inputs, for rounding mu: errors of correlated inputs can cancel.
#pragma once

#include <cstddef>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

// Layers with more inputs per output channel than this are rounded weight by weight: the matrix
// would have more entries than calibration could fill.
inline constexpr std::size_t kMaxCovarianceInputs = 1024;

// Collects E[x x^T] of the inputs of one convolution or dense layer, per group: [group][K][K], in
// the order of one output channel's weights. Padding counts as 0.
class CovarianceCollector {
 public:
  CovarianceCollector(const Network& network, const Node& node);

  // Adds `images` activations of the node's input, NHWC, of images `first` and on. Of a
  // convolution's windows it takes about kWindowsPerImage, spread evenly.
  void Add(const float* x, std::size_t first, std::size_t images);

  // Centered: E[x x^T] - E[x] E[x]^T, for the bias takes up errors of the mean. Empty if the layer
  // is too wide.
  std::vector<double> Covariance() const;

 private:
  void AddWindow(const float* image, int group, int oy, int ox);

  const Node& node_;
  Value in_, out_;
  std::size_t inputs_;            // K
  std::vector<float> rows_;       // windows of one Add: [rows][K]
  std::vector<double> products_;  // [group][K][K]
  std::vector<double> sums_;      // [group][K]
  double count_ = 0.0;
};

}  // namespace mu8::convert
