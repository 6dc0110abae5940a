// Sums, products and table look-ups of activations: the definition.
#include "kernels/scalar/kernels.h"

namespace mu8::kernels::scalar {
namespace {

// Calls value(a, b) for every element; b has a step of its own, 0 for one pixel that serves all.
template <typename Value>
void ForEach(const ElementwiseArgs& args, const Value& value) {
  for (std::uint32_t y = 0; y < args.height; ++y) {
    const std::uint8_t* a = args.a + Signed(y) * args.a_row_stride;
    const std::uint8_t* b = args.b + Signed(y) * args.b_row_stride;
    std::uint8_t* out = args.output + Signed(y) * args.output_row_stride;
    for (std::uint32_t x = 0; x < args.width; ++x) {
      for (std::uint32_t c = 0; c < args.channels; ++c) {
        out[c] = value(a[c] - args.zero_a, b[c] - args.zero_b);
      }
      a += args.channels;
      b += args.b_col_step;
      out += args.channels;
    }
  }
}

}  // namespace

void Add(const ElementwiseArgs& args) {
  const std::int32_t half = 1 << (args.shift - 1);
  ForEach(args, [&](std::int32_t a, std::int32_t b) {
    // |a|, |b| <= 255 and factors are at most 2^21: below 2^31 with the rounding term.
    const std::int32_t sum = (a * args.factor_a + b * args.factor_b + half) >> args.shift;
    const std::int32_t q = args.zero_out + sum;
    return static_cast<std::uint8_t>(q < args.clamp_min   ? args.clamp_min
                                     : q > args.clamp_max ? args.clamp_max
                                                          : q);
  });
}

void Multiply(const ElementwiseArgs& args) {
  ForEach(args, [&](std::int32_t a, std::int32_t b) {
    return Requantize(a * b, args.multiplier, args.zero_out, args.clamp_min, args.clamp_max);
  });
}

void Lookup(const LookupArgs& args) {
  for (std::uint32_t row = 0; row < args.rows; ++row) {
    const std::uint8_t* in = args.input + Signed(row) * args.input_row_stride;
    std::uint8_t* out = args.output + Signed(row) * args.output_row_stride;
    for (std::uint32_t i = 0; i < args.row_bytes; ++i) out[i] = args.table[in[i]];
  }
}

}  // namespace mu8::kernels::scalar
