// The portable table: what a processor without vectors runs.
#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::portable {

constinit const MomentsKernels kMoments = {.square_means = SquareMeans,
                                           .unpack_spread = UnpackSpread,
                                           .second_moments = scalar::SecondMoments,
                                           .clip = scalar::Clip,
                                           .accumulate = Accumulate,
                                           .add_softmax_rows = nullptr,
                                           .max_pool = nullptr,
                                           .probe = scalar::ProbeMoments};

constinit const KernelTable kTable = {
    .name = "portable",
    .required = 0,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = config::Keep<config::kDepthwise>(ConvolveDepthwise),
    .max_pool = config::Keep<config::kMaxPool>(MaxPool),
    .average_pool = config::Keep<config::kAveragePool>(scalar::AveragePool),
    .add = config::Keep<config::kAdd>(scalar::Add),
    .multiply = config::Keep<config::kMultiply>(scalar::Multiply),
    .lookup = config::Keep<config::kLookup>(scalar::Lookup),
    .moments = config::kMoments ? &portable::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::portable
