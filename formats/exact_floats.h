// Included by whatever computes with floats: a build whose compiler would give other bytes is
// refused, or the compiler told not to, or found out when it runs. Flush-to-zero and the caller's
// rounding mode are put aside at run time (engine/src/float_state.h).
#pragma once

// Operations in another order, or with more bits between them.
#if defined(__FAST_MATH__)
#error "mu8 computes the same bytes everywhere: build it without -ffast-math"
#endif
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "mu8 computes the same bytes everywhere: build it without x87 (-msse2 -mfpmath=sse)"
#endif

// A multiplication and an addition fused into one operation that rounds once. Our own builds have
// -ffp-contract=off; who compiles the sources in another way need not know of it. g++ fuses unless
// told otherwise and does not know the standard's pragma. Where there is no such instruction
// nothing is said.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__) && (defined(__FP_FAST_FMAF) || defined(__FP_FAST_FMA))
#pragma GCC optimize("fp-contract=off")
#endif

namespace mu8 {

// Flags that no macro tells of (-fassociative-math, -ffp-contract=fast behind the pragma, a
// compiler that knows neither) are found by a value: fused, reordered or with more bits in between
// it is another. Each translation unit that computes makes a function of it, compiled as all else
// there; format::IsExact (formats/self_test.h) calls it with a few dozen numbers.
using FloatProbe = float (*)(float a, float b, float c);
__attribute__((always_inline)) inline float ProbeFloats(float a, float b, float c) {
  const float difference = a * b - c;
  return (difference - ((difference + a) - a)) / b;  // what the sum loses of it
}

}  // namespace mu8
