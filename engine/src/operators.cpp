// Operators without weights: file records in, kernel calls out.
#include "engine/src/operators.h"

#include <cstring>

#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "formats/arithmetic.h"

namespace mu8 {

float ProbeOperators(float a, float b, float c) { return ProbeFloats(a, b, c); }

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

void RunPool(const Layer& layer, PassContext* context) {
  const LayerRecord& record = layer.record;
  kernels::PoolArgs args{};
  args.input_row_stride = kernels::Signed(layer.input.row_stride);
  args.input_height = layer.input.height;
  args.input_width = layer.input.width;
  args.channels = layer.input.channels;
  args.kernel_h = record.kernel_h;
  args.kernel_w = record.kernel_w;
  args.stride_h = record.stride_h;
  args.stride_w = record.stride_w;
  args.pad_top = record.pad_top;
  args.pad_left = record.pad_left;
  args.output_row_stride = kernels::Signed(layer.output.row_stride);
  args.output_height = layer.output.height;
  args.output_width = layer.output.width;
  args.clamp_min = record.clamp_min;
  args.clamp_max = record.clamp_max;
  args.count_padding = (record.flags & format::kLayerCountPadding) != 0;
  args.scale_ratio = format::ScaleRatio(layer.input, &layer.output);
  args.zero_in = layer.input.zero_point;
  args.zero_out = layer.output.zero_point;
  const bool max = static_cast<OpCode>(record.op) == OpCode::kMaxPool;
  ForImages(*context, [&](std::uint8_t* activations) {
    args.input = FirstPixel(activations, layer.input);
    args.output = FirstPixel(activations, layer.output);
    max ? context->kernels.max_pool(args) : context->kernels.average_pool(args);
  });
}

void RunLookup(const Layer& layer, PassContext* context) {
  if ((layer.record.flags & format::kLayerByChannel) != 0) {
    return RunLookupByChannel(layer, context);
  }
  kernels::LookupArgs args{};
  args.table = layer.parameters;
  args.input_row_stride = kernels::Signed(layer.input.row_stride);
  args.output_row_stride = kernels::Signed(layer.output.row_stride);
  args.rows = layer.input.height;
  args.row_bytes = layer.input.width * layer.input.channels;
  ForImages(*context, [&](std::uint8_t* activations) {
    args.input = FirstPixel(activations, layer.input);
    args.output = FirstPixel(activations, layer.output);
    context->kernels.lookup(args);
  });
}

namespace {

// What add and multiply have in common; `args` has what follows from the scales.
void RunElementwise(const Layer& layer, kernels::ElementwiseArgs args,
                    void (*kernel)(const kernels::ElementwiseArgs&), PassContext* context) {
  const bool same =
      layer.input2.height == layer.output.height && layer.input2.width == layer.output.width;
  args.a_row_stride = kernels::Signed(layer.input.row_stride);
  args.b_row_stride = same ? kernels::Signed(layer.input2.row_stride) : 0;
  args.b_col_step = same ? kernels::Signed(layer.input2.channels) : 0;
  args.height = layer.output.height;
  args.width = layer.output.width;
  args.channels = layer.output.channels;
  args.output_row_stride = kernels::Signed(layer.output.row_stride);
  args.zero_a = layer.input.zero_point;
  args.zero_b = layer.input2.zero_point;
  args.zero_out = layer.output.zero_point;
  args.clamp_min = layer.record.clamp_min;
  args.clamp_max = layer.record.clamp_max;
  ForImages(*context, [&](std::uint8_t* activations) {
    args.a = FirstPixel(activations, layer.input);
    args.b = FirstPixel(activations, layer.input2);
    args.output = FirstPixel(activations, layer.output);
    kernel(args);
  });
}

}  // namespace

void RunAdd(const Layer& layer, PassContext* context) {
  const format::SumFactors factors =
      format::MakeSumFactors(layer.input, layer.input2, layer.output);
  kernels::ElementwiseArgs args{};
  args.shift = format::FixedPointShift(factors.largest());
  args.factor_a = format::FixedPoint(factors.a, args.shift);
  args.factor_b = format::FixedPoint(factors.b, args.shift);
  RunElementwise(layer, args, context->kernels.add, context);
}

void RunMultiply(const Layer& layer, PassContext* context) {
  kernels::ElementwiseArgs args{};
  args.multiplier = format::MakeProductScales(layer.input, layer.input2, layer.output).multiplier;
  RunElementwise(layer, args, context->kernels.multiply, context);
}

namespace {

// The channels of one input, through its table, into their place among the output's.
void RunConcatPart(const Layer& layer, const TensorRecord& in, const std::uint8_t* table,
                   std::uint32_t first_channel, PassContext* context) {
  kernels::LookupArgs args{};
  args.table = table;
  args.input_row_stride = kernels::Signed(in.channels);  // a row of the look-up is one pixel
  args.output_row_stride = kernels::Signed(layer.output.channels);
  args.rows = in.width;
  args.row_bytes = in.channels;
  ForImages(*context, [&](std::uint8_t* activations) {
    for (std::uint32_t y = 0; y < in.height; ++y) {
      args.input = FirstPixel(activations, in) + std::size_t{y} * in.row_stride;
      args.output = FirstPixel(activations, layer.output) +
                    std::size_t{y} * layer.output.row_stride + first_channel;
      context->kernels.lookup(args);
    }
  });
}

}  // namespace

void RunConcat(const Layer& layer, PassContext* context) {
  const std::uint8_t* tables = layer.parameters;
  RunConcatPart(layer, layer.input, tables, 0, context);
  RunConcatPart(layer, layer.input2, tables + format::kLookupBytes, layer.input.channels, context);
}

// Copies what lies inside the input; the rest is 0.0.
void RunSlice(const Layer& layer, PassContext* context) {
  const LayerRecord& record = layer.record;
  const TensorRecord& in = layer.input;
  const TensorRecord& out = layer.output;
  // Output channels [first, first + count) come from input channels offset_c + [first, ...).
  const std::int64_t offset = record.offset_c;
  const std::int64_t first = offset < 0 ? -offset : 0;
  const std::int64_t inside = std::int64_t{in.channels} - offset;
  const std::int64_t end = inside < out.channels ? inside : out.channels;
  ForImages(*context, [&](std::uint8_t* activations) {
    for (std::uint32_t y = 0; y < out.height; ++y) {
      const std::int64_t in_y = std::int64_t{y} * record.stride_h + record.offset_h;
      std::uint8_t* to = FirstPixel(activations, out) + std::size_t{y} * out.row_stride;
      std::memset(to, in.zero_point, std::size_t{out.width} * out.channels);
      if (in_y < 0 || in_y >= in.height || first >= end) continue;
      const std::uint8_t* row = FirstPixel(activations, in) + in_y * in.row_stride;
      for (std::uint32_t x = 0; x < out.width; ++x, to += out.channels) {
        const std::int64_t in_x = std::int64_t{x} * record.stride_w + record.offset_w;
        if (in_x < 0 || in_x >= in.width) continue;
        std::memcpy(to + first, row + in_x * in.channels + first + offset,
                    static_cast<std::size_t>(end - first));
      }
    }
  });
}

}  // namespace mu8
