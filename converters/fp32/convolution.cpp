#include "converters/fp32/convolution.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Tiles of rows that are multiplied with a panel of weights while it is in the cache: the more, the
// larger the weights are, up to what the windows may take of a second-level cache.
constexpr std::size_t kWeightBytesOfTile = std::size_t{32} << 10;
constexpr std::size_t kMostTiles = 8;

// A dense layer is a convolution of one pixel.
Value Pixel(const Value& value) { return {value.name, 1, 1, static_cast<int>(value.size())}; }

void CheckSize(const char* what, const std::vector<float>& data, std::size_t expected) {
  if (data.size() == expected) return;
  throw host::Error(std::string(what) + ": " + std::to_string(data.size()) + " numbers, expected " +
                    std::to_string(expected));
}

}  // namespace

Fp32Convolution::Fp32Convolution(const Value& in, const Value& out, const Node& node,
                                 const Fp32Kernels& kernels)
    : kernels_(kernels),
      in_(node.op == Op::kDense ? Pixel(in) : in),
      out_(node.op == Op::kDense ? Pixel(out) : out) {
  const Window window = node.op == Op::kDense ? Window{} : node.window;
  const int groups = node.op == Op::kDense ? 1 : node.groups;
  CheckWindow(window, in_, out_);
  if (groups < 1 || in_.channels % groups != 0 || out_.channels % groups != 0) {
    throw host::Error(std::to_string(groups) + " groups do not divide " +
                      std::to_string(in_.channels) + " input and " + std::to_string(out_.channels) +
                      " output channels");
  }
  rows_ = Rows(in_, window);
  columns_ = Columns(in_, window);
  groups_ = static_cast<std::size_t>(groups);
  group_in_ = static_cast<std::size_t>(in_.channels) / groups_;
  group_out_ = static_cast<std::size_t>(out_.channels) / groups_;
  const auto kernel =
      static_cast<std::size_t>(rows_.kernel) * static_cast<std::size_t>(columns_.kernel);
  depth_ = kernel * group_in_;
  const std::size_t slices = (depth_ + kFp32Depth - 1) / kFp32Depth;
  slice_ = (depth_ + slices - 1) / slices;
  const std::size_t weight_bytes = group_out_ * slice_ * sizeof(float);
  rows_at_a_time_ =
      kernels_.row_tile * std::clamp<std::size_t>(weight_bytes / kWeightBytesOfTile, 1, kMostTiles);
  for (int ox = 0; ox < out_.width; ++ox) taps_of_.push_back(columns_.Inside(columns_.Start(ox)));
  const auto is_whole = [this](WindowAxis::Taps taps) {
    return taps.begin == 0 && taps.end == columns_.kernel;
  };
  const auto whole = std::ranges::find_if(taps_of_, is_whole);
  const auto behind = std::ranges::find_if_not(whole, taps_of_.end(), is_whole);
  first_whole_ = static_cast<int>(whole - taps_of_.begin());
  last_whole_ = static_cast<int>(behind - taps_of_.begin());
  bias_count_ = node.bias.mu.empty() ? 0 : static_cast<std::size_t>(out_.channels);
  is_depthwise_ = groups_ > 1 && group_in_ == 1 && group_out_ == 1;
  weights_.resize(is_depthwise_ ? kernel * groups_ : groups_ * PanelFloats(group_out_, depth_));
  bias_.resize(static_cast<std::size_t>(out_.channels));
}

void Fp32Convolution::SetWeights(const std::vector<float>& weights,
                                 const std::vector<float>& bias) {
  CheckSize("weights", weights, groups_ * group_out_ * depth_);
  CheckSize("bias", bias, bias_count_);
  std::copy(bias.begin(), bias.end(), bias_.begin());
  if (is_depthwise_) {
    for (std::size_t c = 0; c < groups_; ++c) {
      for (std::size_t t = 0; t < depth_; ++t) weights_[t * groups_ + c] = weights[c * depth_ + t];
    }
    return;
  }
  for (std::size_t g = 0; g < groups_; ++g) {
    OrderByPanels(&weights[g * group_out_ * depth_], group_out_, depth_,
                  &weights_[g * PanelFloats(group_out_, depth_)]);
  }
}

std::size_t Fp32Convolution::scratch_size() const {
  return is_depthwise_ ? 0 : rows_at_a_time_ * kFp32Stride;
}

void Fp32Convolution::Run(std::size_t images, const float* in, float* out, float* scratch) {
  if (is_depthwise_) {
    RunDepthwise(images, in, out);
  } else {
    RunProducts(images, in, out, scratch);
  }
}

void Fp32Convolution::RunProducts(std::size_t images, const float* in, float* out,
                                  float* scratch) const {
  const std::size_t pixels = out_.size() / static_cast<std::size_t>(out_.channels);
  const std::size_t rows = images * pixels;
  for (std::size_t first = 0; first < rows; first += rows_at_a_time_) {
    const std::size_t count = std::min(rows_at_a_time_, rows - first);
    for (std::size_t group = 0; group < groups_; ++group) {
      for (std::size_t begin = 0; begin < depth_; begin += slice_) {
        const std::size_t end = std::min(begin + slice_, depth_);
        CopyWindows(in + group * group_in_, first, count, begin, end, scratch);
        kernels_.multiply(
            {.in = scratch,
             .weights = &weights_[group * PanelFloats(group_out_, depth_) + begin * kFp32Panel],
             .panel_stride = depth_ * kFp32Panel,
             .bias = begin == 0 ? &bias_[group * group_out_] : nullptr,
             .out = out + first * static_cast<std::size_t>(out_.channels) + group * group_out_,
             .out_stride = static_cast<std::size_t>(out_.channels),
             .rows = count,
             .depth = end - begin,
             .columns = group_out_});
      }
    }
  }
}

