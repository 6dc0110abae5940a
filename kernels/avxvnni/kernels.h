// The table of kernels/avxvnni/: avx2's, but for convolutions. Every function equals its scalar
// definition byte for byte.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::avxvnni {

void Convolve(const ConvolveArgs& args);
void ConvolveDepthwise(const ConvolveArgs& args);
// Predictions by moments.
void Accumulate(const ConvolveArgs& args);
extern const MomentsKernels kMoments;

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::avxvnni
