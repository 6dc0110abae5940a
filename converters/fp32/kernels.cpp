#include "converters/fp32/kernels.h"

#include <algorithm>

#include "converters/fp32/kernel_sets.h"

namespace mu8::convert {

std::span<const Fp32Kernels* const> AvailableFp32Kernels() {
#if defined(__x86_64__)
  static constexpr const Fp32Kernels* kAll[] = {&fp32_baseline::kKernels, &fp32_avx2::kKernels,
                                                &fp32_avx512::kKernels};
  // The builtins also ask the operating system whether it saves the wide registers.
  const bool has_avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") != 0;
  return std::span(kAll).first(!has_avx2 ? 1U : !has_avx512 ? 2U : 3U);
#else
  static constexpr const Fp32Kernels* kAll[] = {&fp32_baseline::kKernels};
  return kAll;
#endif
}

const Fp32Kernels& BestFp32Kernels() { return *AvailableFp32Kernels().back(); }

std::size_t PanelFloats(std::size_t columns, std::size_t depth) {
  return (columns + kFp32Panel - 1) / kFp32Panel * kFp32Panel * depth;
}

void OrderByPanels(const float* weights, std::size_t columns, std::size_t depth, float* panels) {
  for (std::size_t n = 0; n < columns; n += kFp32Panel, weights += kFp32Panel * depth) {
    const std::size_t count = std::min(kFp32Panel, columns - n);
    for (std::size_t k = 0; k < depth; ++k, panels += kFp32Panel) {
      for (std::size_t i = 0; i < count; ++i) panels[i] = weights[i * depth + k];
      std::fill(panels + count, panels + kFp32Panel, 0.0F);
    }
  }
}

}  // namespace mu8::convert
