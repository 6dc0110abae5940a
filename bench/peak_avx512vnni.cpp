// vpdpbusd on 512 bits: 64 products of bytes in 16 sums.
#include <immintrin.h>

#include "bench/peak.h"

namespace mu8::bench {
namespace {

constexpr int kSums = 16;  // two a cycle with a latency of 5 cycles need 10

void Multiply(std::uint64_t iterations) {
  const __m512i x = _mm512_set1_epi8(3);
  const __m512i w = _mm512_set1_epi8(5);
  __m512i sums[kSums];
#pragma GCC unroll 16
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (std::uint64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) {
      __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    }
  }
}

}  // namespace

const MultiplyLoop kMultiplyAvx512Vnni = {"avx512vnni", "vpdpbusd, 512 bits", kSums * 64.0,
                                          Multiply};

void ReadAvx512(const std::byte* data, std::size_t bytes, std::uint64_t times) {
  __m512i a = _mm512_setzero_si512();
  __m512i b = a;
  for (std::uint64_t t = 0; t < times; ++t) {
    for (std::size_t i = 0; i < bytes; i += 512) {
      const std::byte* from = data + i;
#pragma GCC unroll 4
      for (int k = 0; k < 512; k += 128) {
        a = _mm512_or_si512(a, _mm512_load_si512(from + k));
        b = _mm512_or_si512(b, _mm512_load_si512(from + k + 64));
      }
    }
    __asm__ volatile("" : "+v"(a), "+v"(b) : : "memory");
  }
}

}  // namespace mu8::bench
