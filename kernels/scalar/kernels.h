// The definition of every kernel, in plain C++. Slow and obvious; others are tested against it, and
// reuse the parts that are no hot loop.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/taps.h"

namespace mu8::kernels::scalar {

void SamplePanel(const SampleArgs& args);
void UnpackPanel(const SampleArgs& args);
void Convolve(const ConvolveArgs& args);
void ConvolveDepthwise(const ConvolveArgs& args);
void MaxPool(const PoolArgs& args);
void AveragePool(const PoolArgs& args);
void Add(const ElementwiseArgs& args);
void Multiply(const ElementwiseArgs& args);
void Lookup(const LookupArgs& args);

// Sets the weights of padded inputs to 0: the last bytes of the last group of 4 of each run that
// ends in this piece.
void SilencePadding(const SampleArgs& args);

// The bias of channel c; its epsilon is of byte 0 of lane c, of the step after the weights.
inline void DrawBias(const SampleArgs& args, std::uint32_t c, std::int32_t epsilon) {
  const std::int32_t noise = RoundShift(args.bias_level[c] * epsilon, args.bias_shift[c]);
  args.bias[c] = AddWrapping(args.bias_mu[c], noise);
}

// The level of panel byte i, of channel i / 4 % width.
std::int32_t SigmaLevel(const SampleArgs& args, std::size_t i, std::uint32_t channel);

// q of FORMAT.md section 6.5.
std::uint8_t Requantize(std::int32_t accumulator, float multiplier, std::int32_t zero_out,
                        std::int32_t clamp_min, std::int32_t clamp_max);

// Predictions by moments.
void SquareMeans(const SampleArgs& args);
void UnpackSpread(const SampleArgs& args);
void SecondMoments(const SecondMomentsArgs& args);
void Clip(const ClipArgs& args);
extern const MomentsKernels kMoments;

float ProbeMoments(float a, float b, float c);
float ProbeConvolve(float a, float b, float c);
float ProbePool(float a, float b, float c);

extern const KernelTable kTable;

}  // namespace mu8::kernels::scalar
