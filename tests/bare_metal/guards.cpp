#include "tests/bare_metal/guards.h"

extern "C" const char FLASH_ORIGIN[], FLASH_SIZE[], RAM_ORIGIN[], RAM_SIZE[];  // by their addresses

namespace mu8::testing {
namespace {

constexpr std::uint32_t kSlots = 12;

}  // namespace

#if defined(__wasm__)
namespace {

// A module's memory ends with a fault and has no other guard: one slot lies at its end.
alignas(64) std::uint8_t slots[kSlots][kSlotBytes];
std::uint8_t* guarded = nullptr;

}  // namespace

std::uint8_t* LastOfSlot(std::uint32_t slot, std::size_t bytes) {
  return (slot < kGuardedSlots ? guarded : slots[slot]) + kSlotBytes - bytes;
}

bool WatchSlots() {
  constexpr std::size_t kPageBytes = 65536;
  const std::size_t pages = __builtin_wasm_memory_grow(0, 1);
  if (pages == static_cast<std::size_t>(-1)) return false;
  guarded = reinterpret_cast<std::uint8_t*>((pages + 1) * kPageBytes - kSlotBytes);
  return true;
}
#else
namespace {

constexpr std::size_t kGuardBytes = 32;  // the least of a region
struct Slot {
  std::uint8_t data[kSlotBytes];
  std::uint8_t guard[kGuardBytes];
};
alignas(64) Slot slots[kSlots];

// ARMv7-M Architecture Reference Manual, B3.5; ARMv8-M, D1.2.
#if !defined(__ARM_ARCH_6M__)
volatile std::uint32_t& Register(std::uint32_t offset) {
  return *reinterpret_cast<volatile std::uint32_t*>(0xe000ed90U + offset);
}
constexpr std::uint32_t kType = 0, kControl = 4, kNumber = 8, kBase = 12, kLimit = 16;

template <typename T>
std::uint32_t Address(const T* pointer) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

void SetRegion(std::uint32_t number, std::uint32_t base, std::uint32_t limit) {
  Register(kNumber) = number;
  Register(kBase) = base;
  Register(kLimit) = limit;
}

void Enable(std::uint32_t control) {
  Register(kControl) = control;
  __asm__ volatile("dsb\n isb" ::: "memory");
}
#endif

}  // namespace

std::uint8_t* LastOfSlot(std::uint32_t slot, std::size_t bytes) {
  return slots[slot].data + kSlotBytes - bytes;
}

#if defined(__ARM_ARCH_6M__)
bool WatchSlots() { return false; }
#elif defined(__ARM_ARCH_8M_MAIN__) || __ARM_ARCH >= 8
// What is in no region is closed: regions of flash, of RAM before and behind the guarded slots, and
// of the slots.
bool WatchSlots() {
  constexpr std::uint32_t kAttributes = 0x30;  // MAIR0
  constexpr std::uint32_t kReadWrite = 3, kReadOnly = 6,
                          kOn = 1;  // both for data; code is read only
  if ((Register(kType) >> 8 & 255) < kGuardedSlots + 3) return false;
  Register(kAttributes) = 0x44;  // normal memory, not cached
  const std::uint32_t end = Address(&slots[kGuardedSlots]);
  SetRegion(0, Address(FLASH_ORIGIN) | kReadOnly,
            ((Address(FLASH_ORIGIN) + Address(FLASH_SIZE) - 1) & ~31U) | kOn);
  SetRegion(1, Address(RAM_ORIGIN) | kReadWrite, ((Address(slots) - 1) & ~31U) | kOn);
  SetRegion(2, end | kReadWrite, ((Address(RAM_ORIGIN) + Address(RAM_SIZE) - 1) & ~31U) | kOn);
  for (std::uint32_t i = 0; i < kGuardedSlots; ++i) {
    SetRegion(3 + i, Address(slots[i].data) | kReadWrite,
              ((Address(slots[i].guard) - 1) & ~31U) | kOn);
  }
  Enable(1);
  return true;
}
#else
// Regions close what the processor's own map leaves open.
bool WatchSlots() {
  constexpr std::uint32_t kSize32 = 4 << 1, kNoAccess = 0, kNoCode = 1U << 28, kOn = 1;
  if ((Register(kType) >> 8 & 255) < kGuardedSlots) return false;
  for (std::uint32_t i = 0; i < kGuardedSlots; ++i) {
    SetRegion(i, Address(slots[i].guard), kNoCode | kNoAccess | kSize32 | kOn);
  }
  Enable(5);  // and the map for the rest
  return true;
}
#endif
#endif

}  // namespace mu8::testing
