// Convolutions and products in every instruction set of this processor, of random shapes, beside a
// plain loop in double precision; and that their bytes are what kernels.h says.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "converters/fp32/convolution.h"
#include "converters/fp32/gram.h"
#include "converters/fp32/kernels.h"
#include "tests/converters/random_floats.h"

namespace mu8::convert {
namespace {

struct Case {
  Value in, out;
  Node node;
  std::string text;
};

int Draw(std::mt19937* random, int low, int high) {
  return low + static_cast<int>((*random)() % static_cast<unsigned>(high - low + 1));
}

// One axis: a size, and a window on it that gives at least one output.
void DrawAxis(std::mt19937* random, int* size, int* kernel, int* stride, int* dilation, int* before,
              int* after, int* out) {
  do {
    *size = Draw(random, 1, 19);
    *kernel = Draw(random, 1, 5);
    *stride = Draw(random, 1, 3);
    *dilation = Draw(random, 1, 3);
    *before = Draw(random, 0, 4);
    *after = Draw(random, 0, 4);
    const int span = *size + *before + *after - *dilation * (*kernel - 1) - 1;
    *out = span < 0 ? 0 : span / *stride + 1;
  } while (*out == 0);
}

Case DrawCase(unsigned seed) {
  std::mt19937 random(seed);
  Case c;
  Window& w = c.node.window;
  c.node.op = Op::kConv2d;
  DrawAxis(&random, &c.in.height, &w.kernel_h, &w.stride_h, &w.dilation_h, &w.pad_top,
           &w.pad_bottom, &c.out.height);
  DrawAxis(&random, &c.in.width, &w.kernel_w, &w.stride_w, &w.dilation_w, &w.pad_left, &w.pad_right,
           &c.out.width);
  int in = Draw(&random, 1, 20), out = Draw(&random, 1, 40);
  switch (seed % 4) {
    case 0:  // depthwise
      in = out = 1;
      c.node.groups = Draw(&random, 2, 70);
      break;
    case 1:
      c.node.groups = Draw(&random, 1, 4);
      break;
    case 2:  // more than one slice of the depth
      in = Draw(&random, 100, 300);
      break;
    default:
      if (seed % 8 == 3) c.in.height = c.in.width = c.out.height = c.out.width = 1;
      if (seed % 8 == 3) c.node.op = Op::kDense;
      if (seed % 8 == 3) w = {};
      break;
  }
  c.in.channels = in * c.node.groups;
  c.out.channels = out * c.node.groups;
  const auto outputs = static_cast<std::size_t>(c.out.channels);
  c.node.weights.mu =
      Random(outputs * static_cast<std::size_t>(in * w.kernel_h * w.kernel_w), seed);
  if (Draw(&random, 0, 2) != 0) c.node.bias.mu = Random(outputs, seed + 1);
  c.text = "seed " + std::to_string(seed) + ": " + std::to_string(c.in.height) + " x " +
           std::to_string(c.in.width) + " x " + std::to_string(c.in.channels) + " to " +
           std::to_string(c.out.channels) + " channels, " + std::to_string(c.node.groups) +
           " groups";
  return c;
}

struct Sum {
  double value = 0, magnitude = 0;  // sum of absolute terms: what rounding is relative to
  float chain = 0;                  // the same with one rounding a term, in the order of weights
  std::size_t terms = 0;
};

Sum SumAt(const Case& c, const float* image, int oy, int ox, int channel) {
  const Window& w = c.node.window;
  const int inputs = c.in.channels / c.node.groups;
  const int first = channel / (c.out.channels / c.node.groups) * inputs;
  Sum sum;
  if (!c.node.bias.mu.empty()) sum.chain = c.node.bias.mu[static_cast<std::size_t>(channel)];
  sum.value = double{sum.chain};
  sum.magnitude = std::fabs(sum.value);
  std::size_t weight = static_cast<std::size_t>(channel * w.kernel_h * w.kernel_w * inputs);
  for (int ky = 0; ky < w.kernel_h; ++ky) {
    for (int kx = 0; kx < w.kernel_w; ++kx) {
      const int y = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
      const int x = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
      for (int i = 0; i < inputs; ++i, ++weight) {
        if (y < 0 || y >= c.in.height || x < 0 || x >= c.in.width) continue;
        const float input = image[(y * c.in.width + x) * c.in.channels + first + i];
        const float factor = c.node.weights.mu[weight];
        sum.value += double{input} * double{factor};
        sum.magnitude += std::fabs(double{input} * double{factor});
        sum.chain = std::fma(input, factor, sum.chain);
        ++sum.terms;
      }
    }
  }
  return sum;
}

std::vector<float> RunCase(const Case& c, const Fp32Kernels& kernels, std::size_t images,
                           const float* in) {
  Fp32Convolution convolution(c.in, c.out, c.node, kernels);
  convolution.SetWeights(c.node.weights.mu, c.node.bias.mu);
  std::vector<float> out(images * c.out.size(), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> scratch(convolution.scratch_size());
  convolution.Run(images, in, out.data(), scratch.data());
  return out;
}

bool SameBytes(const float* a, const float* b, std::size_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

constexpr double kEpsilon = double{std::numeric_limits<float>::epsilon()};

}  // namespace

// Of n terms added one after the other the error is below n * epsilon / 2 of their magnitude
// (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1), and far below in the mean; a
// product that is rounded, too, takes one more.
TEST_CASE("fp32 convolution: every instruction set is near the plain loop, for random shapes") {
  std::size_t compared = 0;
  double worst = 0;
  for (const Fp32Kernels* kernels : AvailableFp32Kernels()) {
#if defined(__x86_64__) && !defined(MU8_SANITIZED)  // whose checks may come between product and sum
    const bool is_fused = kernels->name != std::string("baseline");
#else
    const bool is_fused = false;  // not known
#endif
    for (unsigned seed = 0; seed < 80; ++seed) {
      const Case c = DrawCase(seed);
      INFO(kernels->name, " ", c.text);
      const std::size_t images = seed % 3 == 0 ? 1 : 3;
      const std::vector<float> in = Random(images * c.in.size(), seed + 2);
      const std::vector<float> out = RunCase(c, *kernels, images, in.data());
      std::size_t wrong = 0, other_bytes = 0;
      const float* found = out.data();
      for (std::size_t image = 0; image < images; ++image) {
        for (int y = 0; y < c.out.height; ++y) {
          for (int x = 0; x < c.out.width; ++x) {
            for (int channel = 0; channel < c.out.channels; ++channel, ++found, ++compared) {
              const Sum sum = SumAt(c, in.data() + image * c.in.size(), y, x, channel);
              const double error = std::fabs(double{*found} - sum.value);
              const double bound = kEpsilon * sum.magnitude;
              if (!(error <= bound * (static_cast<double>(sum.terms) / 2 + 1))) ++wrong;
              if (is_fused && *found != sum.chain) ++other_bytes;
              if (bound > 0) worst = std::max(worst, error / bound);
            }
          }
        }
      }
      CHECK(wrong == 0);
      CHECK(other_bytes == 0);
    }
  }
  MESSAGE("fp32 convolution: ", AvailableFp32Kernels().size(), " instruction sets, ", compared,
          " outputs, largest error ", worst, " epsilon of the absolute terms");
  CHECK(compared > 200'000 * AvailableFp32Kernels().size());
  CHECK(worst < 8.0);
}

TEST_CASE("fp32 convolution: an image has the same bytes alone and among others") {
  std::size_t compared = 0;
  for (const Fp32Kernels* kernels : AvailableFp32Kernels()) {
    for (unsigned seed = 100; seed < 140; ++seed) {
      const Case c = DrawCase(seed);
      INFO(kernels->name, " ", c.text);
      const std::vector<float> in = Random(17 * c.in.size(), seed + 2);
      const std::vector<float> all = RunCase(c, *kernels, 17, in.data());
      for (const std::size_t first : {0U, 5U, 16U}) {
        const std::vector<float> one = RunCase(c, *kernels, 1, in.data() + first * c.in.size());
        CHECK(SameBytes(one.data(), all.data() + first * c.out.size(), c.out.size()));
        compared += one.size();
      }
    }
  }
  CHECK(compared > 100'000);
}

TEST_CASE("fp32 gram: every instruction set is near the plain loop") {
  std::size_t compared = 0;
  for (const Fp32Kernels* kernels : AvailableFp32Kernels()) {
    for (const std::size_t width : {1U, 7U, 16U, 33U, 100U}) {
      for (const std::size_t rows : {1U, 5U, 256U, 600U}) {
        INFO(kernels->name, " rows ", rows, " width ", width);
        const std::vector<float> in = Random(rows * width, static_cast<unsigned>(rows + width));
        std::vector<float> out;
        Gram(in, width, *kernels, &out);
        REQUIRE(out.size() == width * width);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < width; ++i) {
          for (std::size_t j = 0; j < width; ++j, ++compared) {
            double sum = 0, magnitude = 0;
            for (std::size_t r = 0; r < rows; ++r) {
              const double term = double{in[r * width + i]} * double{in[r * width + j]};
              sum += term;
              magnitude += std::fabs(term);
            }
            const double error = std::fabs(double{out[i * width + j]} - sum);
            const double bound = kEpsilon * magnitude * (static_cast<double>(rows) / 2 + 1);
            if (!(error <= bound)) ++wrong;
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
  CHECK(compared == AvailableFp32Kernels().size() * 4 * (1 + 49 + 256 + 1089 + 10000));
}

}  // namespace mu8::convert
