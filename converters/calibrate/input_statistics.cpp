#include "converters/calibrate/input_statistics.h"

namespace mu8::convert {

InputStatistics WeightInputs(const Network& network, const Node& node,
                             const ValueStatistics& input) {
  if (node.op == Op::kDense) return {input.mean, input.power, {}};
  const Value& in = network.values[static_cast<std::size_t>(node.inputs[0])];
  const Value& out = network.values[static_cast<std::size_t>(node.output)];
  const Window& window = node.window;
  const int group_channels = in.channels / node.groups;
  const double positions = static_cast<double>(out.height) * out.width;
  InputStatistics statistics;
  for (int group = 0; group < node.groups; ++group) {
    for (int ky = 0; ky < window.kernel_h; ++ky) {
      for (int kx = 0; kx < window.kernel_w; ++kx) {
        for (int c = 0; c < group_channels; ++c) {
          double mean = 0.0;
          double power = 0.0;
          for (int oy = 0; oy < out.height; ++oy) {
            const int y = oy * window.stride_h + ky * window.dilation_h - window.pad_top;
            for (int ox = 0; ox < out.width && y >= 0 && y < in.height; ++ox) {
              const int x = ox * window.stride_w + kx * window.dilation_w - window.pad_left;
              if (x < 0 || x >= in.width) continue;
              const std::size_t pixel =
                  static_cast<std::size_t>(y) * static_cast<std::size_t>(in.width) +
                  static_cast<std::size_t>(x);
              const std::size_t at = pixel * static_cast<std::size_t>(in.channels) +
                                     static_cast<std::size_t>(group * group_channels + c);
              mean += input.mean[at];
              power += input.power[at];
            }
          }
          statistics.mean.push_back(mean / positions);
          statistics.power.push_back(power / positions);
        }
      }
    }
  }
  return statistics;
}

}  // namespace mu8::convert
