// The scalar kernels as a table: the definition, and what every processor can run.
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::scalar {

constinit const KernelTable kTable = {
    .name = "scalar",
    .required = 0,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = config::Keep<config::kDepthwise>(ConvolveDepthwise),
    .max_pool = config::Keep<config::kMaxPool>(MaxPool),
    .average_pool = config::Keep<config::kAveragePool>(AveragePool),
    .add = config::Keep<config::kAdd>(Add),
    .multiply = config::Keep<config::kMultiply>(Multiply),
    .lookup = config::Keep<config::kLookup>(Lookup),
    .moments = config::kMoments ? &scalar::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = ProbeConvolve,
    .pool_probe = ProbePool,
};

}  // namespace mu8::kernels::scalar
