// Operators that are table look-ups and copies, for which no kernel is worth its tests: the
// convolutions beside them take nearly all of the time.
#include <cstring>

#include "engine/src/operators.h"
#include "engine/src/tensor.h"

namespace mu8 {
namespace {

using format::GatherPlace;
using format::OpCode;
using format::TensorRecord;

// A gather's places for the rows, columns or channels of its output.
struct Places {
  const std::uint8_t* bytes;

  GatherPlace operator[](std::uint32_t i) const {
    GatherPlace place;
    std::memcpy(&place, bytes + std::size_t{i} * sizeof(place), sizeof(place));
    return place;
  }
};

// Whether a pixel of the output is a piece of the input as it lies.
bool IsOnePiece(const Places& channels, std::uint32_t count) {
  const GatherPlace first = channels[0];
  for (std::uint32_t c = 0; c < count; ++c) {
    const GatherPlace place = channels[c];
    if (place.row == format::kOutside || place.row != first.row || place.offset != first.offset + c)
      return false;
  }
  return true;
}

// The sum of places, not outside. Open has proven that it lies in the input; it is looked at once
// more, because the tables may have changed since.
struct PixelPlace {
  std::uint64_t row, offset;

  PixelPlace operator+(const GatherPlace& place) const {
    return {row + place.row, offset + place.offset};
  }
  bool IsIn(const TensorRecord& in, std::uint32_t bytes) const {
    return row < in.height && offset + bytes <= std::uint64_t{in.width} * in.channels;
  }
  // From the input's first pixel.
  std::size_t At(const TensorRecord& in) const {
    return static_cast<std::size_t>(row * in.row_stride + offset);
  }
};

// One pixel, whose row and column add up to `from`; 0.0 where a channel lies outside.
void GatherPixel(const TensorRecord& in, const Places& channels, const std::uint8_t* pixels,
                 const PixelPlace& from, std::uint32_t count, std::uint8_t* to) {
  for (std::uint32_t c = 0; c < count; ++c) {
    const GatherPlace place = channels[c];
    const PixelPlace source = from + place;
    const bool inside = place.row != format::kOutside && source.IsIn(in, 1);
    to[c] = inside ? pixels[source.At(in)] : in.zero_point;
  }
}

}  // namespace

void RunGather(const Layer& layer, PassContext* context) {
  const TensorRecord& in = layer.input;
  const TensorRecord& out = layer.output;
  const Places rows{layer.parameters};
  const Places columns{rows.bytes + std::size_t{out.height} * sizeof(GatherPlace)};
  const Places channels{columns.bytes + std::size_t{out.width} * sizeof(GatherPlace)};
  const bool one_piece = IsOnePiece(channels, out.channels);
  const GatherPlace first = channels[0];
  ForImages(*context, [&](std::uint8_t* activations) {
    const std::uint8_t* pixels = FirstPixel(activations, in);
    for (std::uint32_t y = 0; y < out.height; ++y) {
      const GatherPlace row = rows[y];
      std::uint8_t* to = FirstPixel(activations, out) + std::size_t{y} * out.row_stride;
      for (std::uint32_t x = 0; x < out.width; ++x, to += out.channels) {
        const GatherPlace column = columns[x];
        if (row.row == format::kOutside || column.row == format::kOutside) {
          std::memset(to, in.zero_point, out.channels);
          continue;
        }
        const PixelPlace from = PixelPlace{row.row, row.offset} + column;
        const PixelPlace piece = from + first;
        if (!one_piece) {
          GatherPixel(in, channels, pixels, from, out.channels, to);
        } else if (piece.IsIn(in, out.channels)) {
          std::memcpy(to, pixels + piece.At(in), out.channels);
        } else {
          std::memset(to, in.zero_point, out.channels);
        }
      }
    }
  });
}

void RunLookupByChannel(const Layer& layer, PassContext* context) {
  const std::uint8_t* tables = layer.parameters;
  const std::uint32_t channels = layer.output.channels;
  ForImages(*context, [&](std::uint8_t* activations) {
    for (std::uint32_t y = 0; y < layer.output.height; ++y) {
      const std::uint8_t* from =
          FirstPixel(activations, layer.input) + std::size_t{y} * layer.input.row_stride;
      std::uint8_t* to =
          FirstPixel(activations, layer.output) + std::size_t{y} * layer.output.row_stride;
      for (std::uint32_t x = 0; x < layer.output.width; ++x) {
        const std::uint8_t* table = tables;
        for (std::uint32_t c = 0; c < channels; ++c, table += format::kLookupBytes) {
          *to++ = table[*from++];
        }
      }
    }
  });
}

void RunExtremum(const Layer& layer, PassContext* context) {
  const std::uint8_t* table_a = layer.parameters;
  const std::uint8_t* table_b = table_a + format::kLookupBytes;
  const bool maximum = static_cast<OpCode>(layer.record.op) == OpCode::kMaximum;
  const TensorRecord& out = layer.output;
  const bool same = layer.input2.height == out.height && layer.input2.width == out.width;
  ForImages(*context, [&](std::uint8_t* activations) {
    for (std::uint32_t y = 0; y < out.height; ++y) {
      const std::uint8_t* a =
          FirstPixel(activations, layer.input) + std::size_t{y} * layer.input.row_stride;
      const std::uint8_t* b = FirstPixel(activations, layer.input2);
      if (same) b += std::size_t{y} * layer.input2.row_stride;
      std::uint8_t* to = FirstPixel(activations, out) + std::size_t{y} * out.row_stride;
      for (std::uint32_t x = 0; x < out.width; ++x) {
        for (std::uint32_t c = 0; c < out.channels; ++c) {
          const std::uint8_t left = table_a[*a++];
          const std::uint8_t right = table_b[b[c]];
          *to++ = maximum == (left > right) ? left : right;
        }
        if (same) b += out.channels;
      }
    }
  });
}

void RunConstant(const Layer& layer, PassContext* context) {
  const TensorRecord& out = layer.output;
  const std::size_t row_bytes = std::size_t{out.width} * out.channels;
  ForImages(*context, [&](std::uint8_t* activations) {
    const std::uint8_t* from = layer.parameters;
    for (std::uint32_t y = 0; y < out.height; ++y, from += row_bytes) {
      std::memcpy(FirstPixel(activations, out) + std::size_t{y} * out.row_stride, from, row_bytes);
    }
  });
}

}  // namespace mu8
