// The memory of a session, cut into its parts: sizes that the file states, the reader proves and
// the engine uses.
#pragma once

#include <cstdint>

#include "formats/layout.h"

namespace mu8::format {

// What a session needs (FORMAT.md section 8). The arena of batch B is cut in this order; every part
// starts at a multiple of 64.
struct ArenaLayout {
  std::uint64_t activations;   // u8 [B][activation_bytes]
  std::uint64_t panel;         // s8 [panel_bytes]
  std::uint64_t accumulators;  // s32 [B][P][slots of the last layer]
  // Sums over the passes, for N outputs at P positions. What a head does not have is empty; numbers
  // are kValues, kGaussian and kReconstruction.
  std::uint64_t sum;             // u64 [B][N] p in units of 2^-40; numbers: s64 [B][N] accumulators
  std::uint64_t sum_squares;     // u64 [B][N]; numbers: [B][N][2], the low half first
  std::uint64_t entropy;         // u64 [B][P] expected entropy; kSigmoid: [B][N]
  std::uint64_t noise;           // u64 [B][N][2] variances of noise, kGaussian
  std::uint64_t clamped_scales;  // u64 [B], kGaussian
  std::uint64_t error;           // u64 [B][3] errors and their squares, kReconstruction
  // Results.
  std::uint64_t mean;                     // f32 [B][N]
  std::uint64_t variance;                 // f32 [B][N]
  std::uint64_t output_entropy;           // f32 [B][N], kSigmoid; [B][P], kSoftmax with P > 1
  std::uint64_t output_expected_entropy;  // the same
  std::uint64_t noise_variance;           // f32 [B][N], kGaussian, kValues with section 7
  std::uint64_t target;                   // f32 [B][N] what was given, kReconstruction
  std::uint64_t logits;                   // f32 [T][B][P][class_count] when kept
  std::uint64_t bytes;
};

// `stored_noise`: whether a file of kValues has section 7. With P * class_count at most kMaxOutputs
// and B and T at most 2^16 nothing here passes 2^63.
constexpr ArenaLayout MakeArenaLayout(const ModelRecord& model, std::uint32_t logit_slots,
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
  const std::uint64_t entropies = numbers ? 0 : sigmoid ? outputs : positions;
  ArenaLayout layout{};
  layout.activations = 0;
  layout.panel = b * model.activation_bytes;
  layout.accumulators = layout.panel + RoundUp(model.panel_bytes, kAlignment);
  layout.sum = layout.accumulators + RoundUp(positions * logit_slots * 4, kAlignment);
  layout.sum_squares = layout.sum + RoundUp(outputs * 8, kAlignment);
  layout.entropy = layout.sum_squares + RoundUp(outputs * (numbers ? 16 : 8), kAlignment);
  layout.noise = layout.entropy + RoundUp(entropies * 8, kAlignment);
  layout.clamped_scales = layout.noise + (gaussian ? RoundUp(outputs * 16, kAlignment) : 0);
  layout.error = layout.clamped_scales + (gaussian ? RoundUp(b * 8, kAlignment) : 0);
  layout.mean = layout.error + (reconstruction ? RoundUp(b * 24, kAlignment) : 0);
  layout.variance = layout.mean + RoundUp(outputs * 4, kAlignment);
  layout.output_entropy = layout.variance + RoundUp(outputs * 4, kAlignment);
  const bool has_entropies = sigmoid || (!numbers && positions > b);
  const std::uint64_t by_output = has_entropies ? RoundUp(entropies * 4, kAlignment) : 0;
  layout.output_expected_entropy = layout.output_entropy + by_output;
  layout.noise_variance = layout.output_expected_entropy + by_output;
  const bool noise = gaussian || stored_noise;
  layout.target = layout.noise_variance + (noise ? RoundUp(outputs * 4, kAlignment) : 0);
  layout.logits = layout.target + (reconstruction ? RoundUp(outputs * 4, kAlignment) : 0);
  const std::uint64_t logits = kept_logit_passes * positions * model.class_count;
  layout.bytes = layout.logits + RoundUp(logits * 4, kAlignment);
  return layout;
}

}  // namespace mu8::format
