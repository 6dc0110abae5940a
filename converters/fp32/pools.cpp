#include "converters/fp32/pools.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "converters/fp32/window.h"
#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Channels [first, first + kCount) of one window, of the taps that lie inside the input.
template <std::size_t kCount, typename Join>
void JoinTaps(std::span<const float* const> taps, std::size_t first, float initial, Join join,
              float divisor, float* output) {
  float joined[kCount];
  std::fill_n(joined, kCount, initial);
  for (const float* tap : taps) {
    for (std::size_t c = 0; c < kCount; ++c) joined[c] = join(joined[c], tap[first + c]);
  }
  for (std::size_t c = 0; c < kCount; ++c) output[first + c] = joined[c] / divisor;
}

// output = the joined taps / divisor(how many they are).
template <typename Join, typename Divisor>
Loop MakeWindows(const Value& in, const Value& out, const Window& window, float initial, Join join,
                 Divisor divisor) {
  return [=, rows = Rows(in, window), columns = Columns(in, window)](
             std::size_t images, std::span<const float* const> inputs, float* output) {
    const auto channels = static_cast<std::size_t>(in.channels);
    std::vector<const float*> places(static_cast<std::size_t>(rows.kernel) *
                                     static_cast<std::size_t>(columns.kernel));
    for (std::size_t image = 0; image < images; ++image) {
      const float* from = inputs[0] + image * in.size();
      for (int oy = 0; oy < out.height; ++oy) {
        const std::int64_t top = rows.Start(oy);
        const WindowAxis::Taps ys = rows.Inside(top);
        for (int ox = 0; ox < out.width; ++ox, output += channels) {
          const std::int64_t left = columns.Start(ox);
          const WindowAxis::Taps xs = columns.Inside(left);
          const float** end = places.data();
          for (int ky = ys.begin; ky < ys.end; ++ky) {
            const std::int64_t y = top + std::int64_t{ky} * rows.dilation;
            for (int kx = xs.begin; kx < xs.end; ++kx) {
              const std::int64_t x = left + std::int64_t{kx} * columns.dilation;
              *end++ = from + static_cast<std::size_t>(y * in.width + x) * channels;
            }
          }
          const std::span<const float* const> taps(places.data(), end);
          const float by = divisor(taps.size());
          std::size_t c = 0;
          for (; c + 4 <= channels; c += 4) JoinTaps<4>(taps, c, initial, join, by, output);
          for (; c < channels; ++c) JoinTaps<1>(taps, c, initial, join, by, output);
        }
      }
    }
  };
}

}  // namespace

Loop MakePool(const Network& network, const Node& node) {
  const Value& in = network.values[static_cast<std::size_t>(node.inputs[0])];
  const Value& out = network.values[static_cast<std::size_t>(node.output)];
  const Window& w = node.window;
  CheckWindow(w, in, out);
  if (in.channels != out.channels) throw host::Error("a pool cannot change the number of channels");
  if (node.op == Op::kMaxPool) {
    return MakeWindows(
        in, out, w, std::numeric_limits<float>::lowest(),
        [](float a, float b) { return std::max(a, b); }, [](std::size_t) { return 1.0F; });
  }
  const auto area = node.count_include_pad ? static_cast<std::size_t>(w.kernel_h) *
                                                 static_cast<std::size_t>(w.kernel_w)
                                           : 0;
  return MakeWindows(
      in, out, w, 0.0F, [](float a, float b) { return a + b; },
      [area](std::size_t taps) { return static_cast<float>(area != 0 ? area : taps); });
}

}  // namespace mu8::convert
