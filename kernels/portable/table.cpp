// The portable table: what a processor without vectors runs.
#include "kernels/portable/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::portable {

constinit const KernelTable kTable = {
    .name = "portable",
    .required = 0,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = scalar::MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
};

}  // namespace mu8::kernels::portable
