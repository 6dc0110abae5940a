// Whether a translation unit was compiled to compute as IEEE 754 has it (formats/exact_floats.h).
// Open and Session::Create ask for each unit that they rely on; a build of ours always passes.
#pragma once

#include <cstdint>

#include "formats/exact_floats.h"
#include "mu8/config.h"

namespace mu8::format {

inline constexpr int kProbeValues = 24;
// The values' bits in one number, the same for all units.
inline constexpr std::uint32_t kProbeHash = 0xa68097d8;

// What `probe`, ProbeFloats of some unit, makes of kProbeValues numbers.
std::uint32_t HashProbe(FloatProbe probe);
// True without a look where the build leaves the self-test out (mu8/config.h): some 600 bytes.
inline bool IsExact(FloatProbe probe) {
  return !config::kSelfTest || HashProbe(probe) == kProbeHash;
}

}  // namespace mu8::format
