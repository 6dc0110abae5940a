#include "engine/src/input.h"

#include <cstring>

#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"
#include "formats/recheck.h"

namespace mu8 {

float ProbeInput(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::TensorRecord;

std::uint64_t ClampedPlace(const format::View& view) {
  return view.model.activation_bytes - sizeof(std::uint32_t);
}

void SetClampedInputs(const format::View& view, std::uint32_t count, std::uint8_t* activations) {
  std::memcpy(activations + ClampedPlace(view), &count, sizeof(count));
}

// The integers that a scaled value may become: from `low` to `high`, and `zero` is stored as 0.0.
struct Range {
  float low, high;
  std::int32_t zero;
};

// rint(clamp(value)), and whether it was clamped by more than rounding: beyond half a step.
std::uint8_t Store(float value, const Range& range, std::uint32_t* clamped) {
  if (value < range.low - 0.5F || value > range.high + 0.5F) ++*clamped;
  // NaN, of a gain that has changed since Open, becomes the lowest.
  value = !(value > range.low) ? range.low : value > range.high ? range.high : value;
  return static_cast<std::uint8_t>(format::RoundToEven(value) + range.zero);
}

// Stores scale(value, channel) of every value; returns how many were clamped.
template <typename Scale>
std::uint32_t StoreAll(const TensorRecord& input, const Range& range, const float* values,
                       std::uint8_t* activations, const Scale& scale) {
  std::uint32_t clamped = 0;
  for (std::uint32_t y = 0; y < input.height; ++y) {
    std::uint8_t* row = FirstPixel(activations, input) + std::size_t{y} * input.row_stride;
    for (std::uint32_t x = 0; x < input.width; ++x) {
      for (std::uint32_t c = 0; c < input.channels; ++c) {
        *row++ = Store(scale(*values++, c), range, &clamped);
      }
    }
  }
  return clamped;
}

}  // namespace

bool LoadPixels(const format::View& view, const std::uint8_t* pixels, std::uint8_t* activations,
                Diagnostic* fault) {
  TensorRecord input;
  if (!format::LoadInputTensor(view, &input, fault)) return false;
  const std::uint8_t* tables = view.input_lookup();
  FillPadding(input, activations);
  for (std::uint32_t y = 0; y < input.height; ++y) {
    std::uint8_t* row = FirstPixel(activations, input) + std::size_t{y} * input.row_stride;
    for (std::uint32_t x = 0; x < input.width; ++x) {
      for (std::uint32_t c = 0; c < input.channels; ++c) *row++ = tables[c * 256 + *pixels++];
    }
  }
  SetClampedInputs(view, 0, activations);
  return true;
}

bool LoadFloats(const format::View& view, const float* values, std::uint8_t* activations,
                Diagnostic* fault) {
  TensorRecord input;
  if (!format::LoadInputTensor(view, &input, fault)) return false;
  FillPadding(input, activations);
  std::uint32_t clamped = 0;
  if (view.input_kind() == format::InputKind::kNumbers) {
    const auto scale = [&](float value, std::uint32_t c) {
      const format::Affine affine = view.input_affine(c);
      return value * affine.gain + affine.offset;
    };
    clamped = StoreAll(input, {0.0F, 255.0F, 0}, values, activations, scale);
  } else {
    const Range range = {-static_cast<float>(input.zero_point),
                         static_cast<float>(255 - input.zero_point), input.zero_point};
    const auto scale = [&](float value, std::uint32_t) { return value / input.scale; };
    clamped = StoreAll(input, range, values, activations, scale);
  }
  SetClampedInputs(view, clamped, activations);
  return true;
}

std::uint32_t ClampedInputs(const format::View& view, const std::uint8_t* activations) {
  std::uint32_t count;
  std::memcpy(&count, activations + ClampedPlace(view), sizeof(count));
  return count;
}

}  // namespace mu8
