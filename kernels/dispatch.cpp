// Which tables were built, which the processor can run, and the choice between them.
// MU8_HAVE_* come from the build: one macro per compiled kernels/<isa>/ folder.
#include "kernels/kernel_table.h"
#include "kernels/scalar/kernels.h"

#if defined(MU8_HAVE_X86)
#include <cpuid.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx512vbmi/kernels.h"
#include "kernels/avx512vnni/kernels.h"
#include "kernels/avxvnni/kernels.h"
#endif

namespace mu8::kernels {
namespace {

constexpr const KernelTable* kTables[] = {
    &scalar::kTable,
#if defined(MU8_HAVE_X86)
    &avx2::kTable,   &avxvnni::kTable, &avx512vnni::kTable, &avx512vbmi::kTable,
#endif
};

bool SameText(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

#if defined(MU8_HAVE_X86)
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
#endif

}  // namespace

std::uint32_t DetectFeatures() {
  std::uint32_t features = 0;
#if defined(MU8_HAVE_X86)
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
#endif
  return features;
}

std::size_t TableCount() { return sizeof(kTables) / sizeof(*kTables); }
const KernelTable& TableAt(std::size_t index) { return *kTables[index]; }

const KernelTable& SelectKernels(std::uint32_t features) {
  const KernelTable* best = kTables[0];
  for (const KernelTable* table : kTables) {
    if ((table->required & ~features) == 0) best = table;
  }
  return *best;
}

const KernelTable* FindKernels(const char* name, std::uint32_t features) {
  for (const KernelTable* table : kTables) {
    if (SameText(table->name, name)) return (table->required & ~features) == 0 ? table : nullptr;
  }
  return nullptr;
}

}  // namespace mu8::kernels
