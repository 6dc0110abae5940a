// How much work randomized tests do. Emulators get the small number (MU8_TEST_LIGHT is set by
// tests/CMakeLists.txt for cross builds); the test `thorough` sets MU8_TEST_EFFORT=N and gets N
// times the full one.
#pragma once

#include <cstdlib>

namespace mu8::testing {

#if defined(MU8_TEST_LIGHT)
inline constexpr bool kLight = true;
#else
inline constexpr bool kLight = false;
#endif

inline int Thoroughness() {
  static const int times = [] {
    const char* text = std::getenv("MU8_TEST_EFFORT");
    return text == nullptr ? 1 : std::atoi(text);
  }();
  return times;
}

inline int Effort(int full, int light) { return kLight ? light : full * Thoroughness(); }

}  // namespace mu8::testing
