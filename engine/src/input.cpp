#include "engine/src/input.h"

#include "engine/src/tensor.h"
#include "formats/arithmetic.h"

namespace mu8 {

using format::TensorRecord;

void LoadPixels(const format::View& view, const std::uint8_t* pixels, std::uint8_t* activations) {
  const TensorRecord input = view.tensor(0);
  const std::uint8_t* tables = view.input_lookup();
  FillPadding(input, activations);
  for (std::uint32_t y = 0; y < input.height; ++y) {
    std::uint8_t* row = FirstPixel(activations, input) + std::size_t{y} * input.row_stride;
    for (std::uint32_t x = 0; x < input.width; ++x) {
      for (std::uint32_t c = 0; c < input.channels; ++c) *row++ = tables[c * 256 + *pixels++];
    }
  }
}

void LoadFloats(const format::View& view, const float* values, std::uint8_t* activations) {
  const TensorRecord input = view.tensor(0);
  const float low = -static_cast<float>(input.zero_point);
  const float high = static_cast<float>(255 - input.zero_point);
  FillPadding(input, activations);
  for (std::uint32_t y = 0; y < input.height; ++y) {
    std::uint8_t* row = FirstPixel(activations, input) + std::size_t{y} * input.row_stride;
    for (std::uint32_t i = 0; i < input.width * input.channels; ++i) {
      float value = *values++ / input.scale;
      value = value < low ? low : value > high ? high : value;
      *row++ = static_cast<std::uint8_t>(format::RoundToEven(value) + input.zero_point);
    }
  }
}

}  // namespace mu8
