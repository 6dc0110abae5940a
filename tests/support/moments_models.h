// Small models with what predictions by moments need (FORMAT.md 8.4).
#pragma once

#include <array>
#include <cstddef>

#include "formats/layout.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {

// Layers before the first Bayesian one: their outputs have no variances (FORMAT.md 4, D).
inline std::size_t CertainLayers(const format::FileContent& content) {
  for (std::size_t i = 0; i < content.layers.size(); ++i) {
    if ((content.layers[i].flags & format::kLayerBayesian) != 0) return i;
  }
  return content.layers.size() - 1;
}

// The model with a section 10: steps and factors of some plausible sizes, layer by layer.
inline TestModel WithMoments(TestModel model) {
  constexpr std::array<format::MomentsRecord, 5> kRecords = {
      {{0.05F, 1.5F}, {0.3F, 0.8F}, {1.25F, 1}, {0.01F, 3.3F}, {0.6F, 2}}};
  format::FileContent& content = model.content;
  const std::size_t layers = content.layers.size(), certain = CertainLayers(content);
  content.outputs.moments.assign(layers, {1, 1});
  for (std::size_t i = certain; i < layers; ++i) {
    content.outputs.moments[i] = kRecords.at((i - certain) % kRecords.size());
  }
  content.outputs.moments.back().step = 1;
  return model;
}

}  // namespace mu8::testing
