// Predictions by moments: operators without weights (FORMAT.md 13.4). Plain loops: convolutions
// take nearly all of the time.
#include "engine/src/moments.h"

#include <cstring>
#include <new>

#include "engine/src/panel_place.h"
#include "engine/src/tensor.h"
#include "engine/src/unit_probes.h"
#include "engine/src/workspace.h"
#include "formats/arithmetic.h"
#include "formats/recheck.h"
#include "kernels/moments.h"
#include "kernels/taps.h"

namespace mu8 {

float ProbeMoments(float a, float b, float c) { return ProbeFloats(a, b, c); }

namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;
using kernels::Bound;
using kernels::Moments;

// One operand of a layer, or its output, for the image at hand.
struct Operand {
  const TensorRecord& tensor;
  const std::uint8_t* means;
  const std::uint8_t* variances;  // null: all 0
  float step;
  bool one_pixel = false;  // that serves all

  std::size_t At(std::uint32_t y, std::uint32_t x, std::uint32_t c) const {
    if (one_pixel) return c;
    return std::size_t{y} * tensor.row_stride + std::size_t{x} * tensor.channels + c;
  }
  float Variance(std::size_t at) const {
    return variances == nullptr ? 0.0F : static_cast<float>(variances[at]) * step;
  }
  std::int32_t Difference(std::size_t at) const { return means[at] - tensor.zero_point; }
  Moments At(std::size_t at) const { return {static_cast<float>(Difference(at)), Variance(at)}; }
};

Operand MakeOperand(const PassContext& context, std::uint32_t index, const TensorRecord& tensor,
                    std::size_t image_at) {
  const format::View& view = context.view;
  std::uint8_t* variances =
      IsCertain(view, index) ? nullptr : FirstPixel(context.variances + image_at, tensor);
  return {tensor, FirstPixel(context.activations + image_at, tensor), variances,
          StepOf(view, index)};
}

// What an operator makes of the images of a pass.
struct Work {
  const Layer& layer;
  PassContext* context;
  float factor;

  // write(a, b, means, variances, pixel): the outputs of one image; `b` is `a` where the layer
  // reads one tensor only.
  template <typename Write>
  void ForImages(const Write& write) const {
    for (std::uint32_t i = 0; i < context->images.count; ++i) {
      const auto at =
          static_cast<std::size_t>(context->images[i] * context->view.model.activation_bytes);
      const Operand a = MakeOperand(*context, layer.record.input, layer.input, at);
      Operand b = a;
      if (layer.has_input2()) {
        new (&b) Operand(MakeOperand(*context, layer.record.input2, layer.input2, at));
        b.one_pixel =
            layer.input2.height != layer.output.height || layer.input2.width != layer.output.width;
      }
      write(a, b, FirstPixel(context->activations + at, layer.output),
            FirstPixel(context->variances + at, layer.output));
    }
  }

  // Each value by itself: pair(a, b, y, x, c) of the codes to store.
  template <typename Pair>
  void ForValues(const Pair& pair) const {
    const TensorRecord& out = layer.output;
    ForImages([&](const Operand& a, const Operand& b, std::uint8_t* means,
                  std::uint8_t* variances) {
      for (std::uint32_t y = 0; y < out.height; ++y) {
        for (std::uint32_t x = 0; x < out.width; ++x) {
          const std::size_t pixel = std::size_t{y} * out.row_stride + std::size_t{x} * out.channels;
          for (std::uint32_t c = 0; c < out.channels; ++c) {
            const kernels::CodePair codes = pair(a, b, y, x, c);
            means[pixel + c] = codes.mean;
            variances[pixel + c] = codes.variance;
          }
        }
      }
    });
  }
};

kernels::TapSpan Taps(std::uint32_t out, std::uint32_t stride, std::uint32_t pad,
                      std::uint32_t kernel, std::uint32_t extent) {
  return kernels::RealTaps(out, stride, pad, kernel, extent);
}

// tap(row, column) for each real tap of the window of output (y, x).
template <typename Tap>
void ForTaps(const Layer& layer, std::uint32_t y, std::uint32_t x, const Tap& tap) {
  const LayerRecord& r = layer.record;
  const auto rows = Taps(y, r.stride_h, r.pad_top, r.kernel_h, layer.input.height);
  const auto columns = Taps(x, r.stride_w, r.pad_left, r.kernel_w, layer.input.width);
  for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
    for (std::uint32_t column = columns.begin; column < columns.end; ++column) tap(row, column);
  }
}

