// The library's version, as CMakeLists.txt has it (a test holds the two together).
#pragma once

#include <cstdint>

namespace mu8 {

// 0x00MMmmpp: major, minor, patch.
inline constexpr std::uint32_t kLibraryVersion = 0x000200;

}  // namespace mu8
