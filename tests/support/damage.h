// Damaged files for the reader: repairs checksums where that is possible, so that damage gets past
// them, and runs whatever is accepted between guard pages.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mu8/mu8.h"
#include "tests/support/guarded_buffer.h"

namespace mu8::testing {

// Recomputes the header's checksum and that of every section that lies inside the file. Unlike
// format::RepairChecksums it trusts nothing.
void RepairDamaged(std::span<std::byte> file);

struct Outcome {
  Status status = Status::kOk;
  Diagnostic diagnostic;               // of Open
  bool ran = false;                    // accepted, and small enough to predict
  std::vector<std::byte> predictions;  // of one fixed image, T = 2
};

// Opens bytes that end at a guard page; predicts in an exact arena that ends at another, where a
// file can, by moments as well.
class Sandbox {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

  Outcome Run(std::span<const std::byte> file);
  // The same through a Source: the same outcome.
  Outcome RunStreamed(std::span<const std::byte> file);

 private:
  void Predict(const Model& model, const SessionOptions& options, Outcome* outcome);

  GuardedBuffer file_{kMaxBytes};
  GuardedBuffer arena_{kMaxBytes};
};

}  // namespace mu8::testing
