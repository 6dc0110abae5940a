// Predictions by moments: convolutions and dense layers (FORMAT.md 13.2, 13.3), three products in
// place of one: of means, of what weights are drawn with, and of the inputs' variances.
#include "engine/src/moments.h"
#include "engine/src/moments_panel.h"
#include "engine/src/tensor.h"

namespace mu8 {

namespace {

using format::RoundUp;
using kernels::ConvolveArgs;
using kernels::kPanelWidth;
using kernels::Signed;

// Output pixels whose accumulators are in memory at a time: whole rows, or a part of one.
constexpr std::uint32_t kTilePixels = 32;

struct Tile {
  std::uint32_t rows, columns;
};

Tile TileOf(const format::TensorRecord& output) {
  if (output.width >= kTilePixels) return {1, kTilePixels};
  const std::uint32_t rows = kTilePixels / output.width;
  return {rows < output.height ? rows : output.height, output.width};
}

// Rows of the input that `rows` of the output read.
std::uint64_t BandRows(const format::LayerRecord& record, const format::TensorRecord& input,
                       std::uint32_t rows) {
  if (static_cast<format::OpCode>(record.op) == format::OpCode::kDense) return input.height;
  return std::uint64_t{rows - 1} * record.stride_h +
         std::uint64_t{record.kernel_h - 1U} * record.dilation_h + 1;
}

// The memory of a layer that is not the last, and where its accumulators lie: those of means behind
// second moments, the others in the last piece.
struct Places {
  std::uint64_t acc, input;
  MomentsScratch needed;

