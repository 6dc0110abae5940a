// A matrix times itself.
#pragma once

#include <cstddef>
#include <vector>

#include "converters/fp32/kernels.h"

namespace mu8::convert {

// out[i][j] = sum_r in[r][i] * in[r][j], of in [rows][width].
void Gram(const std::vector<float>& in, std::size_t width, const Fp32Kernels& kernels,
          std::vector<float>* out);

}  // namespace mu8::convert
