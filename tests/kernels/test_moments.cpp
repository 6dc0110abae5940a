// Kernels of predictions by moments: every table against the scalar definition, byte for byte, with
// every array between guard pages.
#include <doctest/doctest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "engine/src/statistics.h"
#include "kernels/moments.h"
#include "kernels/moments_math.h"
#include "kernels/row_numbers.h"
#include "kernels/scalar/kernels.h"
#include "kernels/taps.h"
#include "tests/kernels/tables.h"
#include "tests/support/effort.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

using kernels::kPanelWidth;

// `size` elements that end at a guard page.
template <typename T>
class Guarded {
 public:
  explicit Guarded(std::size_t size)
      : memory_(size * sizeof(T)), data_(memory_.Last<T>(size)), size_(size) {
    memory_.Fill(0xa5);
  }
  Guarded(std::size_t size, Random* random, int low, int high) : Guarded(size) {
    random->Fill(std::span(data_, size_), low, high);
  }
  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data_[i]; }

 private:
  GuardedBuffer memory_;
  T* data_;
  std::size_t size_;
};

TEST_CASE("moments: every table's second moments equal the definition") {
  Random random(31);
  std::size_t values = 0;
  for (int round = 0; round < Effort(400, 40); ++round) {
    const std::size_t bytes = 1 + random.Below(200);
    const Guarded<std::uint8_t> means(bytes, &random, 0, 255);
    const Guarded<std::uint8_t> variances(bytes, &random, 0, 255);
    kernels::SecondMomentsArgs args{.means = means.data(),
                                    .variances = random.Below(4) == 0 ? nullptr : variances.data(),
                                    .bytes = bytes,
                                    .zero_point = static_cast<std::int32_t>(random.Below(256)),
                                    .gain = 257 + random.Below(764),
                                    .variance_gain = random.Below(65536),
                                    .output = nullptr};
    Guarded<std::uint8_t> expected(bytes);
    args.output = expected.data();
    kernels::scalar::SecondMoments(args);
    for (const kernels::KernelTable* table : RunnableTables()) {
      Guarded<std::uint8_t> found(bytes);
      args.output = found.data();
      table->moments->second_moments(args);
      for (std::size_t i = 0; i < bytes; ++i) {
        CAPTURE(table->name);
        REQUIRE(int{found[i]} == int{expected[i]});
        ++values;
      }
    }
  }
  MESSAGE("second moments: ", values);
  CHECK(values > 0);
}

// Scales of all sizes, so that values lie within the range, at its ends and far beyond, with
// variances from none to much larger than the range.
float AnyScale(Random* random, int low, int high) {
  const int exponent =
      low + static_cast<int>(random->Below(static_cast<std::uint32_t>(high - low)));
  return std::ldexp(1.0F + static_cast<float>(random->Below(1000)) * 0.001F, exponent);
}

