// Memory whose ends the processor's memory protection unit watches, where there are no pages: a
// read or write behind a slot is a fault, which ends the program with the board's report. Of
// WebAssembly the end of its memory is such a place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mu8::testing {

#if defined(__wasm__)
inline constexpr std::uint32_t kGuardedSlots = 1;
#else
inline constexpr std::uint32_t kGuardedSlots = 8;  // as many as an ARMv7-M unit has regions
#endif
inline constexpr std::size_t kSlotBytes = 16384;

// The last `bytes` of a slot, at most kSlotBytes. Slots from kGuardedSlots on have no guard:
// whoever has more arrays than that takes turns.
std::uint8_t* LastOfSlot(std::uint32_t slot, std::size_t bytes);

// Whether the processor has a unit that can watch; then it does from now on.
bool WatchSlots();

}  // namespace mu8::testing
