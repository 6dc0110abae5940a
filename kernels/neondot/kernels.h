// The table of kernels/neondot/: AArch64 with SDOT. Every function equals its scalar definition
// byte for byte; what is not here comes from the table in kernels/neon/.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::neondot {

void Convolve(const ConvolveArgs& args);
// Predictions by moments.
void Accumulate(const ConvolveArgs& args);
extern const MomentsKernels kMoments;

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::neondot
