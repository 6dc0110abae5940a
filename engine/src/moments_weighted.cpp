// Predictions by moments: convolutions and dense layers (FORMAT.md 13.2, 13.3), three products in
// place of one: of means, of what weights are drawn with, and of the inputs' variances.
#include <cstring>

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
void AccumulateTile(const MomentsLayer& layer, void (*accumulate)(const ConvolveArgs&),
                    ConvolveArgs args, const Tile& tile, std::int32_t* to) {
  if (accumulate != nullptr) {
    args.output_height = tile.rows;
    args.output_width = tile.columns;
    args.accumulators = to;
    return accumulate(args);
  }
  args.output_height = args.output_width = 1;
  const std::uint8_t* row = args.input;
  for (std::uint32_t y = 0; y < tile.rows; ++y, row += args.input_row_step) {
    args.input = row;
    for (std::uint32_t x = 0; x < tile.columns; ++x, to += kPanelWidth) {
      args.accumulators = to;
      layer.convolve(args);
      args.input += args.input_col_step;
    }
  }
}

// One panel over one image, tile by tile.
class PanelRun {
 public:
  PanelRun(const MomentsLayer& layer, const MomentsPanel& panel, const Places& places,
           std::uint32_t image)
      : layer_(layer),
        panel_(panel),
        file_(layer.work.layer),
        context_(*layer.work.context),
        base_(layer.work.convolve),
        seconds_(layer.pieces[kSecondsPiece]),
        clip_(panel.clip) {
    const auto at = static_cast<std::size_t>(image * context_.view.model.activation_bytes);
    means_ = context_.activations + at;
    variances_ = context_.variances + at;
    std::uint8_t* const accumulators = layer.pieces[kAccumulatorsPiece];
    acc_ = reinterpret_cast<std::int32_t*>(seconds_ + places.acc);
    spread_ = reinterpret_cast<std::int32_t*>(accumulators);
    input_ = reinterpret_cast<std::int32_t*>(accumulators + places.input);
    clip_.acc = acc_;
    if (layer.panels.bayesian) clip_.spread = spread_;
    if (layer.panels.uncertain) clip_.input = input_;
  }

  void Run() {
    const Tile whole = TileOf(file_.output);
    for (std::uint32_t y = 0; y < file_.output.height; y += whole.rows) {
      const std::uint32_t left = file_.output.height - y;
      const std::uint32_t rows = left < whole.rows ? left : whole.rows;
      FindBand(y, rows);
      for (std::uint32_t x = 0; x < file_.output.width; x += whole.columns) {
        const std::uint32_t more = file_.output.width - x;
        const Tile tile{rows, more < whole.columns ? more : whole.columns};
        Accumulate(y, x, tile);
        for (std::uint32_t row = 0; row < rows; ++row) ClipRow(y, x, row, tile.columns);
      }
    }
  }

 private:
  // Where what `rows` of the output from y on read begins, from the image's means, and its second
  // moments: of rows that the tile before has read, too, they move up.
  void FindBand(std::uint32_t y, std::uint32_t rows) {
    const auto bytes = static_cast<std::size_t>(BandRows(file_.record, file_.input, rows) *
                                                file_.input.row_stride);
    const std::size_t band_at =
        file_.input.offset + (std::size_t{file_.input.pad_top} - file_.record.pad_top +
                              std::size_t{y} * (layer_.is_dense ? 0U : file_.record.stride_h)) *
                                 file_.input.row_stride;
    const std::size_t end = band_at_ + band_bytes_;
    const std::size_t known = end > band_at ? end - band_at : 0;
    const std::size_t before = band_at - band_at_;
    band_at_ = band_at;
    band_bytes_ = bytes;
    if (!layer_.panels.bayesian) return;
    if (known != 0) std::memmove(seconds_, seconds_ + before, known);
    layer_.FindSecondMoments(means_ + band_at + known, variances_ + band_at + known, bytes - known,
                             seconds_ + known);
  }

  void Accumulate(std::uint32_t y, std::uint32_t x, const Tile& tile) const {
    ConvolveArgs args = base_;
    args.weights = panel_.means;
    args.bias = panel_.bias;
    args.input = base_.input + Signed(y) * base_.input_row_step + Signed(x) * base_.input_col_step;
    const std::ptrdiff_t window_at = args.input - means_;
    AccumulateTile(layer_, layer_.accumulate, args, tile, acc_);
    args.zero_point = 0;
    args.bias = kNoBias;
    if (layer_.panels.bayesian) {
      args.weights = panel_.spread;
      args.input = seconds_ + (window_at - Signed(band_at_));
      AccumulateTile(layer_, layer_.accumulate_squares, args, tile, spread_);
    }
    if (layer_.panels.uncertain) {
      args.weights = panel_.squares;
      args.input = variances_ + window_at;
      AccumulateTile(layer_, layer_.accumulate_squares, args, tile, input_);
    }
  }

  // Row `row` of the tile at (y, x).
  void ClipRow(std::uint32_t y, std::uint32_t x, std::uint32_t row, std::uint32_t columns) const {
    const auto at = [&](std::ptrdiff_t row_step, std::ptrdiff_t col_step) {
      return Signed(y + row) * row_step + Signed(x) * col_step;
    };
    kernels::ClipArgs clip = clip_;
    const std::size_t done = std::size_t{row} * columns * kPanelWidth;
    clip.pixels = columns;
    clip.acc += done;
    if (clip.spread != nullptr) clip.spread += done;
    if (clip.input != nullptr) clip.input += done;
    const std::ptrdiff_t output_at = at(base_.output_row_step, base_.output_col_step);
    clip.output = base_.output + output_at;
    clip.variance = variances_ + (base_.output - means_) + output_at;
    if (file_.has_input2()) {
      clip.residual = base_.residual + at(base_.residual_row_step, base_.residual_col_step);
      clip.residual_variance = IsCertain(context_.view, file_.record.input2)
                                   ? nullptr
                                   : variances_ + (clip.residual - means_);
    }
    context_.kernels.moments->clip(clip);
  }

  const MomentsLayer& layer_;
  const MomentsPanel& panel_;
  const Layer& file_;
  const PassContext& context_;
  const ConvolveArgs& base_;
  std::uint8_t* const seconds_;
  kernels::ClipArgs clip_;
  std::uint8_t *means_, *variances_;
  std::int32_t *acc_, *spread_, *input_;
  std::size_t band_at_ = 0, band_bytes_ = 0;
};

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
      PanelRun(work, panel, places, context->images[i]).Run();
    }
  }
}

}  // namespace mu8
