#include "converters/calibrate/covariance.h"

#include <algorithm>

#include "converters/fp32/gram.h"

namespace mu8::convert {
namespace {

constexpr int kWindowsPerImage = 64;
constexpr std::size_t kStarts = 64;  // of the windows' grid, one image after the other

std::size_t InputsPerChannel(const Network& network, const Node& node) {
  const Value& in = network.values[static_cast<std::size_t>(node.inputs[0])];
  if (node.op == Op::kDense) return in.size();
  return static_cast<std::size_t>(node.window.kernel_h * node.window.kernel_w * in.channels /
                                  node.groups);
}

}  // namespace

CovarianceCollector::CovarianceCollector(const Network& network, const Node& node)
    : node_(node),
      in_(network.values[static_cast<std::size_t>(node.inputs[0])]),
      out_(network.values[static_cast<std::size_t>(node.output)]),
      inputs_(InputsPerChannel(network, node)) {
  if (inputs_ > kMaxCovarianceInputs) return;
  const auto groups = static_cast<std::size_t>(node.groups);
  products_.assign(groups * inputs_ * inputs_, 0.0);
  sums_.assign(groups * inputs_, 0.0);
}

// Appends one window's inputs to rows_.
void CovarianceCollector::AddWindow(const float* image, int group, int oy, int ox) {
  const Window& window = node_.window;
  const int channels = in_.channels / node_.groups;
  for (int ky = 0; ky < window.kernel_h; ++ky) {
    const int y = oy * window.stride_h + ky * window.dilation_h - window.pad_top;
    for (int kx = 0; kx < window.kernel_w; ++kx) {
      const int x = ox * window.stride_w + kx * window.dilation_w - window.pad_left;
      if (y < 0 || y >= in_.height || x < 0 || x >= in_.width) {
        rows_.insert(rows_.end(), static_cast<std::size_t>(channels), 0.0F);
        continue;
      }
      const float* pixel = image + (y * in_.width + x) * in_.channels + group * channels;
      rows_.insert(rows_.end(), pixel, pixel + channels);
    }
  }
}

void CovarianceCollector::Add(const float* x, std::size_t first, std::size_t images) {
  if (products_.empty()) return;
  const int windows = node_.op == Op::kDense ? 1 : out_.height * out_.width;
  const int step = std::max(1, windows / kWindowsPerImage);
  std::vector<float> product;
  for (int group = 0; group < node_.groups; ++group) {
    rows_.clear();
    for (std::size_t image = 0; image < images; ++image) {
      const float* pixels = x + image * in_.size();
      if (node_.op == Op::kDense) {
        rows_.insert(rows_.end(), pixels, pixels + inputs_);
        continue;
      }
      // A shifting start, so that every position is met.
      const int start = static_cast<int>((first + image) % kStarts) % step;
      for (int w = start; w < windows; w += step) {
        AddWindow(pixels, group, w / out_.width, w % out_.width);
      }
    }
    const std::size_t rows = rows_.size() / inputs_;
    Gram(rows_, inputs_, BestFp32Kernels(), &product);
    const std::size_t of_group = static_cast<std::size_t>(group) * inputs_;
    double* products = products_.data() + of_group * inputs_;
    for (std::size_t i = 0; i < product.size(); ++i) products[i] += double{product[i]};
    for (std::size_t row = 0; row < rows_.size(); row += inputs_) {
      for (std::size_t i = 0; i < inputs_; ++i) sums_[of_group + i] += double{rows_[row + i]};
    }
    if (group == 0) count_ += static_cast<double>(rows);
  }
}

std::vector<double> CovarianceCollector::Covariance() const {
  std::vector<double> covariance(products_.size());
  for (std::size_t group = 0; group * inputs_ < sums_.size(); ++group) {
    const double* sum = sums_.data() + group * inputs_;
    for (std::size_t i = 0; i < inputs_; ++i) {
      for (std::size_t j = 0; j < inputs_; ++j) {
        const std::size_t at = (group * inputs_ + i) * inputs_ + j;
        covariance[at] = products_[at] / count_ - sum[i] / count_ * (sum[j] / count_);
      }
    }
  }
  return covariance;
}

}  // namespace mu8::convert
