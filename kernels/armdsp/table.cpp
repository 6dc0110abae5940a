// The kernels for ARM's DSP extension as a table.
#include "kernels/built_tables.h"

#if MU8_HAVE_ARMDSP
#include "kernels/armdsp/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::armdsp {

constinit const KernelTable kTable = {
    .name = "armdsp",
    .required = kFeatureArmDsp,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = ConvolveDepthwise,
    .max_pool = MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
};

}  // namespace mu8::kernels::armdsp
#endif  // MU8_HAVE_ARMDSP