// The whole layer by a kernel.
void RunMaxPoolKernel(const Work& work) {
  const LayerRecord& r = work.layer.record;
  kernels::MomentsPoolArgs args{};
  args.input_row_stride = kernels::Signed(work.layer.input.row_stride);
  args.input_height = work.layer.input.height;
  args.input_width = work.layer.input.width;
  args.channels = work.layer.input.channels;
  args.kernel_h = r.kernel_h;
  args.kernel_w = r.kernel_w;
  args.stride_h = r.stride_h;
  args.stride_w = r.stride_w;
  args.pad_top = r.pad_top;
  args.pad_left = r.pad_left;
  args.factor = work.factor;
  args.zero_point = work.layer.output.zero_point;
  args.clamp_min = r.clamp_min;
  args.clamp_max = r.clamp_max;
  args.inverse_step = CodesOf(work.layer, work.context->view, true).inverse_step;
  args.output_row_stride = kernels::Signed(work.layer.output.row_stride);
  args.output_height = work.layer.output.height;
  args.output_width = work.layer.output.width;
  work.ForImages(
      [&](const Operand& a, const Operand&, std::uint8_t* means, std::uint8_t* variances) {
        args.means = a.means;
        args.variances = a.variances;
        args.step = a.step;
        args.output = means;
        args.output_variances = variances;
        work.context->kernels.moments->max_pool(args);
      });
}

[[maybe_unused]] void RunMaxPool(const Work& work) {
  const auto codes = CodesOf(work.layer, work.context->view, true);
  const bool clips = work.layer.record.clamp_min != 0;
  if (!clips && !IsCertain(work.context->view, work.layer.record.input) &&
      work.context->kernels.moments->max_pool != nullptr) {
    return RunMaxPoolKernel(work);
  }
  work.ForValues(
      [&](const Operand& a, const Operand&, std::uint32_t y, std::uint32_t x, std::uint32_t c) {
        Moments largest{};
        bool first = true;
        ForTaps(work.layer, y, x, [&](std::uint32_t row, std::uint32_t column) {
          const Moments tap = a.At(a.At(row, column, c));
          largest = first ? tap : Larger(largest, tap);
          first = false;
        });
        const float variance = largest.variance * work.factor;
        return clips ? ClipMoments(codes, largest.mean, variance)
                     : StoreMoments(codes, largest.mean, variance);
      });
}

[[maybe_unused]] void RunAveragePool(const Work& work) {
  const Layer& layer = work.layer;
  const auto codes = CodesOf(layer, work.context->view, true);
  const float ratio = format::ScaleRatio(layer.input, &layer.output);
  const std::uint32_t whole = std::uint32_t{layer.record.kernel_h} * layer.record.kernel_w;
  const bool count_padding = (layer.record.flags & format::kLayerCountPadding) != 0;
  work.ForValues([&](const Operand& a, const Operand&, std::uint32_t y, std::uint32_t x,
                     std::uint32_t c) {
    std::int32_t sum = 0;
    std::uint32_t variances = 0, taps = 0;
    ForTaps(layer, y, x, [&](std::uint32_t row, std::uint32_t column) {
      const std::size_t at = a.At(row, column, c);
      sum += a.Difference(at);
      if (a.variances != nullptr) variances += a.variances[at];
      ++taps;
    });
    const float m = ratio / static_cast<float>(count_padding ? whole : taps);
    const float mean = static_cast<float>(sum) * m;
    const float variance = static_cast<float>(variances) * Bound(work.factor * ((m * m) * a.step));
    return layer.input.zero_point == 0 ? StoreMoments(codes, mean, variance)
                                       : ClipMoments(codes, mean, variance);
  });
}

