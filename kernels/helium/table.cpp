// The kernels for Helium as a table.
#include "kernels/built_tables.h"

#if MU8_HAVE_HELIUM
#include "kernels/helium/kernels.h"
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::helium {

constinit const KernelTable kTable = {
    .name = "helium",
    .required = kFeatureHelium,
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

}  // namespace mu8::kernels::helium
#endif  // MU8_HAVE_HELIUM
