// Drawing a panel's weights with AVX-512 VBMI: its permutation of bytes looks 64 of them up in the
// whole table at once.
#include "kernels/avx512vbmi/kernels.h"
#include "kernels/avx512vnni/draw_panel.h"
#include "kernels/avx512vnni/kernels.h"

namespace mu8::kernels::avx512vbmi {
namespace {

struct EpsilonTable {
  __m512i low, high;  // kEpsilonMagnitude

  explicit EpsilonTable(std::uint8_t flip)
      : low(LoadMagnitudes(0, flip)), high(LoadMagnitudes(1, flip)) {}

  // eps of 64 random bytes. The permutation takes 7 bits of each for its index: the magnitude's.
  __m512i Epsilon(__m512i random) const {
    return Signed(_mm512_permutex2var_epi8(low, random, high), random);
  }
};

void SamplePanel(const SampleArgs& args) { DrawPanel<EpsilonTable>(args); }

}  // namespace

const KernelTable kTable = {"avx512vbmi",         kFeatureAvx512Vnni | kFeatureAvx512Vbmi,
                            SamplePanel,          avx512vnni::UnpackPanel,
                            avx512vnni::Convolve, avx512vnni::ConvolveDepthwise,
                            avx512vnni::MaxPool,  scalar::AveragePool,
                            scalar::Add,          scalar::Multiply,
                            scalar::Lookup};

}  // namespace mu8::kernels::avx512vbmi
