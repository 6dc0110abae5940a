// AVX-VNNI's table: its own convolutions, AVX2's sampler; the rest is scalar.
#include "kernels/avx2/kernels.h"
#include "kernels/avxvnni/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::avxvnni {

constinit const MomentsKernels kMoments = {.square_means = avx2::SquareMeans,
                                           .unpack_spread = avx2::UnpackSpread,
                                           .second_moments = avx2::SecondMoments,
                                           .clip = avx2::Clip,
                                           .accumulate = Accumulate,
                                           .add_softmax_rows = avx2::AddSoftmaxRows,
                                           .max_pool = avx2::MaxPoolMoments,
                                           .weighted_sums = avx2::WeightedSums,
                                           .probe = avx2::ProbeMoments};

constinit const KernelTable kTable = {
    .name = "avxvnni",
    .required = kFeatureAvx2 | kFeatureAvxVnni,
    .sample_panel = avx2::SamplePanel,
    .unpack_panel = avx2::UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = scalar::MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
    .moments = config::kMoments ? &avxvnni::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::avxvnni
