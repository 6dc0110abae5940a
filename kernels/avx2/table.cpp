// AVX2's table: its own sampler and convolutions; the rest is scalar.
#include "kernels/avx2/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::avx2 {

constinit const MomentsKernels kMoments = {.square_means = SquareMeans,
                                           .unpack_spread = UnpackSpread,
                                           .second_moments = SecondMoments,
                                           .clip = Clip,
                                           .accumulate = Accumulate,
                                           .accumulate_squares = AccumulateSquares,
                                           .add_softmax_rows = AddSoftmaxRows,
                                           .max_pool = MaxPoolMoments,
                                           .weighted_sums = WeightedSums,
                                           .probe = ProbeMoments};

constinit const KernelTable kTable = {
    .name = "avx2",
    .required = kFeatureAvx2,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = scalar::MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
    .moments = config::kMoments ? &avx2::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::avx2
