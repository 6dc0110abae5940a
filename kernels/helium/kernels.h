// Kernels for Helium, the integer vectors of Cortex-M55 and M85 (MVE).
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::helium {

void SamplePanel(const SampleArgs& args);
void UnpackPanel(const SampleArgs& args);
void Convolve(const ConvolveArgs& args);
void ConvolveDepthwise(const ConvolveArgs& args);
void MaxPool(const PoolArgs& args);
// Predictions by moments; the last two only where vectors have floats.
void SquareMeans(const SampleArgs& args);
void UnpackSpread(const SampleArgs& args);
void SecondMoments(const SecondMomentsArgs& args);
void Accumulate(const ConvolveArgs& args);
float ProbeMoments(float a, float b, float c);
void Clip(const ClipArgs& args);
void MaxPoolMoments(const MomentsPoolArgs& args);
extern const MomentsKernels kMoments;

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::helium
