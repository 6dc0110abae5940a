// Activation statistics and ranges: against plain loops, and what quantization must keep exact.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "converters/calibrate/calibration.h"
#include "converters/calibrate/input_quantization.h"
#include "converters/calibrate/input_statistics.h"
#include "converters/host/error.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using testing::Random;

// ---- The inputs of each weight ----

// Convolution over `height` x `width` x `channels`; pads chosen so that windows leave the input on
// all sides.
Network ConvNetwork(int height, int width, int channels, const Window& window, int groups) {
  Network network;
  const auto size = [](int in, int kernel, int stride, int dilation, int pads) {
    return (in + pads - dilation * (kernel - 1) - 1) / stride + 1;
  };
  network.values.push_back({"x", height, width, channels});
  network.values.push_back({"y",
                            size(height, window.kernel_h, window.stride_h, window.dilation_h,
                                 window.pad_top + window.pad_bottom),
                            size(width, window.kernel_w, window.stride_w, window.dilation_w,
                                 window.pad_left + window.pad_right),
                            2 * groups});
  Node node{};
  node.op = Op::kConv2d;
  node.name = "conv";
  node.inputs = {0};
  node.output = 1;
  node.window = window;
  node.groups = groups;
  network.nodes.push_back(node);
  network.output = 1;
  return network;
}

ValueStatistics RandomStatistics(std::size_t size, Random* random) {
  ValueStatistics statistics;
  for (std::size_t i = 0; i < size; ++i) {
    statistics.mean.push_back(random->Unit() - 0.5);
    statistics.power.push_back(random->Unit());
  }
  return statistics;
}

TEST_CASE("calibration: weight inputs of a padded, strided, dilated, grouped convolution") {
  Random random(1);
  const Window windows[] = {
      {.kernel_h = 3,
       .kernel_w = 2,
       .stride_h = 2,
       .stride_w = 3,
       .pad_top = 1,
       .pad_left = 2,
       .pad_bottom = 2,
       .pad_right = 1},
      {.kernel_h = 2,
       .kernel_w = 3,
       .dilation_h = 3,
       .dilation_w = 2,
       .pad_top = 2,
       .pad_right = 4},
      {.kernel_h = 5,
       .kernel_w = 5,
       .stride_h = 5,
       .pad_top = 4,
       .pad_left = 4,
       .pad_bottom = 4,
       .pad_right = 4},
      {},
  };
  for (const Window& w : windows) {
    for (const int groups : {1, 2, 6}) {
      const Network network = ConvNetwork(7, 9, 6, w, groups);
      const ValueStatistics input = RandomStatistics(7 * 9 * 6, &random);
      const InputStatistics found = WeightInputs(network, network.nodes[0], input);
      const int in_group = 6 / groups;
      const auto taps = static_cast<std::size_t>(w.kernel_h * w.kernel_w * 6);
      REQUIRE(found.mean.size() == taps);
      REQUIRE(found.power.size() == taps);
      // Walk the output positions and scatter to the weights: the other way round.
      std::vector<double> mean(taps, 0.0), power(taps, 0.0);
      const Value& out = network.values[1];
      for (int oy = 0; oy < out.height; ++oy) {
        for (int ox = 0; ox < out.width; ++ox) {
          for (int c = 0; c < 6; ++c) {
            for (int ky = 0; ky < w.kernel_h; ++ky) {
              for (int kx = 0; kx < w.kernel_w; ++kx) {
                const int y = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
                const int x = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
                if (y < 0 || y > 6 || x < 0 || x > 8) continue;
                const int tap = (c / in_group * w.kernel_h + ky) * w.kernel_w + kx;
                const auto weight = static_cast<std::size_t>(tap * in_group + c % in_group);
                const auto at = static_cast<std::size_t>((y * 9 + x) * 6 + c);
                mean[weight] += input.mean[at] / (out.height * out.width);
                power[weight] += input.power[at] / (out.height * out.width);
              }
            }
          }
        }
      }
      for (std::size_t i = 0; i < taps; ++i) {
        CAPTURE(groups);
        CAPTURE(i);
        REQUIRE(std::abs(found.mean[i] - mean[i]) < 1e-12);
        REQUIRE(std::abs(found.power[i] - power[i]) < 1e-12);
      }
    }
  }
}

