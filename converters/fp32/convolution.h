// A convolution or dense layer of the FP32 reference, with weights that can be replaced. A few
// windows at a time are copied side by side and multiplied with the weights; depthwise convolutions
// are sums over the window's taps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "converters/fp32/kernels.h"
#include "converters/fp32/window.h"
#include "converters/network/network.h"

namespace mu8::convert {

class Fp32Convolution {
 public:
  // kConv2d or kDense. Throws Error where window or groups do not fit the shapes.
  Fp32Convolution(const Value& in, const Value& out, const Node& node, const Fp32Kernels& kernels);

  // OHWI, or [outputs][inputs]; the bias is empty if the node has none. Throws Error for others.
  void SetWeights(const std::vector<float>& weights, const std::vector<float>& bias);

  // Floats that Run needs.
  std::size_t scratch_size() const;

  // NHWC. The bytes of an image are the same whatever images it runs with.
  void Run(std::size_t images, const float* in, float* out, float* scratch);

 private:
  void RunProducts(std::size_t images, const float* in, float* out, float* scratch) const;
  void CopyWindows(const float* in, std::size_t first, std::size_t count, std::size_t begin,
                   std::size_t end, float* to) const;
  void CopyTaps(const float* image, std::int64_t start, WindowAxis::Taps inside, std::size_t pixels,
                std::size_t begin, std::size_t end, float* to) const;
  void RunDepthwise(std::size_t images, const float* in, float* out);
  template <typename Visit>
  void ForRuns(std::size_t first, std::size_t count, const Visit& visit) const;

  const Fp32Kernels& kernels_;
  Value in_, out_;
  WindowAxis rows_, columns_;
  std::vector<WindowAxis::Taps> taps_of_;      // by output column: those inside the input
  int first_whole_, last_whole_;               // output columns of which all are
  std::size_t groups_, group_in_, group_out_;  // channels of a group
  std::size_t depth_;                          // inputs of an output: kernel x group_in_
  std::size_t bias_count_;
  std::size_t slice_;  // of the depth, in one product: at most kFp32Depth
  std::size_t rows_at_a_time_;
  bool is_depthwise_;
  std::vector<float> weights_;  // [groups], by panels; depthwise: [kernel][channels]
  std::vector<float> bias_;     // [channels]; zeros if there is none
  std::vector<std::size_t> in_at_, weight_at_;  // of the taps of a depthwise window
};

}  // namespace mu8::convert
