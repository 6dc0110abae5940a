// Kernels for WebAssembly's 128-bit vectors, those of the first version alone: what "relaxed"
// instructions give is each machine's own.
#pragma once

#include "kernels/kernel_table.h"

namespace mu8::kernels::wasm128 {

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
void Accumulate(const ConvolveArgs& args);
void AddSoftmaxRows(const RowsArgs& args);
void MaxPoolMoments(const MomentsPoolArgs& args);
float ProbeMoments(float a, float b, float c);
extern const MomentsKernels kMoments;

float ProbeConvolve(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::wasm128
