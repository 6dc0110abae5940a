// The table of kernels/avx512vnni/. Every function equals its scalar definition byte for byte.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::avx512vnni {

void SamplePanel(const SampleArgs& args);
void UnpackPanel(const SampleArgs& args);
void Convolve(const ConvolveArgs& args);
void ConvolveDepthwise(const ConvolveArgs& args);
void MaxPool(const PoolArgs& args);
// Predictions by moments.
void SquareMeans(const SampleArgs& args);
void UnpackSpread(const SampleArgs& args);
void SecondMoments(const SecondMomentsArgs& args);
void Clip(const ClipArgs& args);
void AddSoftmaxRows(const RowsArgs& args);
void WeightedSums(const WeightedSumsArgs& args);
void MaxPoolMoments(const MomentsPoolArgs& args);
void Accumulate(const ConvolveArgs& args);
float ProbeMoments(float a, float b, float c);
extern const MomentsKernels kMoments;

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::avx512vnni
