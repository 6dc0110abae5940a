#include "engine/src/unit_probes.h"

#include <cstddef>

#include "engine/src/float_state.h"
#include "formats/self_test.h"
#include "mu8/config.h"

namespace mu8 {
namespace {

// In the order of Unit, from kInput on.
constexpr FloatProbe kProbes[] = {
    ProbeInput,        ProbeOperators,    ProbePasses,          ProbeWeightedLayer,
    ProbeStatistics,   ProbeGaussian,     ProbeReconstruction,  ProbeStopping,
    ProbeCheckOptions, ProbeSession,      ProbeCheckedProducts,
#if MU8_WITH_MOMENTS
    ProbeMoments,      ProbeMomentsPanel, ProbeMomentsOutputs,
#endif
};
constexpr std::size_t kProbeCount = sizeof(kProbes) / sizeof(*kProbes);
constexpr auto kFirst = static_cast<std::size_t>(Unit::kInput);
static_assert(kFirst + kProbeCount == static_cast<std::size_t>(config::kMoments
                                                                   ? Unit::kMomentsOutputs
                                                                   : Unit::kCheckedProducts) +
                                          1);

}  // namespace

Unit SelfTest(const kernels::KernelTable& table) {
  const FloatState ieee;
  for (std::size_t i = 0; i < kProbeCount; ++i) {
    if (!format::IsExact(kProbes[i])) return static_cast<Unit>(kFirst + i);
  }
  if (!format::IsExact(table.convolve_probe)) return Unit::kConvolve;
  if (!format::IsExact(table.requantize_probe)) return Unit::kRequantize;
  if (!format::IsExact(table.pool_probe)) return Unit::kPool;
  if (config::kMoments && !format::IsExact(table.moments->probe)) return Unit::kMomentsKernels;
  return Unit::kNone;
}

}  // namespace mu8
