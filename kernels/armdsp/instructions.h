// Instructions of the DSP extension (Cortex-M4, M7, M33 and up) as functions: arm_acle.h lacks
// some, and gives others without the rotation that they have for free. A word holds 4 bytes or 2
// halves, and "even" and "odd" are bytes 0 and 2, 1 and 3.
#pragma once

#include <cstdint>
#include <cstring>

namespace mu8::kernels::armdsp {

// From any address: a processor that traps unaligned accesses gets four loads of bytes.
inline std::uint32_t Load(const void* from) {
  std::uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}
inline void Store(void* to, std::uint32_t word) { std::memcpy(to, &word, sizeof(word)); }

// Each is one instruction; `rotation` is empty or ", ror #8".
#define MU8_DSP(name, instruction, rotation)                                     \
  inline std::uint32_t name(std::uint32_t a, std::uint32_t b) {                  \
    std::uint32_t result;                                                        \
    __asm__(instruction " %0, %1, %2" rotation : "=r"(result) : "r"(a), "r"(b)); \
    return result;                                                               \
  }
// The halves of a + the even (odd) bytes of b, unsigned or signed.
MU8_DSP(AddEven, "uxtab16", "")
MU8_DSP(AddOdd, "uxtab16", ", ror #8")
MU8_DSP(AddSignedEven, "sxtab16", "")
MU8_DSP(AddSignedOdd, "sxtab16", ", ror #8")
// The low halves of a and b.
MU8_DSP(Pack, "pkhbt", ", lsl #16")
// Byte by byte, saturated to -128..127.
MU8_DSP(SaturatedAdd, "qadd8", "")
MU8_DSP(SaturatedSubtract, "qsub8", "")
#undef MU8_DSP

// The high halves of a and b.
inline std::uint32_t PackHigh(std::uint32_t a, std::uint32_t b) {
  std::uint32_t result;
  __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

// sum + the products of both halves.
inline std::int32_t MultiplyAdd(std::uint32_t a, std::uint32_t b, std::int32_t sum) {
  std::int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}

// The even bytes, as halves.
inline std::uint32_t Even(std::uint32_t word) {
  std::uint32_t halves;
  __asm__("uxtb16 %0, %1" : "=r"(halves) : "r"(word));
  return halves;
}

// Each half saturated to -128..127.
inline std::uint32_t Saturate(std::uint32_t halves) {
  std::uint32_t result;
  __asm__("ssat16 %0, #8, %1" : "=r"(result) : "r"(halves));
  return result;
}

// Stores both words; returns where the next ones go.
inline std::uint32_t* StorePair(std::uint32_t* to, std::uint32_t a, std::uint32_t b) {
  __asm__ volatile("strd %1, %2, [%0], #8" : "+r"(to) : "r"(a), "r"(b) : "memory");
  return to;
}

// (a * b + 2^31) >> 32
inline std::uint32_t RoundedHigh(std::int32_t a, std::int32_t b) {
  std::uint32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
}

// A function of assembler alone. g++ would look into it and find no use of what it is given.
#if defined(__clang__)
#define MU8_NAKED __attribute__((naked))
#else
#define MU8_NAKED __attribute__((naked, noipa))
#endif

constexpr std::uint32_t kOnes = 0x01010101;  // 1 in each byte

// Byte by byte, unsigned.
inline std::uint32_t Most(std::uint32_t a, std::uint32_t b) {
  std::uint32_t most;
  __asm__("usub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(most) : "r"(a), "r"(b) : "cc");
  return most;
}
inline std::uint32_t Least(std::uint32_t a, std::uint32_t b) {
  std::uint32_t least;
  __asm__("usub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(least) : "r"(a), "r"(b) : "cc");
  return least;
}

}  // namespace mu8::kernels::armdsp