[[maybe_unused]] void RunAddMoments(const Work& work) {
  const Layer& layer = work.layer;
  const format::View& view = work.context->view;
  const auto codes = CodesOf(layer, view, true);
  const format::SumFactors factors =
      format::MakeSumFactors(layer.input, layer.input2, layer.output);
  const std::int32_t shift = format::FixedPointShift(factors.largest());
  const std::int32_t factor_a = format::FixedPoint(factors.a, shift);
  const std::int32_t factor_b = format::FixedPoint(factors.b, shift);
  const float unit = format::BitCast<float>(static_cast<std::uint32_t>(127 - shift) << 23);
  const auto gain = [&](float factor, std::uint32_t tensor) {
    return Bound(work.factor * ((factor * factor) * StepOf(view, tensor)));
  };
  const float gain_a = gain(factors.a, layer.record.input);
  const float gain_b = gain(factors.b, layer.record.input2);
  const auto code = [](const Operand& operand, std::size_t at) {
    return operand.variances == nullptr ? 0.0F : static_cast<float>(operand.variances[at]);
  };
  work.ForValues(
      [&](const Operand& a, const Operand& b, std::uint32_t y, std::uint32_t x, std::uint32_t c) {
        const std::size_t at_a = a.At(y, x, c), at_b = b.At(y, x, c);
        const std::int32_t sum = a.Difference(at_a) * factor_a + b.Difference(at_b) * factor_b;
        const float variance = code(a, at_a) * gain_a + code(b, at_b) * gain_b;
        return ClipMoments(codes, static_cast<float>(sum) * unit, variance);
      });
}

[[maybe_unused]] void RunMultiplyMoments(const Work& work) {
  const Layer& layer = work.layer;
  const auto codes = CodesOf(layer, work.context->view, true);
  const float m = format::MakeProductScales(layer.input, layer.input2, layer.output).multiplier;
  const float gain = Bound(work.factor * (m * m));
  const bool stores = layer.input.zero_point == 0 && layer.input2.zero_point == 0;
  work.ForValues([&](const Operand& a, const Operand& b, std::uint32_t y, std::uint32_t x,
                     std::uint32_t c) {
    const std::size_t at_a = a.At(y, x, c), at_b = b.At(y, x, c);
    const std::int32_t da = a.Difference(at_a), db = b.Difference(at_b);
    const float va = a.Variance(at_a), vb = b.Variance(at_b);
    const float variance =
        ((static_cast<float>(db * db) * va + static_cast<float>(da * da) * vb) + va * vb) * gain;
    const float mean = static_cast<float>(da * db) * m;
    return stores ? StoreMoments(codes, mean, variance) : ClipMoments(codes, mean, variance);
  });
}

// Of codes, not of differences to the zero point.
Moments ThroughTable(const std::uint8_t* table, const Operand& operand, std::size_t at) {
  return kernels::Through(table, operand.means[at], operand.Variance(at));
}

kernels::CodePair StoreCode(const kernels::MomentsCodes& codes, const Moments& code, float factor) {
  return StoreMoments(codes, code.mean - static_cast<float>(codes.zero_point),
                      code.variance * factor);
}

[[maybe_unused]] void RunLookupMoments(const Work& work) {
  const auto codes = CodesOf(work.layer, work.context->view, false);
  const bool by_channel = (work.layer.record.flags & format::kLayerByChannel) != 0;
  work.ForValues(
      [&](const Operand& a, const Operand&, std::uint32_t y, std::uint32_t x, std::uint32_t c) {
        const std::size_t table = by_channel ? std::size_t{c} * format::kLookupBytes : 0;
        return StoreCode(codes, ThroughTable(work.layer.parameters + table, a, a.At(y, x, c)),
                         work.factor);
      });
}

