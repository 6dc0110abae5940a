// Algorithm-based fault tolerance (Huang and Abraham 1984): of every output pixel the sum of a
// panel's accumulators over its channels is computed a second time, from sums of weights.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace mu8 {

// A pixel whose sums differ.
struct ProductFault {
  std::uint32_t pixel = 0;  // y * width + x
  std::int64_t found = 0, expected = 0;
};

// What `convolve`, a kernel, does with `args`, and the same bytes. With accumulators it does so for
// all pixels, `slots` apart. Kernels compute accumulators; what follows from them is done here.
// False at the first pixel with
//   sum_c acc[c] != sum_c bias[c] + sum_k (x_k - zero_point) * sum_c w[k][c],
// both sides exact; then `*fault` is set, and later pixels are not written.
bool ConvolveChecked(const kernels::ConvolveArgs& args, bool depthwise, std::uint32_t slots,
                     void (*convolve)(const kernels::ConvolveArgs&), ProductFault* fault);

}  // namespace mu8
