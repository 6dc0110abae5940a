// AVX-512 VBMI's table: its own sampler; the rest is that of AVX-512 VNNI, or scalar.
#include "kernels/avx512vbmi/kernels.h"
#include "kernels/avx512vnni/kernels.h"
#include "kernels/scalar/kernels.h"
#include "mu8/config.h"

namespace mu8::kernels::avx512vbmi {

constinit const KernelTable kTable = {
    .name = "avx512vbmi",
    .required = kFeatureAvx512Vnni | kFeatureAvx512Vbmi,
    .sample_panel = SamplePanel,
    .unpack_panel = avx512vnni::UnpackPanel,
    .convolve = avx512vnni::Convolve,
    .convolve_depthwise = avx512vnni::ConvolveDepthwise,
    .max_pool = avx512vnni::MaxPool,
    .average_pool = scalar::AveragePool,
    .add = scalar::Add,
    .multiply = scalar::Multiply,
    .lookup = scalar::Lookup,
    .moments = config::kMoments ? &avx512vnni::kMoments : nullptr,
    .convolve_probe = avx512vnni::ProbeConvolve,
    .requantize_probe = scalar::ProbeConvolve,
    .pool_probe = scalar::ProbePool,
};

}  // namespace mu8::kernels::avx512vbmi
