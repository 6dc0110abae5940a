// The table of kernels/portable/: plain C++ without vectors, for processors that have none, in few
// instructions and little code. Every function equals its scalar definition byte for byte.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::portable {

void SamplePanel(const SampleArgs& args);
void UnpackPanel(const SampleArgs& args);
void Convolve(const ConvolveArgs& args);
void ConvolveDepthwise(const ConvolveArgs& args);
void MaxPool(const PoolArgs& args);
// Predictions by moments.
void SquareMeans(const SampleArgs& args);
void UnpackSpread(const SampleArgs& args);
void Accumulate(const ConvolveArgs& args);
extern const MomentsKernels kMoments;

// What scalar::Requantize gives.
std::uint8_t RequantizeInIntegers(std::int32_t accumulator, float multiplier, std::int32_t zero_out,
                                  std::int32_t clamp_min, std::int32_t clamp_max);

// Whether floats are instructions.
#if defined(__arm__) && (!defined(__ARM_FP) || (__ARM_FP & 4) == 0) || \
    defined(__riscv) && !defined(__riscv_flen)
inline constexpr bool kHasFloats = false;
#else
inline constexpr bool kHasFloats = true;
#endif

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::portable
