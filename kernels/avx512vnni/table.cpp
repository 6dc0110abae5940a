// AVX-512 VNNI's table: its own sampler, convolutions and max-pool; the rest is scalar.
#include "kernels/avx512vnni/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::avx512vnni {

constinit const MomentsKernels kMoments = {.square_means = SquareMeans,
                                           .unpack_spread = UnpackSpread,
                                           .second_moments = SecondMoments,
                                           .clip = Clip,
                                           .accumulate = Accumulate,
                                           .add_softmax_rows = AddSoftmaxRows,
                                           .max_pool = MaxPoolMoments,
                                           .weighted_sums = WeightedSums,
                                           .probe = ProbeMoments};

constinit const KernelTable kTable = {
    .name = "avx512vnni",
    .required = kFeatureAvx512Vnni,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
    .moments = config::kMoments ? &avx512vnni::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::avx512vnni