// ---- Ranges ----

// Statistics of `values`, with the histogram as Calibrate makes it.
ValueStatistics Histogram(const std::vector<double>& values) {
  ValueStatistics statistics;
  statistics.histogram.assign(kHistogramBins, 0.0);
  for (const double v : values) {
    statistics.least = std::min(statistics.least, static_cast<float>(v));
    statistics.greatest = std::max(statistics.greatest, static_cast<float>(v));
  }
  const double width = double{statistics.greatest} - double{statistics.least};
  for (const double v : values) {
    const double bin = (v - double{statistics.least}) / width * kHistogramBins;
    ++statistics.histogram[std::min(static_cast<std::size_t>(bin), kHistogramBins - 1)];
  }
  return statistics;
}

double SquaredError(const std::vector<double>& values, double scale, double zero_point) {
  double error = 0;
  for (const double v : values) {
    const double q = std::clamp(std::nearbyint(v / scale) + zero_point, 0.0, 255.0);
    error += std::pow((q - zero_point) * scale - v, 2) / static_cast<double>(values.size());
  }
  return error;
}

std::vector<double> Draws(std::uint64_t seed, double low, double power) {
  Random random(seed);
  std::vector<double> values(20000);
  for (double& v : values) v = std::max(low, std::pow(random.Unit(), power) - (low < 0 ? 0.4 : 0));
  return values;
}

TEST_CASE("calibration: the chosen range errs no more than the full one, often much less") {
  for (const double low : {0.0, -1.0}) {
    for (const double power : {1.0, 2.0, 6.0}) {
      std::vector<double> values = Draws(2, low, power);
      for (const bool outlier : {false, true}) {
        if (outlier) values[0] = 4.0;  // one value in 20,000 far out
        const ValueStatistics statistics = Histogram(values);
        const Quantization chosen = ChooseRange(statistics, low == 0.0);
        CAPTURE(low);
        CAPTURE(power);
        CAPTURE(outlier);
        if (low == 0.0) CHECK(chosen.zero_point == 0);
        const double least = std::min(0.0, double{statistics.least});
        const double full = (double{statistics.greatest} - least) / 255.0;
        const double full_error = SquaredError(values, full, std::nearbyint(-least / full));
        const double error = SquaredError(values, double{chosen.scale}, chosen.zero_point);
        // Errors inside a step are taken as uniform, so ties may go either way by little.
        CHECK(error <= 1.02 * full_error);
        CHECK(chosen.scale <= static_cast<float>(full));
        CHECK(chosen.scale >= static_cast<float>(0.24 * full));
      }
    }
  }
}

TEST_CASE("calibration: an even spread keeps its full range, a rare outlier is given up") {
  ValueStatistics statistics = Histogram(Draws(3, 0.0, 1.0));
  CHECK(ChooseRange(statistics, true).scale > 0.98F / 255.0F);
  // Ten million values below 1, evenly, and one at 2.
  statistics.greatest = 2.0F;
  statistics.histogram.assign(kHistogramBins, 0.0);
  std::fill_n(statistics.histogram.begin(), kHistogramBins / 2, 1e4);
  statistics.histogram.back() = 1.0;
  CHECK(ChooseRange(statistics, true).scale < 1.02F / 255.0F);
}

