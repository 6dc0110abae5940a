// What the running processor and its operating system offer to kernels.
#include "kernels/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#elif defined(__APPLE__) && defined(__aarch64__)
#include <sys/sysctl.h>
#endif

namespace mu8::kernels {
namespace {

// What the compiler may use everywhere: the binary would not run without it.
constexpr std::uint32_t CompiledFor() {
  std::uint32_t features = 0;
#if defined(__ARM_NEON)
  features |= kFeatureNeon;
#endif
#if defined(__ARM_FEATURE_DOTPROD)
  features |= kFeatureNeonDot;
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
  features |= kFeatureNeonI8mm;
#endif
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE)
  if (__ARM_ARCH_PROFILE == 'M') features |= kFeatureArmDsp;
#endif
#if defined(__ARM_FEATURE_MVE)
  features |= kFeatureHelium;
#endif
#if defined(__wasm_simd128__)
  features |= kFeatureWasm128;
#endif
  return features;
}

#if defined(__x86_64__)
// clang 14's __builtin_cpu_supports does not know "avxvnni". The caller asks for AVX2 first, and
// with it whether the operating system saves the registers.
bool ProcessorHasAvxVnni() {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
  constexpr std::uint32_t kAvxVnniBit = 1U << 4;  // of EAX, leaf 7, subleaf 1
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnniBit) != 0;
}

std::uint32_t ProcessorFeatures() {
  std::uint32_t features = 0;
  // The builtins also ask the operating system whether it saves the wide registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") != 0) {
    features |= kFeatureAvx2;
    if (ProcessorHasAvxVnni()) features |= kFeatureAvxVnni;
  }
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512cd") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0) {
    features |= kFeatureAvx512Vnni;
  }
  if (__builtin_cpu_supports("avx512vbmi") != 0) features |= kFeatureAvx512Vbmi;
  return features;
}

#elif defined(__linux__) && defined(__aarch64__)
// Linux's and Android's HWCAP bits, by number: headers of older systems lack the later ones.
std::uint32_t ProcessorFeatures() {
  constexpr unsigned long kAsimd = 1UL << 1;
  constexpr unsigned long kAsimdDotProduct = 1UL << 20;
  constexpr unsigned long kI8mm = 1UL << 13;  // of AT_HWCAP2
  std::uint32_t features = 0;
  const unsigned long capabilities = getauxval(AT_HWCAP);
  if ((capabilities & kAsimd) != 0) features |= kFeatureNeon;
  if ((capabilities & kAsimdDotProduct) != 0) features |= kFeatureNeonDot;
  if ((getauxval(AT_HWCAP2) & kI8mm) != 0) features |= kFeatureNeonI8mm;
  return features;
}

#elif defined(__linux__) && defined(__arm__)
std::uint32_t ProcessorFeatures() {
  constexpr unsigned long kNeon = 1UL << 12;
  return (getauxval(AT_HWCAP) & kNeon) != 0 ? std::uint32_t{kFeatureNeon} : 0U;
}

#elif defined(__APPLE__) && defined(__aarch64__)
// Unchecked: written from Apple's documentation, never run.
bool SystemHas(const char* name) {
  int value = 0;
  std::size_t size = sizeof(value);
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

std::uint32_t ProcessorFeatures() {
  std::uint32_t features = kFeatureNeon;
  if (SystemHas("hw.optional.arm.FEAT_DotProd")) features |= kFeatureNeonDot;
  if (SystemHas("hw.optional.arm.FEAT_I8MM")) features |= kFeatureNeonI8mm;
  return features;
}

#else
// Nobody to ask.
std::uint32_t ProcessorFeatures() { return 0; }
#endif

}  // namespace

std::uint32_t DetectFeatures() { return CompiledFor() | ProcessorFeatures(); }

}  // namespace mu8::kernels