[[maybe_unused]] void RunConcatMoments(const Work& work) {
  const auto codes = CodesOf(work.layer, work.context->view, false);
  const std::uint32_t first = work.layer.input.channels;
  work.ForValues(
      [&](const Operand& a, const Operand& b, std::uint32_t y, std::uint32_t x, std::uint32_t c) {
        const std::uint8_t* tables = work.layer.parameters;
        const Moments code =
            c < first ? ThroughTable(tables, a, a.At(y, x, c))
                      : ThroughTable(tables + format::kLookupBytes, b, b.At(y, x, c - first));
        return StoreCode(codes, code, work.factor);
      });
}

[[maybe_unused]] void RunExtremumMoments(const Work& work) {
  const auto codes = CodesOf(work.layer, work.context->view, false);
  const bool maximum = static_cast<OpCode>(work.layer.record.op) == OpCode::kMaximum;
  work.ForValues(
      [&](const Operand& a, const Operand& b, std::uint32_t y, std::uint32_t x, std::uint32_t c) {
        const std::uint8_t* tables = work.layer.parameters;
        Moments left = ThroughTable(tables, a, a.At(y, x, c));
        Moments right = ThroughTable(tables + format::kLookupBytes, b, b.At(y, x, c));
        if (!maximum) {
          left.mean = -left.mean;
          right.mean = -right.mean;
        }
        Moments code = Larger(left, right);
        if (!maximum) code.mean = -code.mean;
        return StoreCode(codes, code, work.factor);
      });
}

// Where values only move, their variances move with them.
[[maybe_unused]] void Move(const Layer& layer, void (*run)(const Layer&, PassContext*),
                           PassContext* context) {
  run(layer, context);
  PassContext of_variances = *context;
  of_variances.activations = context->variances;
  Layer moved = layer;
  moved.input.zero_point = 0;
  const format::View& view = context->view;
  const bool certain = IsCertain(view, layer.record.input);
  if (!certain) run(moved, &of_variances);
  const float ratio =
      certain ? 0.0F : StepOf(view, layer.record.input) / view.layer_moments(layer.index).step;
  if (ratio == 1.0F) return;
  ForImages(of_variances, [&](std::uint8_t* variances) {
    for (std::uint32_t y = 0; y < layer.output.height; ++y) {
      std::uint8_t* row =
          FirstPixel(variances, layer.output) + std::size_t{y} * layer.output.row_stride;
      for (std::uint32_t i = 0; i < layer.output.width * layer.output.channels; ++i) {
        const float v = certain ? 0.0F : static_cast<float>(row[i]) * ratio;
        row[i] = static_cast<std::uint8_t>(kernels::NearestCode(v < 255.0F ? v : 255.0F));
      }
    }
  });
}

[[maybe_unused]] void RunConstantMoments(const Layer& layer, PassContext* context) {
  RunConstant(layer, context);
  PassContext of_variances = *context;
  of_variances.activations = context->variances;
  ForImages(of_variances, [&](std::uint8_t* variances) {
    for (std::uint32_t y = 0; y < layer.output.height; ++y) {
      std::memset(FirstPixel(variances, layer.output) + std::size_t{y} * layer.output.row_stride, 0,
                  std::size_t{layer.output.width} * layer.output.channels);
    }
  });
}

// visit(layer, what it needs) for the layers with weights that a pass runs.
template <typename Visit>
void ForScratch(const format::View& view, const Visit& visit) {
  for (std::uint32_t i = view.first_pass_layer(); i < view.layer_count(); ++i) {
    LayerRecord record;
    format::Operands operands;
    if (!format::LoadLayer(view, i, &record, &operands, nullptr) || record.mu_bits == 0) continue;
    visit(i, ScratchOf(view, record, operands));
  }
}

}  // namespace

