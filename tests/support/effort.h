// How much work randomized tests do. Emulators get the small number (MU8_TEST_LIGHT is set by
// tests/CMakeLists.txt for cross builds).
#pragma once

namespace mu8::testing {

#if defined(MU8_TEST_LIGHT)
inline constexpr bool kLight = true;
#else
inline constexpr bool kLight = false;
#endif

constexpr int Effort(int full, int light) { return kLight ? light : full; }

}  // namespace mu8::testing
