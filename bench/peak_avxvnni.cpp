// vpdpbusd on 256 bits: 32 products of bytes in 8 sums.
#include <immintrin.h>

#include "bench/peak.h"

namespace mu8::bench {
namespace {

constexpr int kSums = 12;  // two a cycle with a latency of 5 cycles need 10

void Multiply(std::uint64_t iterations) {
  const __m256i x = _mm256_set1_epi8(3);
  const __m256i w = _mm256_set1_epi8(5);
  __m256i sums[kSums];
#pragma GCC unroll 12
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (std::uint64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) {
      __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
    }
  }
}

}  // namespace

const MultiplyLoop kMultiplyAvxVnni = {"avxvnni", "vpdpbusd, 256 bits", kSums * 32.0, Multiply};

}  // namespace mu8::bench
