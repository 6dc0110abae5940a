// Where the windows of convolutions and pools lie on their input, an axis at a time.
#pragma once

#include <cstdint>

#include "converters/network/network.h"

namespace mu8::convert {

// One axis of a Window.
struct WindowAxis {
  int size, kernel, stride, dilation, pad;  // size: of the input; pad: before it

  // Where tap 0 of output position `at` lies on the input; below 0 is padding.
  std::int64_t Start(int at) const { return std::int64_t{at} * stride - pad; }

  // The taps [begin, end) of a window that starts there which lie inside the input.
  struct Taps {
    int begin, end;
  };
  Taps Inside(std::int64_t start) const;
};

inline WindowAxis Rows(const Value& in, const Window& w) {
  return {in.height, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top};
}
inline WindowAxis Columns(const Value& in, const Window& w) {
  return {in.width, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left};
}

// Throws Error where the node's window does not give the output's height and width.
void CheckWindow(const Window& window, const Value& in, const Value& out);

}  // namespace mu8::convert