  Places(const MomentsPanels& panels, const format::LayerRecord& record,
         const format::Operands& operands) {
    const Tile tile = TileOf(operands.output);
    const std::uint64_t band =
        BandRows(record, operands.input, tile.rows) * operands.input.row_stride;
    const std::uint64_t accumulators =
        std::uint64_t{tile.rows} * tile.columns * kPanelWidth * sizeof(std::int32_t);
    acc = panels.bayesian ? RoundUp(band + format::kTensorTailBytes, format::kAlignment) : 0;
    input = panels.bayesian ? accumulators : 0;
    needed.bytes[kSquaresPiece] = panels.squares_end;
    needed.bytes[kSecondsPiece] = acc + accumulators;
    needed.bytes[kSpreadPiece] = panels.spread_end;
    needed.bytes[kAccumulatorsPiece] = input + (panels.uncertain ? accumulators : 0);
  }
};

// Accumulators of a tile's pixels, the first window at args.input.
void AccumulateTile(const MomentsLayer& layer, ConvolveArgs args, const Tile& tile,
                    std::uint32_t rows, std::int32_t* to) {
  if (layer.accumulate != nullptr) {
    args.output_height = rows;
    args.output_width = tile.columns;
    args.accumulators = to;
    return layer.accumulate(args);
  }
  args.output_height = args.output_width = 1;
  const std::uint8_t* row = args.input;
  for (std::uint32_t y = 0; y < rows; ++y, row += args.input_row_step) {
    args.input = row;
    for (std::uint32_t x = 0; x < tile.columns; ++x, to += kPanelWidth) {
      args.accumulators = to;
      layer.convolve(args);
      args.input += args.input_col_step;
    }
  }
}

// One panel over one image.
void RunPanel(const MomentsLayer& layer, const MomentsPanel& panel, const Places& places,
              std::uint32_t image) {
  const Layer& file = layer.work.layer;
  PassContext* const context = layer.work.context;
  const auto image_at = static_cast<std::size_t>(image * context->view.model.activation_bytes);
  std::uint8_t* const means = context->activations + image_at;
  std::uint8_t* const variances = context->variances + image_at;
  std::uint8_t* const seconds = layer.pieces[kSecondsPiece];
  auto* const acc = reinterpret_cast<std::int32_t*>(seconds + places.acc);
  std::uint8_t* const accumulators = layer.pieces[kAccumulatorsPiece];
  auto* const spread = reinterpret_cast<std::int32_t*>(accumulators);
  auto* const input = reinterpret_cast<std::int32_t*>(accumulators + places.input);
  const ConvolveArgs& base = layer.work.convolve;
  kernels::ClipArgs clip = panel.clip;
  clip.acc = acc;
  if (layer.panels.bayesian) clip.spread = spread;
  if (layer.panels.uncertain) clip.input = input;
  const Tile whole = TileOf(file.output);
  for (std::uint32_t y = 0; y < file.output.height; y += whole.rows) {
    const std::uint32_t rows =
        file.output.height - y < whole.rows ? file.output.height - y : whole.rows;
    // Where the band begins, from the activations' start, and its second moments in the scratch.
    const std::uint64_t band_rows = BandRows(file.record, file.input, rows);
    const std::size_t band_at =
        file.input.offset + (std::size_t{file.input.pad_top} - file.record.pad_top +
                             std::size_t{y} * (layer.is_dense ? 0U : file.record.stride_h)) *
                                file.input.row_stride;
    if (layer.panels.bayesian) {
      layer.FindSecondMoments(means + band_at, variances + band_at,
                              static_cast<std::size_t>(band_rows * file.input.row_stride), seconds);
    }
    for (std::uint32_t x = 0; x < file.output.width; x += whole.columns) {
      const std::uint32_t left = file.output.width - x;
      const Tile tile{whole.rows, left < whole.columns ? left : whole.columns};
      const std::uint8_t* window =
          base.input + Signed(y) * base.input_row_step + Signed(x) * base.input_col_step;
      const std::ptrdiff_t window_at = window - means;
      ConvolveArgs args = base;
      args.weights = panel.means;
      args.bias = panel.bias;
      args.input = window;
      AccumulateTile(layer, args, tile, rows, acc);
      args.zero_point = 0;
      args.bias = kNoBias;
      if (layer.panels.bayesian) {
        args.weights = panel.spread;
        args.input = seconds + (window_at - Signed(band_at));
        AccumulateTile(layer, args, tile, rows, spread);
      }
      if (layer.panels.uncertain) {
        args.weights = panel.squares;
        args.input = variances + window_at;
        AccumulateTile(layer, args, tile, rows, input);
      }
      for (std::uint32_t row = 0; row < rows; ++row) {
        const auto at = [&](std::ptrdiff_t row_step, std::ptrdiff_t col_step) {
          return Signed(y + row) * row_step + Signed(x) * col_step;
        };
        kernels::ClipArgs of_row = clip;
        const std::size_t done = std::size_t{row} * tile.columns * kPanelWidth;
        of_row.pixels = tile.columns;
        of_row.acc += done;
        if (of_row.spread != nullptr) of_row.spread += done;
        if (of_row.input != nullptr) of_row.input += done;
        const std::ptrdiff_t output_at = at(base.output_row_step, base.output_col_step);
        of_row.output = base.output + output_at;
        of_row.variance = variances + (base.output - means) + output_at;
        if (file.has_input2()) {
          of_row.residual = base.residual + at(base.residual_row_step, base.residual_col_step);
          of_row.residual_variance = IsCertain(context->view, file.record.input2)
                                         ? nullptr
                                         : variances + (of_row.residual - means);
        }
        context->kernels.moments->clip(of_row);
      }
    }
  }
}

}  // namespace

MomentsScratch ScratchOf(const format::View& view, const format::LayerRecord& record,
                         const format::Operands& operands) {
  const MomentsPanels panels(view, record, operands.logits);
  return operands.logits ? OutputsScratch(view, panels, record, operands)
                         : Places(panels, record, operands).needed;
}

void RunMomentsWeighted(const Layer& layer, PassContext* context) {
  MomentsLayer work(layer, context);
  LayerCursor at{.layer = layer.index};
  if (context->failed || !Prepare(&at, &work.work) || !work.FindScratch()) return;
  const Places places(work.panels, layer.record, layer);
  format::MuCursor mu = work.work.parameters.FirstMu(layer.record);
  for (; mu.panel() < work.work.parameters.panels.panel_count(); mu.Next()) {
    MomentsPanel panel;
    if (!panel.Set(mu, &work)) return;
    for (std::uint32_t i = 0; i < context->images.count; ++i) {
      SetImage(mu.panel(), context->images[i], &work.work);
      RunPanel(work, panel, places, context->images[i]);
    }
  }
}

}  // namespace mu8
