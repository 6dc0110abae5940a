#include "bench/mu8_layer.h"

#include <algorithm>
#include <cstring>

namespace mu8::bench {
namespace {

using host::AlignedBuffer;

AlignedBuffer Zeros(std::size_t bytes) {
  AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), 0, bytes);
  return buffer;
}

// Whole kernel rows are contiguous in NHWC: as many runs as the kernel has rows.
format::PanelLayout Panels(const Shape& shape) {
  format::LayerRecord record{};
  record.groups = 1;
  record.output_channels = shape.output_channels;
  record.runs = shape.kernel;
  record.run_length = shape.kernel * shape.input_channels;
  return format::MakePanelLayout(record);
}

std::size_t RowStride(const Shape& shape) {
  return std::size_t{shape.size + 2 * shape.pad} * shape.input_channels;
}

template <typename T>
T* As(AlignedBuffer& buffer) {
  return reinterpret_cast<T*>(buffer.data());
}

}  // namespace

Mu8Layer::Mu8Layer(const LayerData& data, const kernels::KernelTable& table,
                   std::uint32_t sigma_bits)
    : shape_(data.shape),
      table_(table),
      sigma_bits_(sigma_bits),
      panels_(Panels(shape_)),
      input_(Zeros((shape_.size + 2 * shape_.pad) * RowStride(shape_) + format::kTensorTailBytes)),
      output_(Zeros(shape_.output_bytes())),
      mu_(Zeros(panels_.mu_bytes())),
      sigma_(Zeros(std::max<std::size_t>(panels_.mu_bytes() * sigma_bits / 8, 1))),
      drawn_(Zeros(panels_.mu_bytes())),
      panel_(Zeros(panels_.panel_bytes(0))),
      bias_mu_(panels_.padded_channels),
      drawn_bias_(panels_.padded_channels),
      multiplier_(panels_.padded_channels) {
  for (std::uint32_t y = 0; y < shape_.size; ++y) {
    const std::size_t row = std::size_t{shape_.size} * shape_.input_channels;
    std::memcpy(input_.data() + (y + shape_.pad) * RowStride(shape_) +
                    std::size_t{shape_.pad} * shape_.input_channels,
                data.input.data() + y * row, row);
  }
  for (std::uint32_t o = 0; o < shape_.output_channels; ++o) {
    for (std::uint32_t run = 0; run < panels_.runs; ++run) {
      for (std::uint32_t i = 0; i < panels_.run_length; ++i) {
        As<std::int8_t>(mu_)[format::WeightOffset(panels_, o, run, i)] =
            data.weights[std::size_t{o} * shape_.inputs() + run * panels_.run_length + i];
      }
    }
    bias_mu_[format::SlotOf(panels_, o)] = data.bias[o];
    multiplier_[format::SlotOf(panels_, o)] = data.multiplier[o];
  }
}

void Mu8Layer::SamplePanel(std::uint32_t index, std::int8_t* weights, std::int32_t* bias) {
  static constexpr std::uint8_t kCodebook[64] = {};
  static constexpr std::uint16_t kBiasLevel[16] = {};
  static constexpr std::uint8_t kShift[16] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
  const std::uint64_t offset = panels_.panel_offset(index);
  kernels::SampleArgs args{};
  args.stream = {};
  args.stream.seed = 1;
  args.stream.pass = pass_;
  args.stream.panel = index;
  args.width = panels_.width(index);
  args.runs = panels_.runs;
  args.run_length = panels_.run_length;
  args.padded_run = panels_.padded_run;
  args.sigma_bits = sigma_bits_;
  args.mu_bits = 8;
  args.mu = As<std::uint8_t>(mu_) + offset;
  args.sigma = As<std::uint8_t>(sigma_) + offset * sigma_bits_ / 8;
  args.codebook = kCodebook;
  args.codebook_stride = 16;
  args.shift = kShift;
  args.bias_mu = bias_mu_.data() + panels_.slot(index);
  args.bias_level = kBiasLevel;
  args.bias_shift = kShift;
  args.weights = weights;
  args.bias = bias;
  args.end_block = kernels::BlockCount(args);
  table_.sample_panel(args);
}

void Mu8Layer::ConvolvePanel(std::uint32_t index, const std::int8_t* weights,
                             const std::int32_t* bias) {
  const auto row = static_cast<std::ptrdiff_t>(RowStride(shape_));
  kernels::ConvolveArgs args{};
  args.input = As<std::uint8_t>(input_);
  args.input_row_step = shape_.stride * row;
  args.input_col_step = std::ptrdiff_t{shape_.stride} * shape_.input_channels;
  args.outer_runs = panels_.runs;
  args.inner_runs = 1;
  args.padded_run = panels_.padded_run;
  args.outer_step = row;
  args.weights = weights;
  args.bias = bias;
  args.width = panels_.width(index);
  args.channels = panels_.channels(index);
  args.output_height = args.output_width = shape_.output_size();
  args.multiplier = multiplier_.data() + panels_.slot(index);
  args.clamp_max = 255;
  args.output = As<std::uint8_t>(output_) + panels_.channel(index);
  args.output_row_step = std::ptrdiff_t{shape_.output_size()} * shape_.output_channels;
  args.output_col_step = shape_.output_channels;
  table_.convolve(args);
}

void Mu8Layer::Sample() {
  for (std::uint32_t i = 0; i < panels_.panel_count(); ++i) {
    SamplePanel(i, As<std::int8_t>(drawn_) + panels_.panel_offset(i),
                drawn_bias_.data() + panels_.slot(i));
  }
  ++pass_;
}

void Mu8Layer::Convolve() {
  for (std::uint32_t i = 0; i < panels_.panel_count(); ++i) {
    ConvolvePanel(i, As<std::int8_t>(drawn_) + panels_.panel_offset(i),
                  drawn_bias_.data() + panels_.slot(i));
  }
}

void Mu8Layer::Pass() {
  for (std::uint32_t i = 0; i < panels_.panel_count(); ++i) {
    SamplePanel(i, As<std::int8_t>(panel_), drawn_bias_.data());
    ConvolvePanel(i, As<std::int8_t>(panel_), drawn_bias_.data());
  }
  ++pass_;
}

std::vector<std::uint8_t> Mu8Layer::Output() const {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(output_.data());
  return {bytes, bytes + output_.size()};
}

}  // namespace mu8::bench
