// Kernels of predictions by moments: every table against the scalar definition, byte for byte, with
// every array between guard pages.
#include <doctest/doctest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "kernels/moments.h"
#include "kernels/moments_math.h"
#include "kernels/scalar/kernels.h"
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
    const auto step = static_cast<std::ptrdiff_t>(channels + random.Below(3));
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

}  // namespace
}  // namespace mu8::testing
