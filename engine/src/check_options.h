// What a session's options may be.
#pragma once

#include <cstdint>

#include "mu8/mu8.h"

namespace mu8 {

// An option that is out of range: what it is and the most it may be (floats in millionths).
struct BadOption {
  Option option = Option::kNone;
  std::uint64_t found = 0, expected = 0;

  bool bad() const { return option != Option::kNone; }
};

// The first option that is out of range.
BadOption CheckOptions(const Model& model, const SessionOptions& options);

}  // namespace mu8
