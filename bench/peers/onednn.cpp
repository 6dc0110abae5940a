// oneDNN: u8 NHWC source, s8 weights in the order that it chooses, s32 bias, one scale per channel,
// u8 NHWC destination. New weights are a reorder from OHWI. It takes the widest instruction set of
// the processor; DNNL_MAX_CPU_ISA in the environment lowers that.
#include <cstring>
#include <dnnl.hpp>
#include <memory>
#include <stdexcept>

#include "bench/peers/peer.h"

// libgomp, oneDNN's thread pool: mu8 runs on one thread, so do its peers.
extern "C" void omp_set_num_threads(int threads);

namespace mu8::bench {
namespace {

using dnnl::memory;

memory::dims Dims(std::initializer_list<std::uint32_t> values) {
  return {values.begin(), values.end()};
}

struct OneDnnLayer {
  memory plain_weights, weights;
  dnnl::reorder reorder;
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  std::string kernel;
};

dnnl::primitive_attr ChannelScales(const LayerData& data) {
  dnnl::primitive_attr attributes;
  attributes.set_output_scales(1 << 1, data.multiplier);
  return attributes;
}

// Of a dense layer or a convolution, which have the same accessors in oneDNN.
template <typename Primitive, typename Description>
OneDnnLayer Finish(const Description& description, const LayerData& data, const memory::desc& plain,
                   memory input, memory output, const dnnl::engine& engine) {
  OneDnnLayer layer;
  // Only read from: oneDNN's memory takes pointers that are not const.
  layer.plain_weights = memory(plain, engine, const_cast<std::int8_t*>(data.weights.data()));
  layer.weights = memory(description.weights_desc(), engine);
  layer.reorder = dnnl::reorder(layer.plain_weights, layer.weights);
  layer.primitive = Primitive(description);
  memory bias(description.bias_desc(), engine);
  std::memcpy(bias.get_data_handle(), data.bias.data(), data.bias.size() * sizeof(std::int32_t));
  layer.arguments = {{DNNL_ARG_SRC, std::move(input)},
                     {DNNL_ARG_WEIGHTS, layer.weights},
                     {DNNL_ARG_BIAS, bias},
                     {DNNL_ARG_DST, std::move(output)}};
  layer.kernel = description.impl_info_str();
  return layer;
}

OneDnnLayer MakeConvolution(const LayerData& data, std::uint8_t* input, std::uint8_t* output,
                            const dnnl::engine& engine) {
  using Tag = memory::format_tag;
  using Type = memory::data_type;
  const Shape& s = data.shape;
  const std::uint32_t out = s.output_size();
  const memory::desc source(Dims({1, s.input_channels, s.size, s.size}), Type::u8, Tag::nhwc);
  const memory::desc destination(Dims({1, s.output_channels, out, out}), Type::u8, Tag::nhwc);
  const memory::dims weight_dims = Dims({s.output_channels, s.input_channels, s.kernel, s.kernel});
  const memory::dims stride = Dims({s.stride, s.stride});
  // What is right and below of the last window is cut off there.
  const std::uint32_t right = (out - 1) * s.stride + s.kernel - s.size - s.pad;
  const dnnl::convolution_forward::primitive_desc description(
      {dnnl::prop_kind::forward_inference,
       dnnl::algorithm::convolution_direct,
       source,
       memory::desc(weight_dims, Type::s8, Tag::any),
       memory::desc(Dims({s.output_channels}), Type::s32, Tag::a),
       destination,
       stride,
       Dims({s.pad, s.pad}),
       {static_cast<std::int32_t>(right), static_cast<std::int32_t>(right)}},
      ChannelScales(data), engine);
  return Finish<dnnl::convolution_forward>(
      description, data, memory::desc(weight_dims, Type::s8, Tag::ohwi),
      memory(source, engine, input), memory(destination, engine, output), engine);
}

OneDnnLayer MakeDense(const LayerData& data, std::uint8_t* input, std::uint8_t* output,
                      const dnnl::engine& engine) {
  using Tag = memory::format_tag;
  using Type = memory::data_type;
  const Shape& s = data.shape;
  const memory::desc source(Dims({1, s.input_channels}), Type::u8, Tag::nc);
  const memory::desc destination(Dims({1, s.output_channels}), Type::u8, Tag::nc);
  const memory::dims weight_dims = Dims({s.output_channels, s.input_channels});
  const dnnl::inner_product_forward::primitive_desc description(
      {dnnl::prop_kind::forward_inference, source, memory::desc(weight_dims, Type::s8, Tag::any),
       memory::desc(Dims({s.output_channels}), Type::s32, Tag::a), destination},
      ChannelScales(data), engine);
  return Finish<dnnl::inner_product_forward>(
      description, data, memory::desc(weight_dims, Type::s8, Tag::oi),
      memory(source, engine, input), memory(destination, engine, output), engine);
}

struct OneDnnNetwork {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<OneDnnLayer> layers;
  std::vector<std::uint8_t> buffers[2];
  std::vector<std::vector<std::uint8_t>> inputs;  // of layers that no other feeds
  std::size_t output_bytes = 0;

  explicit OneDnnNetwork(const std::vector<LayerData>& data) {
    std::size_t largest = 0;
    for (const LayerData& layer : data) largest = std::max(largest, layer.shape.output_bytes());
    for (std::vector<std::uint8_t>& buffer : buffers) buffer.resize(largest + 64);
    inputs.reserve(data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
      std::uint8_t* input = buffers[(i + 1) % 2].data();
      if (i == 0 || !Feeds(data[i - 1].shape, data[i].shape)) {
        inputs.push_back(data[i].input);
        inputs.back().resize(data[i].input.size() + 64);
        input = inputs.back().data();
      }
      const auto make = data[i].shape.dense() ? MakeDense : MakeConvolution;
      layers.push_back(make(data[i], input, buffers[i % 2].data(), engine));
    }
    output_bytes = data.back().shape.output_bytes();
  }
  void NewWeights() {
    for (OneDnnLayer& layer : layers) {
      layer.reorder.execute(stream, layer.plain_weights, layer.weights);
    }
    stream.wait();
  }
  void Pass() {
    for (OneDnnLayer& layer : layers) layer.primitive.execute(stream, layer.arguments);
    stream.wait();
  }
  std::vector<std::uint8_t> Output() const {
    const std::uint8_t* last = buffers[(layers.size() - 1) % 2].data();
    return {last, last + output_bytes};
  }
};

}  // namespace

Peer MakeOneDnn(const std::vector<LayerData>& layers) try {
  omp_set_num_threads(1);
  const auto network = std::make_shared<OneDnnNetwork>(layers);
  Peer peer{"onednn", {}, nullptr, nullptr, nullptr};
  for (const OneDnnLayer& layer : network->layers) peer.kernels.push_back(layer.kernel);
  peer.new_weights = [network] { network->NewWeights(); };
  peer.pass = [network] { network->Pass(); };
  peer.output = [network] { return network->Output(); };
  return peer;
} catch (const dnnl::error& error) {
  throw std::runtime_error(std::string("oneDNN: ") + error.what());
}

}  // namespace mu8::bench
