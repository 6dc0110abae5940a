// The memory of a session and its parts: sizes that the file states, the reader proves and the
// engine uses.
#pragma once

#include <array>
#include <cstdint>

#include "formats/layout.h"

namespace mu8::format {

// What a session needs (FORMAT.md section 8), for N outputs at P positions. What a head does not
// have is empty; numbers are kValues, kGaussian and kReconstruction.
enum ArenaPart : std::uint32_t {
  kActivationsPart,   // u8 [B][activation_bytes]
  kPanelPart,         // s8 [panel_bytes]
  kAccumulatorsPart,  // s32 [B][P][slots of the last layer]
  // Sums over the passes.
  kSumPart,            // u64 [B][N] p in units of 2^-40; numbers: s64 [B][N] accumulators
  kSumSquaresPart,     // u64 [B][N]; numbers: [B][N][2], the low half first
  kEntropyPart,        // u64 [B][P] expected entropy; kSigmoid: [B][N]
  kNoisePart,          // u64 [B][N][2] variances of noise, kGaussian
  kClampedScalesPart,  // u64 [B], kGaussian
  kErrorPart,          // u64 [B][3] errors and their squares, kReconstruction
  // Results.
  kMeanPart,                   // f32 [B][N]
  kVariancePart,               // f32 [B][N]
  kOutputEntropyPart,          // f32 [B][N], kSigmoid; [B][P], kSoftmax with P > 1
  kOutputExpectedEntropyPart,  // the same
  kNoiseVariancePart,          // f32 [B][N], kGaussian, kValues with section 7
  kTargetPart,                 // f32 [B][N] what was given, kReconstruction
  kLogitsPart,                 // f32 [T][B][P][class_count] when kept
  kArenaParts
};
using ArenaSizes = std::array<std::uint64_t, kArenaParts>;  // in bytes

// `stored_noise`: whether a file of kValues has section 7. With P * class_count at most kMaxOutputs
// and B and T at most 2^16 no sum of these passes 2^63.
constexpr ArenaSizes MakeArenaSizes(const ModelRecord& model, std::uint32_t logit_slots,
                                    std::uint32_t batch, std::uint32_t kept_logit_passes,
                                    bool stored_noise) {
  const auto head = static_cast<Head>(model.head);
  const std::uint64_t b = batch;
  const std::uint64_t positions = b * OutputPositions(model);
  const std::uint64_t outputs = positions * OutputChannels(model);
  const bool sigmoid = head == Head::kSigmoid;
  const bool gaussian = head == Head::kGaussian;
  const bool reconstruction = head == Head::kReconstruction;
  const bool numbers = gaussian || reconstruction || head == Head::kValues;
  ArenaSizes sizes{};
  sizes[kActivationsPart] = b * model.activation_bytes;
  sizes[kPanelPart] = model.panel_bytes;
  sizes[kAccumulatorsPart] = positions * logit_slots * 4;
  sizes[kSumPart] = outputs * 8;
  sizes[kSumSquaresPart] = outputs * (numbers ? 16 : 8);
  const std::uint64_t entropies = numbers ? 0 : sigmoid ? outputs : positions;
  sizes[kEntropyPart] = entropies * 8;
  if (gaussian) sizes[kNoisePart] = outputs * 16;
  if (gaussian) sizes[kClampedScalesPart] = b * 8;
  if (reconstruction) sizes[kErrorPart] = b * 24;
  sizes[kMeanPart] = sizes[kVariancePart] = outputs * 4;
  if (sigmoid || (!numbers && positions > b)) {
    sizes[kOutputEntropyPart] = sizes[kOutputExpectedEntropyPart] = entropies * 4;
  }
  if (gaussian || stored_noise) sizes[kNoiseVariancePart] = outputs * 4;
  if (reconstruction) sizes[kTargetPart] = outputs * 4;
  sizes[kLogitsPart] = kept_logit_passes * positions * model.class_count * 4;
  return sizes;
}

// FORMAT.md's sum: parts one behind the other, each rounded up to 64.
constexpr std::uint64_t SumOfParts(const ArenaSizes& sizes) {
  std::uint64_t bytes = 0;
  for (const std::uint64_t size : sizes) bytes += RoundUp(size, kAlignment);
  return bytes;
}

}  // namespace mu8::format
