// USMMLA's table: NEON's but for the convolution.
#include "kernels/neon/kernels.h"
#include "kernels/neoni8mm/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::neoni8mm {

constinit const MomentsKernels kMoments = {.square_means = neon::SquareMeans,
                                           .unpack_spread = neon::UnpackSpread,
                                           .second_moments = neon::SecondMoments,
                                           .clip = neon::Clip,
                                           .accumulate = Accumulate,
                                           .add_softmax_rows = neon::AddSoftmaxRows,
                                           .max_pool = neon::MaxPoolMoments,
                                           .probe = neon::ProbeMoments};

constinit const KernelTable kTable = {
    .name = "neoni8mm",
    .required = kFeatureNeon | kFeatureNeonDot | kFeatureNeonI8mm,
    .sample_panel = neon::SamplePanel,
    .unpack_panel = neon::UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = neon::ConvolveDepthwise,
    .max_pool = neon::MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
    .moments = config::kMoments ? &neoni8mm::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::neoni8mm
