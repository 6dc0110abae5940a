// Memory of a prediction by moments beside tensors.
#pragma once

#include <cstdint>

namespace mu8 {

// What layers need beside tensors, in four pieces of whole cache lines: of a session's single image
// the first two lie among its activations, the others among its variances, where no tensor is
// alive.
struct MomentsScratch {
  static constexpr std::uint32_t kPieces = 4;
  std::uint64_t bytes[kPieces] = {};
};
enum MomentsPiece : std::uint32_t {
  kSquaresPiece,       // panels of means and of their squares
  kSecondsPiece,       // second moments of inputs
  kSpreadPiece,        // a panel of what weights are drawn with
  kAccumulatorsPiece,  // and all else
};
}  // namespace mu8
