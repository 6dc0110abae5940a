// NEON's table.
#include "kernels/neon/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::neon {

#if defined(__aarch64__)
constexpr auto kAddSoftmaxRows = AddSoftmaxRows;
#else
constexpr decltype(AddSoftmaxRows)* kAddSoftmaxRows = nullptr;
#endif

constinit const MomentsKernels kMoments = {.square_means = SquareMeans,
                                           .unpack_spread = UnpackSpread,
                                           .second_moments = SecondMoments,
                                           .clip = Clip,
                                           .accumulate = Accumulate,
                                           .add_softmax_rows = kAddSoftmaxRows,
                                           .max_pool = MaxPoolMoments,
                                           .probe = ProbeMoments};

constinit const KernelTable kTable = {
    .name = "neon",
    .required = kFeatureNeon,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
    .moments = config::kMoments ? &neon::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::neon
