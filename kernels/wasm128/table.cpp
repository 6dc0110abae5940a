// The kernels for WebAssembly's vectors as a table.
#include "kernels/built_tables.h"

#if MU8_HAVE_WASM128
#include "kernels/scalar/kernels.h"
#include "kernels/wasm128/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::wasm128 {

constinit const MomentsKernels kMoments = {
    .square_means = SquareMeans,
    .unpack_spread = UnpackSpread,
    .second_moments = SecondMoments,
    .clip = Clip,
    .accumulate = Accumulate,
    .add_softmax_rows = config::Keep<config::kSoftmax>(AddSoftmaxRows),
    .max_pool = config::Keep<config::kMaxPool>(MaxPoolMoments),
    .probe = ProbeMoments};

constinit const KernelTable kTable = {
    .name = "wasm128",
    .required = kFeatureWasm128,
    .sample_panel = SamplePanel,
    .unpack_panel = UnpackPanel,
    .convolve = Convolve,
    .convolve_depthwise = config::Keep<config::kDepthwise>(ConvolveDepthwise),
    .max_pool = config::Keep<config::kMaxPool>(MaxPool),
    .average_pool = config::Keep<config::kAveragePool>(scalar::AveragePool),
    .add = config::Keep<config::kAdd>(scalar::Add),
    .multiply = config::Keep<config::kMultiply>(scalar::Multiply),
    .lookup = config::Keep<config::kLookup>(scalar::Lookup),
    .moments = config::kMoments ? &wasm128::kMoments : nullptr,
    .convolve_probe = ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::wasm128
#endif  // MU8_HAVE_WASM128
