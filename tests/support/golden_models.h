// The golden models: what is committed in tests/data/golden, as it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "tests/support/model_builder.h"

namespace mu8::testing {

// Of what is predicted: 8 images of RandomPixels with seed 7, with this seed of the noise.
inline constexpr std::uint64_t kGoldenSeed = 2026;
inline constexpr std::size_t kGoldenImages = 8;

struct Golden {
  int version_minor;  // the least that has what the model uses: FORMAT.md 2
  TestModel model;
};

std::map<std::string, Golden> GoldenModels();

}  // namespace mu8::testing
