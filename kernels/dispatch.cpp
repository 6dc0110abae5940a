// The tables of this build and the choice between them.
#include "kernels/built_tables.h"
#include "kernels/kernel_table.h"

#if MU8_HAVE_SCALAR
#include "kernels/scalar/kernels.h"
#endif
#if MU8_HAVE_PORTABLE
#include "kernels/portable/kernels.h"
#endif
#if MU8_HAVE_AVX2
#include "kernels/avx2/kernels.h"
#endif
#if MU8_HAVE_AVXVNNI
#include "kernels/avxvnni/kernels.h"
#endif
#if MU8_HAVE_AVX512VNNI
#include "kernels/avx512vnni/kernels.h"
#endif
#if MU8_HAVE_AVX512VBMI
#include "kernels/avx512vbmi/kernels.h"
#endif
#if MU8_HAVE_NEON
#include "kernels/neon/kernels.h"
#endif
#if MU8_HAVE_NEONDOT
#include "kernels/neondot/kernels.h"
#endif
#if MU8_HAVE_NEONI8MM
#include "kernels/neoni8mm/kernels.h"
#endif
#if MU8_HAVE_ARMDSP
#include "kernels/armdsp/kernels.h"
#endif
#if MU8_HAVE_HELIUM
#include "kernels/helium/kernels.h"
#endif
#if MU8_HAVE_WASM128
#include "kernels/wasm128/kernels.h"
#endif

namespace mu8::kernels {
namespace {

// Slowest first.
constexpr const KernelTable* kTables[] = {
#if MU8_HAVE_SCALAR
    &scalar::kTable,
#endif
#if MU8_HAVE_PORTABLE
    &portable::kTable,
#endif
#if MU8_HAVE_AVX2
    &avx2::kTable,
#endif
#if MU8_HAVE_AVXVNNI
    &avxvnni::kTable,
#endif
#if MU8_HAVE_AVX512VNNI
    &avx512vnni::kTable,
#endif
#if MU8_HAVE_AVX512VBMI
    &avx512vbmi::kTable,
#endif
#if MU8_HAVE_NEON
    &neon::kTable,
#endif
#if MU8_HAVE_NEONDOT
    &neondot::kTable,
#endif
#if MU8_HAVE_NEONI8MM
    &neoni8mm::kTable,
#endif
#if MU8_HAVE_ARMDSP
    &armdsp::kTable,
#endif
#if MU8_HAVE_HELIUM
    &helium::kTable,
#endif
#if MU8_HAVE_WASM128
    &wasm128::kTable,
#endif
};

bool SameText(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {  // at most to the end of the shorter
    ++a;
    ++b;
  }
  return *a == *b;
}

template <std::size_t kCount>
constexpr std::size_t CountOf(const KernelTable* const (&)[kCount]) {
  return kCount;
}

}  // namespace

std::size_t TableCount() { return CountOf(kTables); }
const KernelTable& TableAt(std::size_t index) { return *kTables[index]; }

const KernelTable* SelectKernels(std::uint32_t features) {
  const KernelTable* best = nullptr;
  for (const KernelTable* table : kTables) {
    if ((table->required & ~features) == 0) best = table;
  }
  return best;
}

const KernelTable* FindKernels(const char* name, std::uint32_t features) {
  for (const KernelTable* table : kTables) {
    if (SameText(table->name, name)) return (table->required & ~features) == 0 ? table : nullptr;
  }
  return nullptr;
}

}  // namespace mu8::kernels
