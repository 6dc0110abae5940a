#include "bench/peers/peer.h"

namespace mu8::bench {

bool Feeds(const Shape& from, const Shape& to) {
  return from.output_size() == to.size && from.output_channels == to.input_channels;
}

std::vector<std::uint8_t> ChainReference(const std::vector<LayerData>& layers) {
  std::vector<std::uint8_t> output;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool fed = i > 0 && Feeds(layers[i - 1].shape, layers[i].shape);
    output = Reference(layers[i], fed ? output : layers[i].input);
  }
  return output;
}

std::vector<PeerMaker> BuiltPeers() {
  return {
#if defined(MU8_HAVE_ONEDNN)
    {"onednn", MakeOneDnn},
#endif
#if defined(MU8_HAVE_XNNPACK)
        {"xnnpack", MakeXnnpack},
#endif
  };
}

}  // namespace mu8::bench
