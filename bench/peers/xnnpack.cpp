// XNNPACK: signed bytes with one scale per channel (its qc8), NHWC. An operator owns its packed
// weights, so new weights are a new operator: delete, create, set up. u8 values are given as the
// same values minus 128 with a zero point of -128.
#include <xnnpack.h>

#include <algorithm>
#include <stdexcept>

#include "bench/peers/peer.h"

namespace mu8::bench {
namespace {

void Require(xnn_status status, const char* what) {
  if (status == xnn_status_success) return;
  throw std::runtime_error(std::string("XNNPACK: ") + what + " gave status " +
                           std::to_string(static_cast<int>(status)));
}

struct XnnLayer {
  const LayerData* data;
  std::vector<std::int8_t> own_input;  // of layers that no other feeds
  const std::int8_t* input = nullptr;
  std::int8_t* output = nullptr;
  xnn_operator_t op = nullptr;

  void Create() {
    const Shape& s = data->shape;
    const std::uint32_t right = (s.output_size() - 1) * s.stride + s.kernel - s.size - s.pad;
    Require(xnn_create_convolution2d_nhwc_qc8(
                s.pad, right, right, s.pad, s.kernel, s.kernel, s.stride, s.stride, 1, 1, 1,
                s.input_channels, s.output_channels, s.input_channels, s.output_channels, -128,
                1.0F, data->multiplier.data(), data->weights.data(), data->bias.data(), -128, 1.0F,
                -128, 127, 0, &op),
            "xnn_create_convolution2d_nhwc_qc8");
    Require(xnn_setup_convolution2d_nhwc_qc8(op, 1, s.size, s.size, input, output, nullptr),
            "xnn_setup_convolution2d_nhwc_qc8");
  }
  void Delete() {
    if (op != nullptr) xnn_delete_operator(op);
    op = nullptr;
  }
};

struct XnnNetwork {
  std::vector<XnnLayer> layers;
  std::vector<std::int8_t> buffers[2];
  std::size_t output_bytes = 0;

  explicit XnnNetwork(const std::vector<LayerData>& data) {
    std::size_t largest = 0;
    for (const LayerData& layer : data) largest = std::max(largest, layer.shape.output_bytes());
    for (std::vector<std::int8_t>& buffer : buffers) buffer.resize(largest + XNN_EXTRA_BYTES);
    layers.resize(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
      XnnLayer& layer = layers[i];
      layer.data = &data[i];
      layer.output = buffers[i % 2].data();
      layer.input = buffers[(i + 1) % 2].data();
      if (i == 0 || !Feeds(data[i - 1].shape, data[i].shape)) {
        layer.own_input.resize(data[i].input.size() + XNN_EXTRA_BYTES);
        std::transform(data[i].input.begin(), data[i].input.end(), layer.own_input.begin(),
                       [](std::uint8_t x) { return static_cast<std::int8_t>(x - 128); });
        layer.input = layer.own_input.data();
      }
    }
    output_bytes = data.back().shape.output_bytes();
  }
  XnnNetwork(const XnnNetwork&) = delete;
  XnnNetwork& operator=(const XnnNetwork&) = delete;
  ~XnnNetwork() {
    for (XnnLayer& layer : layers) layer.Delete();
  }
  void NewWeights() {
    for (XnnLayer& layer : layers) {
      layer.Delete();
      layer.Create();
    }
  }
  void Pass() {
    for (XnnLayer& layer : layers) {
      Require(xnn_run_operator(layer.op, nullptr), "xnn_run_operator");
    }
  }
  std::vector<std::uint8_t> Output() const {
    std::vector<std::uint8_t> output(output_bytes);
    const std::int8_t* last = layers.back().output;
    std::transform(last, last + output_bytes, output.begin(),
                   [](std::int8_t x) { return static_cast<std::uint8_t>(x + 128); });
    return output;
  }
};

}  // namespace

Peer MakeXnnpack(const std::vector<LayerData>& layers) {
  Require(xnn_initialize(nullptr), "xnn_initialize");
  const auto network = std::make_shared<XnnNetwork>(layers);
  return {"xnnpack",
          {},
          [network] { network->NewWeights(); },
          [network] { network->Pass(); },
          [network] { return network->Output(); }};
}

}  // namespace mu8::bench
