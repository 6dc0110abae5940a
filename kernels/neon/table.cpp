// NEON's table.
#include "kernels/neon/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::neon {

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
    .moments = config::kMoments ? &scalar::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::neon
