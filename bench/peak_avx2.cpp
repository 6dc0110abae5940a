// vpmaddwd + vpaddd: 16 products of int16 in 8 sums. There is no exact product of bytes in AVX2, so
// this is the peak of kernels/avx2/ and of every other exact kernel.
#include <immintrin.h>

#include "bench/peak.h"

namespace mu8::bench {
namespace {

constexpr int kSums = 10;  // independent chains; with two operands and a product 13 of 16 registers

void Multiply(std::uint64_t iterations) {
  __m256i x = _mm256_set1_epi16(3);
  __m256i w = _mm256_set1_epi16(5);
  __m256i sums[kSums];
  // All loops over the sums are unrolled: g++ would keep an array that one loop indexes in memory.
#pragma GCC unroll 16
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (std::uint64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (__m256i& sum : sums) {
      __asm__("" : "+x"(x));  // the product is new to the compiler every time
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
      __asm__("" : "+x"(sum));
    }
  }
#pragma GCC unroll 16
  for (__m256i& sum : sums) __asm__ volatile("" : : "x"(sum));
}

}  // namespace

const MultiplyLoop kMultiplyAvx2 = {"avx2", "vpmaddwd + vpaddd, 256 bits", kSums * 16.0, Multiply};

void ReadAvx2(const std::byte* data, std::size_t bytes, std::uint64_t times) {
  __m256i a = _mm256_setzero_si256();
  __m256i b = a;
  for (std::uint64_t t = 0; t < times; ++t) {
    for (std::size_t i = 0; i < bytes; i += 256) {
      const auto* from = reinterpret_cast<const __m256i*>(data + i);
#pragma GCC unroll 4
      for (int k = 0; k < 8; k += 2) {
        a = _mm256_or_si256(a, _mm256_load_si256(from + k));
        b = _mm256_or_si256(b, _mm256_load_si256(from + k + 1));
      }
    }
    __asm__ volatile("" : "+x"(a), "+x"(b) : : "memory");
  }
}

}  // namespace mu8::bench
