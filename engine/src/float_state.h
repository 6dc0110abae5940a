// The caller's floating-point state, put aside. Rounding to nearest and gradual underflow are part
// of what a prediction is a function of; a host that has called fesetround(), or a thread that
// flushes subnormals to zero, would change its bytes without a word.
#pragma once

#include <cstdint>

namespace mu8 {

// While it lives, this thread computes as IEEE 754 does by default: to nearest, ties to even, no
// flushing, no traps. Then the caller's state returns as it was. A few instructions. The functions
// that compute are in other translation units, so that no compiler moves them past it. Where the
// processor is none of those below the state stays the caller's, which must be the default.
class FloatState {
 public:
  FloatState();
  ~FloatState() { Set(saved_); }
  FloatState(const FloatState&) = delete;
  FloatState& operator=(const FloatState&) = delete;

 private:
#if defined(__i386__) && defined(__SSE__)
  // Conversions of 64-bit integers run on x87, which has a state of its own.
  struct Control {
    std::uint32_t mxcsr;
    std::uint16_t x87;
  };
  static constexpr Control kDefault = {0x1f80, 0x037f};  // all exceptions masked, 64-bit mantissas
  static Control Get() {
    Control control{__builtin_ia32_stmxcsr(), 0};
    asm volatile("fnstcw %0" : "=m"(control.x87));
    return control;
  }
  static void Set(const Control& control) {
    __builtin_ia32_ldmxcsr(control.mxcsr);
    asm volatile("fldcw %0" : : "m"(control.x87) : "memory");
  }
#elif defined(__x86_64__)
  using Control = std::uint32_t;
  static constexpr Control kDefault = 0x1f80;  // MXCSR: all exceptions masked
  static Control Get() { return __builtin_ia32_stmxcsr(); }
  static void Set(Control control) { __builtin_ia32_ldmxcsr(control); }
#elif defined(__aarch64__)
  using Control = std::uint64_t;
  static constexpr Control kDefault = 0;
  static Control Get() {
    Control control;
    asm volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
  static void Set(Control control) { asm volatile("msr fpcr, %0" : : "r"(control) : "memory"); }
#elif defined(__arm__) && defined(__ARM_FP)
  using Control = std::uint32_t;
  static constexpr Control kDefault = 0;
  // LTPSIZE of Armv8.1-M: whether loops are predicated. Low-overhead loops fault if it is changed.
  static constexpr Control kKept = 7U << 16;
  static Control Get() {
    Control control;
    asm volatile("vmrs %0, fpscr" : "=r"(control));
    return control;
  }
  static void Set(Control control) { asm volatile("vmsr fpscr, %0" : : "r"(control) : "memory"); }
#elif defined(__riscv_flen)
  using Control = std::uint32_t;
  static constexpr Control kDefault = 0;
  static Control Get() {
    Control control;
    asm volatile("frcsr %0" : "=r"(control));
    return control;
  }
  static void Set(Control control) { asm volatile("fscsr %0" : : "r"(control) : "memory"); }
#else
  using Control = std::uint32_t;
  static constexpr Control kDefault = 0;
  static Control Get() { return kDefault; }
  static void Set(Control) {}
#endif

  Control saved_;
};

inline FloatState::FloatState() : saved_(Get()) {
#if defined(__arm__) && defined(__ARM_FP) && __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH >= 8
  Set(kDefault | (saved_ & kKept));
#else
  Set(kDefault);
#endif
}

}  // namespace mu8
