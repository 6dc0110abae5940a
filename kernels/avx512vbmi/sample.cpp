// Drawing a panel's weights with AVX-512 VBMI: its permutation of bytes looks 64 of them up in the
// whole table at once.
#include "kernels/avx512vbmi/kernels.h"
#include "kernels/avx512vnni/sample_panel.h"

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

}  // namespace

void SamplePanel(const SampleArgs& args) { SamplePanelWith<EpsilonTable>(args); }

}  // namespace mu8::kernels::avx512vbmi
