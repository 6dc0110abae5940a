// Kernels for processors with ARM's DSP extension and no vectors: Cortex-M4, M7, M33.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::armdsp {

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

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::armdsp