TEST_CASE("moments: every table clips like the definition") {
  Random random(32);
  std::size_t values = 0;
  for (int round = 0; round < Effort(1500, 100); ++round) {
    const std::uint32_t pixels = 1 + random.Below(9);
    const std::uint32_t channels = 1 + random.Below(kPanelWidth);
    const std::size_t count = std::size_t{pixels} * kPanelWidth;
    const auto step = kernels::Signed(std::size_t{channels} + random.Below(3));
    const std::size_t bytes = static_cast<std::size_t>(step) * (pixels - 1) + channels;
    const int magnitude = 1 << (4 + random.Below(20));
    const Guarded<std::int32_t> acc(count, &random, -magnitude, magnitude);
    const Guarded<std::int32_t> spread(count, &random, 0, magnitude);
    const Guarded<std::int32_t> input(count, &random, 0, magnitude);
    const Guarded<float> floats[4] = {Guarded<float>(channels), Guarded<float>(channels),
                                      Guarded<float>(channels), Guarded<float>(channels)};
    for (std::uint32_t c = 0; c < channels; ++c) {
      floats[0][c] = AnyScale(&random, -24, -1);
      for (int i = 1; i < 4; ++i) {
        floats[i][c] = random.Below(5) == 0 ? 0.0F : AnyScale(&random, -50, 4);
      }
    }
    const Guarded<std::int32_t> factor(channels, &random, 0, 1 << 21);
    const Guarded<std::uint8_t> residual(bytes, &random, 0, 255);
    const Guarded<std::uint8_t> residual_variance(bytes, &random, 0, 255);
    const auto clamp_min = static_cast<std::int32_t>(random.Below(3) == 0 ? random.Below(100) : 0);
    kernels::ClipArgs args{};
    args.pixels = pixels;
    args.channels = channels;
    args.acc = acc.data();
    args.spread = random.Below(4) == 0 ? nullptr : spread.data();
    args.input = random.Below(4) == 0 ? nullptr : input.data();
    args.multiplier = floats[0].data();
    args.k_spread = floats[1].data();
    args.k_input = floats[2].data();
    args.k_bias = floats[3].data();
    if (random.Below(2) == 0) {
      args.residual = residual.data();
      args.residual_variance = random.Below(3) == 0 ? nullptr : residual_variance.data();
      args.residual_col_step = step;
      args.residual_factor = factor.data();
      args.residual_zero = static_cast<std::int32_t>(random.Below(256));
      args.residual_shift = 1 + static_cast<std::int32_t>(random.Below(30));
      args.k_residual = AnyScale(&random, -30, 4);
    }
    args.zero_out = static_cast<std::int32_t>(random.Below(256));
    args.clamp_min = clamp_min;
    args.clamp_max = static_cast<std::int32_t>(255 - random.Below(100));
    args.inverse_step = AnyScale(&random, -10, 30);
    args.output_col_step = step;
    Guarded<std::uint8_t> means(bytes), variances(bytes);
    args.output = means.data();
    args.variance = variances.data();
    kernels::scalar::Clip(args);
    for (const kernels::KernelTable* table : RunnableTables()) {
      Guarded<std::uint8_t> found_means(bytes), found_variances(bytes);
      args.output = found_means.data();
      args.variance = found_variances.data();
      table->moments->clip(args);
      CAPTURE(table->name);
      for (std::size_t i = 0; i < bytes; ++i) {
        if (i % static_cast<std::size_t>(step) >= channels) continue;
        REQUIRE(int{found_means[i]} == int{means[i]});
        REQUIRE(int{found_variances[i]} == int{variances[i]});
        ++values;
      }
    }
  }
  MESSAGE("clipped values: ", values);
  CHECK(values > 0);
}

TEST_CASE("moments: every table's panels of squares equal the definition") {
  Random random(33);
  std::size_t panels = 0;
  for (int round = 0; round < Effort(600, 60); ++round) {
    const std::uint32_t width = random.OneOf<std::uint32_t>({4, 8, 16});
    const std::uint32_t runs = 1 + random.Below(5), run_length = 1 + random.Below(40);
    const std::uint32_t padded = (run_length + 3) / 4 * 4;
    const std::uint32_t bits = random.OneOf<std::uint32_t>({0, 1, 2, 4, 8});
    const std::uint32_t mu_bits = 1 + random.Below(8);
    const std::size_t bytes = (std::size_t{width} * runs * padded + 63) / 64 * 64;
    const Guarded<std::uint8_t> mu(bytes * mu_bits / 8, &random, 0, 255);
    // -128 is no mean.
    for (std::size_t i = 0; mu_bits == 8 && i < mu.size(); ++i) {
      if (mu[i] == 128) mu[i] = 129;
    }
    const Guarded<std::int8_t> table_of_mu(16, &random, -127, 127);
    const Guarded<std::uint8_t> sigma(bytes * bits / 8, &random, 0, 255);
    const Guarded<std::uint8_t> codebook(
        bits == 4 ? 16 : std::size_t{kPanelWidth} * (1U << bits % 4), &random, 0, 127);
    const Guarded<std::uint8_t> shift(width, &random, 1, 15);
    kernels::SampleArgs args{};
    args.width = width;
    args.runs = runs;
    args.run_length = run_length;
    args.padded_run = padded;
    args.sigma_bits = bits;
    args.mu_bits = mu_bits;
    args.mu = mu.data();
    args.mu_table = table_of_mu.data();
    args.sigma = sigma.data();
    args.codebook = codebook.data();
    args.codebook_stride = kPanelWidth;
    args.shift = shift.data();
    args.end_block = kernels::BlockCount(args);
    for (const bool of_means : {true, false}) {
      // Codes of 5 to 7 bits may give -128, which a file has not.
      if (of_means && mu_bits >= 5 && mu_bits < 8) continue;
      Guarded<std::int8_t> expected(bytes);
      args.weights = expected.data();
      (of_means ? kernels::scalar::SquareMeans : kernels::scalar::UnpackSpread)(args);
      for (const kernels::KernelTable* table : RunnableTables()) {
        Guarded<std::int8_t> found(bytes);
        args.weights = found.data();
        (of_means ? table->moments->square_means : table->moments->unpack_spread)(args);
        CAPTURE(table->name);
        CAPTURE(bits);
        const std::size_t used = std::size_t{width} * runs * padded;
        for (std::size_t i = 0; i < used; ++i) REQUIRE(int{found[i]} == int{expected[i]});
        ++panels;
      }
    }
  }
  MESSAGE("panels of squares: ", panels);
  CHECK(panels > 0);
}

