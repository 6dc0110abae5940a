// A kernel library that runs a list of layers the way a Bayesian network needs it: new weights for
// every pass. bench/peers/ has one maker per library; this is what they give.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/layer_data.h"

namespace mu8::bench {

struct Peer {
  std::string name;
  std::vector<std::string>
      kernels;  // per layer, the library's own word for what runs; may be empty
  // Brings every layer's weights, plain OHWI, into the library's own order (re-order, re-pack).
  // Must run before `pass`.
  std::function<void()> new_weights;
  // Runs every layer once, batch 1.
  std::function<void()> pass;
  // The last layer's output, NHWC.
  std::function<std::vector<std::uint8_t>()> output;
};

// Layers feed each other where the shapes allow it, over two buffers that take turns; any other
// layer reads an input of its own, as after a pooling. Pooling, additions, softmax and drawing
// weights are left out: in the peer's favour.
bool Feeds(const Shape& from, const Shape& to);
// What a chain of layers must give, by plain loops.
std::vector<std::uint8_t> ChainReference(const std::vector<LayerData>& layers);

// `layers` must outlive the peer. Throws std::runtime_error with the library's own complaint.
Peer MakeOneDnn(const std::vector<LayerData>& layers);
Peer MakeXnnpack(const std::vector<LayerData>& layers);

struct PeerMaker {
  const char* name;
  Peer (*make)(const std::vector<LayerData>& layers);
};
// Those that were found when mu8 was built.
std::vector<PeerMaker> BuiltPeers();

}  // namespace mu8::bench
