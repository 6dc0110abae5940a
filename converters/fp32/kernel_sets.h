// The FP32 kernels by instruction set: kernel_sets.cpp once each (CMakeLists.txt).
#pragma once

#include "converters/fp32/kernels.h"

namespace mu8::convert {

namespace fp32_baseline {
extern const Fp32Kernels kKernels;  // what every processor of the architecture has
}
namespace fp32_avx2 {
extern const Fp32Kernels kKernels;  // and FMA
}
namespace fp32_avx512 {
extern const Fp32Kernels kKernels;  // F
}

}  // namespace mu8::convert
