#include "converters/fp32/window.h"

#include <algorithm>
#include <string>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

std::int64_t OutputSize(const WindowAxis& axis, int pad_after) {
  const std::int64_t span = std::int64_t{axis.size} + axis.pad + pad_after -
                            (std::int64_t{axis.dilation} * (axis.kernel - 1) + 1);
  return span < 0 || axis.stride < 1 ? 0 : span / axis.stride + 1;
}

}  // namespace

WindowAxis::Taps WindowAxis::Inside(std::int64_t start) const {
  const std::int64_t begin = start < 0 ? (dilation - 1 - start) / dilation : 0;
  const std::int64_t end = start < size ? (size - 1 - start) / dilation + 1 : 0;
  const auto last = static_cast<int>(std::min<std::int64_t>(end, kernel));
  return {static_cast<int>(std::min<std::int64_t>(begin, last)), last};
}

void CheckWindow(const Window& window, const Value& in, const Value& out) {
  const std::int64_t height = OutputSize(Rows(in, window), window.pad_bottom);
  const std::int64_t width = OutputSize(Columns(in, window), window.pad_right);
  if (height == out.height && width == out.width) return;
  throw host::Error("output is " + std::to_string(out.height) + " x " + std::to_string(out.width) +
                    ", its window gives " + std::to_string(height) + " x " + std::to_string(width));
}

}  // namespace mu8::convert