// A window as of a convolution or, with one pixel, a dense layer.
TEST_CASE("moments: every table's accumulators of all pixels equal those pixel by pixel") {
  constexpr std::uint32_t kTail = 64;  // of a tensor, that kernels may read
  Random random(34);
  std::size_t pixels = 0;
  for (int round = 0; round < Effort(600, 60); ++round) {
    const std::uint32_t width = random.OneOf<std::uint32_t>({4, 8, 16});
    const std::uint32_t channels = width - random.Below(4);
    const std::uint32_t outer = 1 + random.Below(3), inner = 1 + random.Below(2);
    const std::uint32_t run = 4 * (1 + random.Below(9));
    const std::uint32_t height = 1 + random.Below(3), columns = 1 + random.Below(12);
    const std::uint32_t step = 1 + random.Below(20), inner_step = run + random.Below(9);
    const std::uint32_t row = step * columns + inner_step * inner;
    const std::size_t bytes = std::size_t{row} * (height + outer - 1) + kTail;
    const Guarded<std::uint8_t> input(bytes, &random, 0, 255);
    const std::size_t weight_bytes = (std::size_t{width} * outer * inner * run + 63) / 64 * 64;
    const Guarded<std::int8_t> weights(weight_bytes, &random, -127, 127);
    const Guarded<std::int32_t> bias(width, &random, -99999, 99999);
    kernels::ConvolveArgs args{};
    args.input = input.data();
    args.input_row_step = kernels::Signed(row);
    args.input_col_step = kernels::Signed(step);
    args.outer_runs = outer;
    args.inner_runs = inner;
    args.padded_run = run;
    args.outer_step = kernels::Signed(row);
    args.inner_step = kernels::Signed(inner_step);
    args.zero_point = random.OneOf({0, 128, static_cast<int>(random.Below(256))});
    args.weights = weights.data();
    args.bias = bias.data();
    args.width = width;
    args.channels = channels;
    for (const kernels::KernelTable* table : RunnableTables()) {
      if (table->moments->accumulate == nullptr) continue;
      const Guarded<std::int32_t> found(std::size_t{height} * columns * kPanelWidth);
      kernels::ConvolveArgs all = args;
      all.output_height = height;
      all.output_width = columns;
      all.accumulators = found.data();
      table->moments->accumulate(all);
      CAPTURE(table->name);
      for (std::uint32_t pixel = 0; pixel < height * columns; ++pixel, ++pixels) {
        std::int32_t expected[kPanelWidth];
        kernels::ConvolveArgs one = args;
        one.output_height = one.output_width = 1;
        one.input += std::size_t{pixel / columns} * row + std::size_t{pixel % columns} * step;
        one.accumulators = expected;
        kernels::scalar::Convolve(one);
        for (std::uint32_t c = 0; c < channels; ++c) {
          REQUIRE(found[pixel * kPanelWidth + c] == expected[c]);
        }
      }
    }
  }
  MESSAGE("pixels of accumulators: ", pixels);
}

// The pixel at (y, x), of one channel, as FORMAT.md 13.4 has it.
kernels::CodePair LargestOf(const kernels::MomentsPoolArgs& args, std::uint32_t y, std::uint32_t x,
                            std::uint32_t c) {
  const auto rows =
      kernels::RealTaps(y, args.stride_h, args.pad_top, args.kernel_h, args.input_height);
  const auto columns =
      kernels::RealTaps(x, args.stride_w, args.pad_left, args.kernel_w, args.input_width);
  kernels::Moments largest{};
  bool first = true;
  for (std::uint32_t row = rows.begin; row < rows.end; ++row) {
    for (std::uint32_t column = columns.begin; column < columns.end; ++column) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * args.input_row_stride +
                                static_cast<std::ptrdiff_t>(column * args.channels + c);
      const kernels::Moments tap{static_cast<float>(args.means[at] - args.zero_point),
                                 static_cast<float>(args.variances[at]) * args.step};
      largest = first ? tap : Larger(largest, tap);
      first = false;
    }
  }
  const kernels::MomentsCodes codes{
      args.zero_point, static_cast<float>(args.clamp_min - args.zero_point),
      static_cast<float>(args.clamp_max - args.zero_point), args.inverse_step};
  return StoreMoments(codes, largest.mean, largest.variance * args.factor);
}

