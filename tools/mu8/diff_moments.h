// `mu8 diff --method moments`: predictions by moments beside sampled ones of the same file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "converters/host/datasets.h"

namespace mu8::tool {

struct MomentsDiff {
  std::string model_path, data_path;
  host::DataOptions data;
  std::size_t limit = 128;
  std::uint32_t samples = 50;
  std::uint64_t seed = 1;
  bool json = false;
};

// Throws host::Error for a file without section 10 and for data that do not fit.
void DiffMoments(const MomentsDiff& options);

// What its figures mean, for --help.
extern const char* const kMomentsDiffText;

}  // namespace mu8::tool
