// The library's version, as CMakeLists.txt has it (a test holds the two together), and the language
// that its headers are in: options.h includes this page first, so that a build without C++20 says
// so before it fails at what it lacks.
#pragma once

// GCC 10 says 201709 of its C++20.
#if __cplusplus < 201709L || (defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 10)
#error "mu8 is C++20: -std=gnu++20, also for what includes it; GCC 10 or clang 12 at least"
#endif

#include <cstdint>

namespace mu8 {

// 0x00MMmmpp: major, minor, patch.
inline constexpr std::uint32_t kLibraryVersion = 0x000200;

}  // namespace mu8
