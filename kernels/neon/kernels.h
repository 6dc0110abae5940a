// The table of kernels/neon/, for AArch64 and for ARMv7 with NEON. Every function equals its scalar
// definition byte for byte.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::neon {

void SamplePanel(const SampleArgs& args);
void UnpackPanel(const SampleArgs& args);
void Convolve(const ConvolveArgs& args);
void ConvolveDepthwise(const ConvolveArgs& args);
void MaxPool(const PoolArgs& args);

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::neon
