// The engine written a second time from the formulas of FORMAT.md, for comparison: one loop per
// sum in int64 over plain weight arrays, no panels, no physical padding, no kernels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/support/model_builder.h"

namespace mu8::testing {

enum class Mirror { kNo, kYes };  // whether every epsilon is negated

// The logits of one pass, NHWC, for one image of raw pixels (NHWC).
std::vector<float> ReferenceLogits(const TestModel& model, std::span<const std::uint8_t> pixels,
                                   std::uint64_t seed, std::uint32_t pass,
                                   Mirror mirror = Mirror::kNo);

}  // namespace mu8::testing
