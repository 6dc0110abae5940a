// A convolution or dense layer of a prediction by moments, and one of its panels: that of the
// means, and those of the squares that variances come from (FORMAT.md 13.2).
#pragma once

#include <cstdint>

#include "engine/src/moments.h"
#include "engine/src/weighted_layer.h"
#include "kernels/moments.h"

namespace mu8 {

inline constexpr std::int32_t kNoBias[kernels::kPanelWidth] = {};

// Which panels a layer has, and how large they are.
struct MomentsPanels {
  bool bayesian;   // weights have variances
  bool uncertain;  // inputs have
  bool unpacked;   // means are not used where the file has them
  // In the first piece squares lie behind means: of the last layer the means of all panels.
  std::uint64_t squares, squares_end, spread_end;

  MomentsPanels(const format::View& view, const format::LayerRecord& record, bool all_means);
};

struct MomentsLayer {
  WeightedLayer work;
  MomentsPanels panels;
  bool is_dense;
  void (*convolve)(const kernels::ConvolveArgs&);
  // Or null: pixel by pixel.
  void (*accumulate)(const kernels::ConvolveArgs&);
  void (*accumulate_squares)(const kernels::ConvolveArgs&);
  float factor, step_in;
  std::uint32_t gain, variance_gain;                   // of second moments: C, H
  std::uint8_t* pieces[MomentsScratch::kPieces] = {};  // of the scratch

  MomentsLayer(const Layer& layer, PassContext* context);
  // Finds the scratch. False, and context->failed: it has changed since Open that it would not fit.
  bool FindScratch();

  // Of `bytes` of the input, from somewhere on.
  void FindSecondMoments(const std::uint8_t* means, const std::uint8_t* variances,
                         std::size_t bytes, std::uint8_t* to) const;
};

struct MomentsPanel {
  const std::int8_t* means;
  const std::int8_t* spread;
  const std::int8_t* squares;
  const std::int32_t* bias;
  float k_spread[kernels::kPanelWidth], k_input[kernels::kPanelWidth], k_bias[kernels::kPanelWidth];
  kernels::ClipArgs clip{};  // what all its pixels share

  // Makes the panel at `mu` in the scratch; also sets the layer's convolve to its channels. False,
  // and context->failed: it has changed since Open.
  bool Set(const format::MuCursor& mu, MomentsLayer* layer);
};

// Of the last layer: moments_outputs.cpp.
MomentsScratch OutputsScratch(const format::View& view, const MomentsPanels& panels,
                              const format::LayerRecord& record, const format::Operands& operands);

}  // namespace mu8
