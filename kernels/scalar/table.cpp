// The scalar kernels as a table: the definition, and what every processor can run.
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::scalar {

constinit const KernelTable kTable = {
    .name = "scalar",
    .required = 0,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = MaxPool,
    .average_pool = AveragePool,
    .add = Add,
    .multiply = Multiply,
    .lookup = Lookup,
};

}  // namespace mu8::kernels::scalar