TEST_CASE("moments: every table's pools of the largest equal the definition") {
  Random random(35);
  std::size_t values = 0;
  for (int round = 0; round < Effort(400, 40); ++round) {
    kernels::MomentsPoolArgs args{};
    args.channels = 1 + random.Below(37);
    args.kernel_h = 1 + random.Below(3);
    args.kernel_w = 1 + random.Below(3);
    args.stride_h = 1 + random.Below(2);
    args.stride_w = 1 + random.Below(2);
    args.pad_top = random.Below(args.kernel_h);
    args.pad_left = random.Below(args.kernel_w);
    args.input_height = args.kernel_h + random.Below(5);
    args.input_width = args.kernel_w + random.Below(5);
    args.output_height = (args.input_height + args.pad_top - args.kernel_h) / args.stride_h + 1;
    args.output_width = (args.input_width + args.pad_left - args.kernel_w) / args.stride_w + 1;
    args.input_row_stride = kernels::Signed(std::size_t{args.input_width} * args.channels);
    args.output_row_stride = kernels::Signed(std::size_t{args.output_width} * args.channels);
    const std::size_t in = std::size_t{args.input_height} * args.input_width * args.channels;
    const std::size_t out = std::size_t{args.output_height} * args.output_width * args.channels;
    constexpr std::size_t kTail = 64;  // of a tensor, that kernels may read
    const Guarded<std::uint8_t> means(in + kTail, &random, 0, 255);
    const Guarded<std::uint8_t> variances(in + kTail, &random, 0, random.OneOf({0, 3, 255}));
    args.means = means.data();
    args.variances = variances.data();
    args.step = AnyScale(&random, -40, 12);
    args.factor = AnyScale(&random, -10, 10);
    args.zero_point = static_cast<std::int32_t>(random.Below(256));
    args.clamp_max = static_cast<std::int32_t>(255 - random.Below(100));
    args.inverse_step = AnyScale(&random, -12, 40);
    for (const kernels::KernelTable* table : RunnableTables()) {
      if (table->moments->max_pool == nullptr) continue;
      const Guarded<std::uint8_t> found(out), found_variances(out);
      args.output = found.data();
      args.output_variances = found_variances.data();
      table->moments->max_pool(args);
      CAPTURE(table->name);
      for (std::uint32_t i = 0; i < out; ++i, ++values) {
        const std::uint32_t pixel = i / args.channels;
        const kernels::CodePair expected = LargestOf(args, pixel / args.output_width,
                                                     pixel % args.output_width, i % args.channels);
        REQUIRE(int{found[i]} == int{expected.mean});
        REQUIRE(int{found_variances[i]} == int{expected.variance});
      }
    }
  }
  MESSAGE("pooled values: ", values);
}

struct RowTotals {
  std::vector<std::uint64_t> sum, square;
  std::uint64_t entropy = 0;

  explicit RowTotals(std::uint32_t classes) : sum(classes), square(classes) {}
  bool operator==(const RowTotals&) const = default;
};

// FORMAT.md 13.6 row by row, each added as a pass is.
void AddRow(const kernels::RowsArgs& args, std::uint32_t row, RowTotals* totals) {
  std::vector<float> logits(args.classes);
  for (std::uint32_t c = 0; c < args.classes; ++c) {
    float sum = 0.0F;
    for (std::uint32_t k = 0; k <= c; ++k) {
      const float x = kernels::RowNumber(args.classes, row / 2, k);
      sum += args.factor[std::size_t{c} * args.classes + k] * (row % 2 == 0 ? x : -x);
    }
    logits[c] = args.means[c] + sum;
  }
  AddSoftmax(logits,
             {.sum = totals->sum, .square = totals->square, .entropy = {&totals->entropy, 1}},
             nullptr);
}