TEST_CASE("calibration: a value that is always zero or never positive still has a range") {
  ValueStatistics silent;
  silent.histogram.assign(kHistogramBins, 0.0);
  CHECK(ChooseRange(silent, true).scale == 1.0F);
  CHECK(ChooseRange(silent, true).zero_point == 0);
  std::vector<double> negative = Draws(4, 0.0, 1.0);
  for (double& v : negative) v = -v;
  const Quantization range = ChooseRange(Histogram(negative), false);
  CHECK(range.zero_point == 255);
  CHECK(range.scale > 0.0F);
}

// ---- The input ----

Network InputNetwork(int channels, std::vector<float> mean, std::vector<float> std) {
  Network network;
  network.values.push_back({"x", 4, 5, channels});
  network.mean = std::move(mean);
  network.std = std::move(std);
  return network;
}

host::Dataset Images(int channels, std::size_t count, std::uint64_t seed) {
  host::Dataset data;
  data.height = 4;
  data.width = 5;
  data.channels = channels;
  data.count = count;
  data.pixels.resize(count * data.image_size());
  Random random(seed);
  random.Fill(std::span(data.pixels), 0, 255);
  return data;
}

TEST_CASE("calibration: input tables are monotone, within half a step, and hold 0.0 exactly") {
  const std::vector<float> means[] = {{0.0F, 0.0F}, {0.4914F, 0.1F}, {1.0F, 0.5F}, {-0.2F, 1.5F}};
  for (const std::vector<float>& mean : means) {
    const Network network = InputNetwork(2, mean, {0.25F, 0.5F});
    const InputQuantization input = QuantizeInput(network, Images(2, 10, 5));
    REQUIRE(input.table.size() == 512);
    const double scale = double{input.quantization.scale};
    const double zero_point = input.quantization.zero_point;
    CAPTURE(mean[0]);
    for (std::size_t c = 0; c < 2; ++c) {
      for (std::size_t u = 0; u < 256; ++u) {
        const double x = (static_cast<double>(u) / 255 - double{mean[c]}) / (c == 0 ? 0.25 : 0.5);
        const double q = input.table[c * 256 + u];
        CAPTURE(c);
        CAPTURE(u);
        if (u > 0) REQUIRE(q >= input.table[c * 256 + u - 1]);
        // 0.0 is the zero point itself; the ends may be cut by the search for the best scale.
        if (std::abs(x) < 1e-9) REQUIRE(q == zero_point);
        const double bound = q == 0 || q == 255 ? 12.0 : 0.5001;
        REQUIRE(std::abs((q - zero_point) * scale - x) <= bound * scale);
      }
    }
  }
}

TEST_CASE("calibration: a background that is most of the image is hit almost exactly") {
  host::Dataset data = Images(1, 20, 6);
  for (std::size_t i = 0; i < data.pixels.size(); ++i) {
    if (i % 5 != 0) data.pixels[i] = 0;
  }
  const Network network = InputNetwork(1, {0.1307F}, {0.3081F});  // MNIST's: black is -0.4242
  const InputQuantization input = QuantizeInput(network, data);
  const double black =
      (input.table[0] - input.quantization.zero_point) * double{input.quantization.scale};
  CHECK(std::abs(black + 0.1307 / 0.3081) < 0.05 * double{input.quantization.scale});
}

// ---- Calibrate ----

// x -> dense (identity on the first 3 of 20 inputs, times 2) -> ReLU.
Network DenseNetwork(float weight) {
  Network network = InputNetwork(1, {0.5F}, {1.0F});
  network.values.push_back({"hidden", 1, 1, 3});
  network.values.push_back({"active", 1, 1, 3});
  Node dense{};
  dense.op = Op::kDense;
  dense.name = "dense";
  dense.inputs = {0};
  dense.output = 1;
  dense.weights.mu.assign(60, 0.0F);
  for (std::size_t o = 0; o < 3; ++o) dense.weights.mu[o * 20 + o] = weight;
  Node relu{};
  relu.op = Op::kClip;
  relu.name = "relu";
  relu.inputs = {1};
  relu.output = 2;
  network.nodes = {dense, relu};
  network.output = 2;
  return network;
}