kernels::MomentsCodes CodesOf(const Layer& layer, const format::View& view, bool clamped) {
  const std::int32_t zero = layer.output.zero_point;
  const std::int32_t low = clamped ? layer.record.clamp_min : 0;
  const std::int32_t high = clamped ? layer.record.clamp_max : 255;
  return {zero, static_cast<float>(low - zero), static_cast<float>(high - zero),
          1.0F / view.layer_moments(layer.index).step};
}

void RunMoments(const Layer& layer, PassContext* context) {
  format::TensorRecord of_variances = layer.output;
  of_variances.zero_point = 0;
  for (std::uint32_t i = 0; i < context->images.count; ++i) {
    FillPadding(of_variances,
                context->variances + context->images[i] * context->view.model.activation_bytes);
  }
  const Work work{layer, context, context->view.layer_moments(layer.index).factor};
  switch (static_cast<OpCode>(layer.record.op)) {
    case OpCode::kConv2d:
    case OpCode::kDense:
      return RunMomentsWeighted(layer, context);
    case OpCode::kMaxPool:
      if constexpr (config::kMaxPool) RunMaxPool(work);
      break;
    case OpCode::kAveragePool:
      if constexpr (config::kAveragePool) RunAveragePool(work);
      break;
    case OpCode::kLookup:
      if constexpr (config::kLookup) RunLookupMoments(work);
      break;
    case OpCode::kAdd:
      if constexpr (config::kAdd) RunAddMoments(work);
      break;
    case OpCode::kMultiply:
      if constexpr (config::kMultiply) RunMultiplyMoments(work);
      break;
    case OpCode::kSlice:
      if constexpr (config::kSlice) Move(layer, RunSlice, context);
      break;
    case OpCode::kConcat:
      if constexpr (config::kConcat) RunConcatMoments(work);
      break;
    case OpCode::kGather:
      if constexpr (config::kGather) Move(layer, RunGather, context);
      break;
    case OpCode::kMaximum:
    case OpCode::kMinimum:
      if constexpr (config::kExtremum) RunExtremumMoments(work);
      break;
    case OpCode::kConstant:
      if constexpr (config::kConstant) RunConstantMoments(layer, context);
      break;
  }
}

MomentsPlaces PlaceMoments(const format::View& view, std::uint32_t layer, std::uint64_t first,
                           std::uint64_t second) {
  MomentsPlaces places{};
  const auto place = [&](std::uint64_t bytes, const ByteRange& taken) {
    if (bytes == 0) return std::uint64_t{0};
    const std::uint64_t at = PanelPlace(view, layer, bytes, taken);
    if (at + bytes > places.end) places.end = at + bytes;
    return at;
  };
  places.first = place(first, {});
  places.second = place(second, {places.first, places.first + first});
  return places;
}

MomentsScratch MomentsScratchBytes(const format::View& view) {
  MomentsScratch most;
  most.bytes[kSquaresPiece] = format::RoundUp(view.model.panel_bytes, format::kAlignment);
  ForScratch(view, [&](std::uint32_t, const MomentsScratch& needed) {
    for (std::uint32_t i = 0; i < MomentsScratch::kPieces; ++i) {
      if (needed.bytes[i] > most.bytes[i]) most.bytes[i] = needed.bytes[i];
    }
  });
  return most;
}

std::uint64_t BytesWithMoments(const format::View& view, std::uint64_t known) {
  std::uint64_t bytes = known;
  ForScratch(view, [&](std::uint32_t layer, const MomentsScratch& needed) {
    for (std::uint32_t i = 0; i < MomentsScratch::kPieces; i += 2) {
      const std::uint64_t end =
          PlaceMoments(view, layer, needed.bytes[i], needed.bytes[i + 1]).end +
          sizeof(std::uint32_t);
      if (end > bytes) bytes = end;
    }
  });
  return format::RoundUp(bytes, kArenaAlignment);
}

}  // namespace mu8