// Output pixels `first` and on, counted through all images, in runs that stand in one row and whose
// windows have the same taps inside the input: calls visit(image, oy, ox, pixels).
template <typename Visit>
void Fp32Convolution::ForRuns(std::size_t first, std::size_t count, const Visit& visit) const {
  const std::size_t pixels = out_.size() / static_cast<std::size_t>(out_.channels);
  std::size_t image = first / pixels;
  int oy = static_cast<int>(first % pixels) / out_.width;
  int ox = static_cast<int>(first % pixels) % out_.width;
  while (count > 0) {
    const bool is_whole = ox >= first_whole_ && ox < last_whole_;
    const std::size_t length =
        is_whole ? std::min(count, static_cast<std::size_t>(last_whole_ - ox)) : 1;
    visit(image, oy, ox, length);
    count -= length;
    ox += static_cast<int>(length);
    if (ox < out_.width) continue;
    ox = 0;
    if (++oy < out_.height) continue;
    oy = 0;
    ++image;
  }
}

// Numbers [begin, end), in the order of a group's weights, of the windows of output pixels `first`
// and on.
void Fp32Convolution::CopyWindows(const float* in, std::size_t first, std::size_t count,
                                  std::size_t begin, std::size_t end, float* to) const {
  const std::size_t row_size = static_cast<std::size_t>(columns_.kernel) * group_in_;
  const std::size_t first_row = begin / row_size;
  ForRuns(first, count, [&](std::size_t image, int oy, int ox, std::size_t pixels) {
    const std::int64_t top = rows_.Start(oy), left = columns_.Start(ox);
    const WindowAxis::Taps xs = taps_of_[static_cast<std::size_t>(ox)];
    std::size_t ky = first_row, in_row = begin - first_row * row_size;
    for (std::size_t at = begin; at < end; ++ky, in_row = 0) {
      const std::size_t length = std::min(row_size - in_row, end - at);
      const std::int64_t y = top + static_cast<std::int64_t>(ky) * rows_.dilation;
      const bool is_inside = y >= 0 && y < in_.height;
      CopyTaps(in + image * in_.size(), (is_inside ? y : 0) * in_.width + left,
               is_inside ? xs : WindowAxis::Taps{0, 0}, pixels, in_row, in_row + length,
               to + (at - begin));
      at += length;
    }
    to += pixels * kFp32Stride;
  });
}

// Numbers [begin, end) of one row of windows, the first of which has its tap 0 at input pixel
// `start`; zeros but for the taps inside.
void Fp32Convolution::CopyTaps(const float* image, std::int64_t start, WindowAxis::Taps inside,
                               std::size_t pixels, std::size_t begin, std::size_t end,
                               float* to) const {
  const auto channels = static_cast<std::size_t>(in_.channels);
  const auto first = static_cast<std::size_t>(inside.begin) * group_in_;
  const auto last = static_cast<std::size_t>(inside.end) * group_in_;
  const std::size_t low = std::clamp(first, begin, end), high = std::clamp(last, low, end);
  if (low > begin || high < end) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      float* row = to + pixel * kFp32Stride;
      std::fill(row, row + (low - begin), 0.0F);
      std::fill(row + (high - begin), row + (end - begin), 0.0F);
    }
  }
  const std::size_t step = static_cast<std::size_t>(columns_.stride) * channels;
  const float* from = image;
  if (group_in_ == channels && columns_.dilation == 1) {  // the row lies side by side
    if (low == high) return;
    from += start * in_.channels + static_cast<std::int64_t>(low);
    kernels_.copy_rows(from, step, pixels, high - low, to + (low - begin));
    return;
  }
  for (std::size_t i = low; i < high;) {
    const std::size_t tap = i / group_in_, in_tap = i - tap * group_in_;
    const std::size_t length = std::min(group_in_ - in_tap, high - i);
    const std::int64_t pixel = start + static_cast<std::int64_t>(tap) * columns_.dilation;
    from = image + static_cast<std::size_t>(pixel) * channels + in_tap;
    kernels_.copy_rows(from, step, pixels, length, to + (i - begin));
    i += length;
  }
}

// Of each run, the places of the taps inside the input, then their sum.
void Fp32Convolution::RunDepthwise(std::size_t images, const float* in, float* out) {
  const auto channels = static_cast<std::size_t>(in_.channels);
  const std::size_t pixels = out_.size() / channels;
  ForRuns(0, images * pixels, [&](std::size_t image, int oy, int ox, std::size_t count) {
    const std::int64_t top = rows_.Start(oy), left = columns_.Start(ox);
    const WindowAxis::Taps ys = rows_.Inside(top), xs = taps_of_[static_cast<std::size_t>(ox)];
    in_at_.clear();
    weight_at_.clear();
    for (int ky = ys.begin; ky < ys.end; ++ky) {
      const std::int64_t y = top + std::int64_t{ky} * rows_.dilation;
      for (int kx = xs.begin; kx < xs.end; ++kx) {
        const std::int64_t x = left + std::int64_t{kx} * columns_.dilation;
        in_at_.push_back(static_cast<std::size_t>(y * in_.width + x) * channels);
        weight_at_.push_back(static_cast<std::size_t>(ky * columns_.kernel + kx) * channels);
      }
    }
    kernels_.multiply_taps({.in = in + image * in_.size(),
                            .in_step = static_cast<std::size_t>(columns_.stride) * channels,
                            .in_at = in_at_.data(),
                            .weights = weights_.data(),
                            .weight_at = weight_at_.data(),
                            .taps = in_at_.size(),
                            .bias = bias_.data(),
                            .out = out,
                            .pixels = count,
                            .channels = channels});
    out += count * channels;
  });
}

}  // namespace mu8::convert
