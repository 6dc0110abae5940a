// The kernels for Helium as a table.
#include "kernels/built_tables.h"

#if MU8_HAVE_HELIUM
#include "kernels/helium/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::helium {

#if (__ARM_FEATURE_MVE & 2) != 0
constexpr auto kClip = Clip;
constexpr auto kMaxPoolMoments = config::Keep<config::kMaxPool>(MaxPoolMoments);
#else
constexpr auto kClip = scalar::Clip;
constexpr decltype(MaxPoolMoments)* kMaxPoolMoments = nullptr;
#endif

constinit const MomentsKernels kMoments = {.square_means = SquareMeans,
                                           .unpack_spread = UnpackSpread,
                                           .second_moments = SecondMoments,
                                           .clip = kClip,
                                           .accumulate = Accumulate,
                                           .add_softmax_rows = nullptr,
                                           .max_pool = kMaxPoolMoments,
                                           .probe = ProbeMoments};

constinit const KernelTable kTable = {
    .name = "helium",
    .required = kFeatureHelium,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = config::Keep<config::kDepthwise>(ConvolveDepthwise),
    .max_pool = config::Keep<config::kMaxPool>(MaxPool),
    .average_pool = config::Keep<config::kAveragePool>(scalar::AveragePool),
    .add = config::Keep<config::kAdd>(scalar::Add),
    .multiply = config::Keep<config::kMultiply>(scalar::Multiply),
    .lookup = config::Keep<config::kLookup>(scalar::Lookup),
    .moments = config::kMoments ? &helium::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::helium
#endif  // MU8_HAVE_HELIUM