TEST_CASE("calibration: every image counts once, whatever the batch leaves over") {
  for (const std::size_t count : {1U, 63U, 64U, 65U, 70U, 128U, 200U}) {
    const Network network = DenseNetwork(2.0F);
    const host::Dataset data = Images(1, count, 7);
    constexpr std::size_t passes = 2;
    const Calibration calibration = Calibrate(network, data, passes, 1, {});
    CAPTURE(count);
    CHECK(calibration.images == count);
    REQUIRE(calibration.values.size() == 3);
    // Means are kept of what weights meet: of the input, not of what follows.
    REQUIRE(calibration.values[0].mean.size() == 20);
    CHECK(calibration.values[1].mean.empty());
    CHECK(calibration.values[2].power.empty());
    double least = 0, greatest = 0;
    for (std::size_t o = 0; o < 20; ++o) {
      double mean = 0, power = 0;
      for (std::size_t image = 0; image < count; ++image) {
        const double x = double{static_cast<float>(data.Pixels(image, 1).data()[o])} / 255.0 - 0.5;
        mean += x / static_cast<double>(count);
        power += x * x / static_cast<double>(count);
        if (o >= 3) continue;
        least = std::min(least, 2.0 * x);
        greatest = std::max(greatest, 2.0 * x);
      }
      CHECK(std::abs(calibration.values[0].mean[o] - mean) < 1e-5);
      CHECK(std::abs(calibration.values[0].power[o] - power) < 1e-5);
    }
    CHECK(std::abs(double{calibration.values[1].least} - least) < 1e-5);
    CHECK(std::abs(double{calibration.values[1].greatest} - greatest) < 1e-5);
    CHECK(std::abs(double{calibration.values[2].greatest} - greatest) < 1e-5);
    for (std::size_t v = 0; v < 3; ++v) {
      double total = calibration.values[v].zeros;  // in no bin
      for (const double bin : calibration.values[v].histogram) total += bin;
      const bool constant = calibration.values[v].least == calibration.values[v].greatest;
      // Without sigmas only the last node runs in every pass.
      const std::size_t draws = count * (v == 2 ? passes : 1);
      const auto values = static_cast<double>(draws * network.values[v].size());
      CHECK(total == (constant ? calibration.values[v].zeros : values));
    }
    CHECK(calibration.values[2].least == 0.0F);
  }
}

TEST_CASE("calibration: the same seed gives the same statistics") {
  Network network = DenseNetwork(1.0F);
  network.nodes[0].weights.sigma.assign(60, 0.1F);
  const host::Dataset data = Images(1, 70, 8);
  const Calibration one = Calibrate(network, data, 3, 1, {});
  const Calibration two = Calibrate(network, data, 3, 1, {});
  const Calibration other = Calibrate(network, data, 3, 2, {});
  CHECK(one.values[1].histogram == two.values[1].histogram);
  CHECK(one.values[1].least == two.values[1].least);
  CHECK(one.values[1].least != other.values[1].least);
}

TEST_CASE("calibration: an activation that is not finite is named") {
  const Network network = DenseNetwork(std::numeric_limits<float>::max());
  Network squared = network;  // max * max leaves float
  squared.nodes[0].bias.mu = {std::numeric_limits<float>::max(), 0.0F, 0.0F};
  std::string message;
  try {
    Calibrate(squared, Images(1, 5, 9), 1, 1, {});
  } catch (const host::Error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.find("activation 'hidden' is not finite") != std::string::npos);
}

TEST_CASE("calibration: progress rises to 1") {
  double last = 0.0;
  Calibrate(DenseNetwork(1.0F), Images(1, 3, 10), 4, 1, [&](double fraction) {
    CHECK(fraction > last);
    last = fraction;
  });
  CHECK(last == 1.0);
}

}  // namespace
}  // namespace mu8::convert