TEST_CASE("moments: every table's rows of logits equal those row by row") {
  Random random(36);
  std::size_t rows = 0;
  for (int round = 0; round < Effort(40, 6); ++round) {
    const std::uint32_t classes = 2 + random.Below(kernels::kMostCorrelated - 1);
    const std::uint32_t pairs = kernels::RowNumbers(classes);
    const Guarded<float> means(classes), factor(std::size_t{classes} * classes);
    const float scale = AnyScale(&random, -10, 7);
    for (std::uint32_t i = 0; i < classes * classes; ++i) {
      factor[i] = scale * (static_cast<float>(random.Unit()) - 0.5F);
    }
    for (std::uint32_t c = 0; c < classes; ++c) {
      means[c] = scale * (static_cast<float>(random.Unit()) - 0.5F);
    }
    kernels::RowsArgs args{.classes = classes,
                           .means = means.data(),
                           .factor = factor.data(),
                           .sum = nullptr,
                           .square = nullptr,
                           .entropy = nullptr};
    RowTotals expected(classes);
    for (std::uint32_t row = 0; row < 2 * pairs; ++row) AddRow(args, row, &expected);
    for (const kernels::KernelTable* table : RunnableTables()) {
      if (table->moments->add_softmax_rows == nullptr) continue;
      RowTotals found(classes);
      args.sum = found.sum.data();
      args.square = found.square.data();
      args.entropy = &found.entropy;
      table->moments->add_softmax_rows(args);
      CAPTURE(table->name);
      REQUIRE(found == expected);
      rows += 2 * pairs;
    }
  }
  MESSAGE("rows: ", rows);
}

TEST_CASE("moments: every table's weighted sums are the plain ones") {
  Random random(37);
  std::size_t values = 0;
  for (int round = 0; round < Effort(300, 30); ++round) {
    const std::uint32_t width = random.OneOf<std::uint32_t>({4, 8, 16});
    const std::uint32_t taps = 4 * (1 + random.Below(kernels::kMostWeightedTaps / 4));
    const int most = random.Below(4) == 0 ? 255 * 127 : 2000;
    const Guarded<std::int16_t> x(taps, &random, -most, most);
    const Guarded<std::int8_t> weights(std::size_t{width} * taps, &random, -127, 127);
    for (const kernels::KernelTable* table : RunnableTables()) {
      if (table->moments->weighted_sums == nullptr) continue;
      Guarded<std::int32_t> found(kPanelWidth);
      table->moments->weighted_sums({.x = x.data(),
                                     .taps = taps,
                                     .width = width,
                                     .weights = weights.data(),
                                     .sums = found.data()});
      CAPTURE(table->name);
      for (std::uint32_t c = 0; c < width; ++c) {
        std::int32_t sum = 0;
        for (std::uint32_t k = 0; k < taps; ++k) {
          sum += x[k] * weights[(k / 4 * width + c) * 4 + k % 4];
        }
        REQUIRE(found[c] == sum);
        ++values;
      }
    }
  }
  MESSAGE("weighted sums: ", values);
}

// The largest inputs and weights: sums of two products must not saturate.
TEST_CASE("moments: every table's products of squares are the plain ones") {
  Random random(38);
  for (int round = 0; round < Effort(200, 20); ++round) {
    const std::uint32_t width = random.OneOf<std::uint32_t>({4, 8, 16});
    const std::uint32_t pixels = 1 + random.Below(12), run = 4 * (1 + random.Below(12));
    const int least = random.Below(2) == 0 ? 0 : 250;
    const Guarded<std::uint8_t> input(std::size_t{pixels} * run, &random, least, 255);
    const Guarded<std::int8_t> weights(std::size_t{width} * run, &random, least / 4,
                                       static_cast<int>(kernels::kMostSquare));
    const std::int32_t bias[kPanelWidth] = {};
    kernels::ConvolveArgs args{};
    args.input = input.data();
    args.input_col_step = static_cast<std::ptrdiff_t>(run);
    args.outer_runs = args.inner_runs = 1;
    args.padded_run = run;
    args.weights = weights.data();
    args.bias = bias;
    args.width = args.channels = width;
    args.output_height = 1;
    args.output_width = pixels;
    for (const kernels::KernelTable* table : RunnableTables()) {
      if (table->moments->accumulate_squares == nullptr) continue;
      Guarded<std::int32_t> found(std::size_t{pixels} * kPanelWidth);
      args.accumulators = found.data();
      table->moments->accumulate_squares(args);
      CAPTURE(table->name);
      for (std::uint32_t p = 0; p < pixels; ++p) {
        for (std::uint32_t c = 0; c < width; ++c) {
          std::int32_t sum = 0;
          for (std::uint32_t k = 0; k < run; ++k) {
            sum += input[p * run + k] * weights[(k / 4 * width + c) * 4 + k % 4];
          }
          REQUIRE(found[p * kPanelWidth + c] == sum);
        }
      }
    }
  }
}

}  // namespace
}  // namespace mu8::testing
