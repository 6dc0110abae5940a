#include "converters/fp32/gram.h"

#include <algorithm>

namespace mu8::convert {

void Gram(const std::vector<float>& in, std::size_t width, const Fp32Kernels& kernels,
          std::vector<float>* out) {
  out->assign(width * width, 0.0F);
  const std::size_t rows = in.size() / width;
  std::vector<float> columns(kernels.row_tile * kFp32Stride);
  std::vector<float> panels(PanelFloats(width, std::min(rows, kFp32Depth)));
  for (std::size_t first = 0; first < rows; first += kFp32Depth) {
    const std::size_t depth = std::min(kFp32Depth, rows - first);
    const float* part = &in[first * width];
    for (std::size_t n = 0; n < width; n += kFp32Panel) {
      for (std::size_t k = 0; k < depth; ++k) {
        const float* from = part + k * width + n;
        std::copy_n(from, std::min(kFp32Panel, width - n), &panels[n * depth + k * kFp32Panel]);
      }
    }
    for (std::size_t i = 0; i < width; i += kernels.row_tile) {
      const std::size_t count = std::min(kernels.row_tile, width - i);
      for (std::size_t k = 0; k < depth; ++k) {
        for (std::size_t c = 0; c < count; ++c)
          columns[c * kFp32Stride + k] = part[k * width + i + c];
      }
      kernels.multiply({.in = columns.data(),
                        .weights = panels.data(),
                        .panel_stride = depth * kFp32Panel,
                        .bias = nullptr,
                        .out = out->data() + i * width,
                        .out_stride = width,
                        .rows = count,
                        .depth = depth,
                        .columns = width});
    }
  }
}

}  // namespace mu8::convert
