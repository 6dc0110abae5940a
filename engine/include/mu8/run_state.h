// Where a session's run stands between two steps. Part of Session, for the engine alone.
#pragma once

#include <cstdint>

namespace mu8 {

// The layer that is next, and of one with weights the panel, whose means begin at `mu_offset`, and
// the shift of its residual, once it is known.
struct LayerCursor {
  std::uint32_t layer = 0, panel = 0;
  std::int32_t residual_shift = 0;
  std::uint64_t mu_offset = 0;
};

struct RunState {
  std::uint32_t images = 0;            // 0: none was begun
  std::uint32_t active = 0;            // those that are not decided
  std::uint32_t passes = 0;            // added to the sums
  std::uint32_t first_pass_layer = 0;  // those before it are the same in every pass
  bool by_moments = false;             // the pass at hand is one by moments
  bool done = false;
  LayerCursor at;
};

}  // namespace mu8
