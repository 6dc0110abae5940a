// The layers that the benchmarks run: those of LeNet-5, ResNet-20 and VGG-16, each once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mu8::bench {

// A square convolution. A dense layer is one of kernel 1 on one pixel.
struct Shape {
  std::uint32_t input_channels, output_channels, kernel;
  std::uint32_t size;  // input height and width
  std::uint32_t stride = 1;
  std::uint32_t pad = kernel / 2;

  std::uint32_t output_size() const { return (size + 2 * pad - kernel) / stride + 1; }
  std::uint32_t inputs() const { return kernel * kernel * input_channels; }  // of one output value
  std::size_t weights() const { return std::size_t{output_channels} * inputs(); }
  std::size_t input_bytes() const { return std::size_t{size} * size * input_channels; }
  std::size_t output_bytes() const {
    return std::size_t{output_size()} * output_size() * output_channels;
  }
  // Every tap of every output pixel, those on the border's padding too; no padded channels.
  double macs() const {
    return static_cast<double>(output_bytes()) * static_cast<double>(inputs());
  }
  bool dense() const { return size == 1 && kernel == 1; }
  // 64x64x3x3@8, with /2 behind it for a stride of 2.
  std::string name() const {
    const std::string k = std::to_string(kernel);
    return std::to_string(input_channels) + "x" + std::to_string(output_channels) + "x" + k + "x" +
           k + "@" + std::to_string(size) + (stride == 1 ? "" : "/" + std::to_string(stride));
  }
  bool operator==(const Shape&) const = default;
};

inline std::vector<Shape> LeNet5() {
  return {{1, 6, 5, 28}, {6, 16, 5, 14, 1, 0}, {400, 120, 1, 1}, {120, 84, 1, 1}, {84, 10, 1, 1}};
}

inline std::vector<Shape> ResNet20() {
  std::vector<Shape> layers = {{3, 16, 3, 32}};
  std::uint32_t channels = 16;
  std::uint32_t size = 32;
  for (const std::uint32_t width : {16U, 32U, 64U}) {
    const std::uint32_t stride = width / channels;
    layers.push_back({channels, width, 3, size, stride});
    size /= stride;
    channels = width;
    for (int i = 0; i < 5; ++i) layers.push_back({width, width, 3, size});
  }
  layers.push_back({64, 10, 1, 1});
  return layers;
}

inline std::vector<Shape> Vgg16() {
  return {{3, 64, 3, 32},   {64, 64, 3, 32},  {64, 128, 3, 16}, {128, 128, 3, 16}, {128, 256, 3, 8},
          {256, 256, 3, 8}, {256, 512, 3, 4}, {512, 512, 3, 4}, {512, 512, 3, 2},  {512, 10, 1, 1}};
}

// Every shape of the three networks, once.
inline std::vector<Shape> AllShapes() {
  std::vector<Shape> all;
  for (const std::vector<Shape>& network : {LeNet5(), ResNet20(), Vgg16()}) {
    for (const Shape& shape : network) {
      bool known = false;
      for (const Shape& other : all) known = known || other == shape;
      if (!known) all.push_back(shape);
    }
  }
  return all;
}

}  // namespace mu8::bench
