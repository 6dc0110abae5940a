// Pools and the table look-up of every table against plain loops. Pools' inputs end 64 bytes (a
// tensor's tail) before a guard page, everything else right at one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "formats/layout.h"
#include "kernels/kernel_table.h"
#include "tests/kernels/tables.h"
#include "tests/support/effort.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"

namespace mu8::testing {
namespace {

constexpr std::uint8_t kCanary = 0xcd;

struct PoolCase {
  kernels::PoolArgs args{};
  std::vector<std::uint8_t> input;
  std::size_t output_bytes = 0;
};

std::size_t Span(std::uint32_t rows, std::ptrdiff_t stride, std::size_t row_bytes) {
  return (rows - 1) * static_cast<std::size_t>(stride) + row_bytes;
}

void RandomAxis(std::uint32_t extent, Random* random, std::uint32_t* kernel, std::uint32_t* stride,
                std::uint32_t* pad, std::uint32_t* out) {
  *kernel = 1 + random->Below(5);
  *stride = 1 + random->Below(4);
  *pad = random->Below(*kernel);
  *out = 1 + random->Below((extent + *pad - 1) / *stride + 1);
}

PoolCase RandomPool(Random* random) {
  PoolCase c;
  kernels::PoolArgs& args = c.args;
  args.input_height = 1 + random->Below(9);
  args.input_width = 1 + random->Below(9);
  args.channels = 1 + random->Below(random->OneIn(3) ? 150 : 20);
  RandomAxis(args.input_height, random, &args.kernel_h, &args.stride_h, &args.pad_top,
             &args.output_height);
  RandomAxis(args.input_width, random, &args.kernel_w, &args.stride_w, &args.pad_left,
             &args.output_width);
  const std::size_t in_row = std::size_t{args.input_width} * args.channels;
  const std::size_t out_row = std::size_t{args.output_width} * args.channels;
  args.input_row_stride = static_cast<std::ptrdiff_t>(in_row + random->Below(7));
  args.output_row_stride = static_cast<std::ptrdiff_t>(out_row + random->Below(7));
  args.zero_in = random->Between(0, 255);
  args.zero_out = random->Between(0, 255);
  args.scale_ratio = static_cast<float>(0.3 + random->Unit());
  args.count_padding = random->OneIn(2);
  args.clamp_min = random->OneIn(2) ? 0 : random->Between(0, 255);
  args.clamp_max = random->OneIn(2) ? 255 : random->Between(args.clamp_min, 255);
  c.input.resize(Span(args.input_height, args.input_row_stride, in_row) + format::kTensorTailBytes);
  random->Fill(std::span(c.input), 0, 255);
  c.output_bytes = Span(args.output_height, args.output_row_stride, out_row);
  return c;
}

std::uint8_t Expected(const PoolCase& c, bool max, std::uint32_t y, std::uint32_t x,
                      std::uint32_t channel) {
  const kernels::PoolArgs& args = c.args;
  int most = 0;
  int sum = 0;
  int taps = 0;
  for (std::int64_t ky = 0; ky < args.kernel_h; ++ky) {
    for (std::int64_t kx = 0; kx < args.kernel_w; ++kx) {
      const std::int64_t row = std::int64_t{y} * args.stride_h + ky - args.pad_top;
      const std::int64_t col = std::int64_t{x} * args.stride_w + kx - args.pad_left;
      if (row < 0 || col < 0 || row >= args.input_height || col >= args.input_width) continue;
      const int value = c.input[static_cast<std::size_t>(row * args.input_row_stride +
                                                         col * args.channels + channel)];
      most = std::max(most, value);
      sum += value - args.zero_in;
      ++taps;
    }
  }
  if (max) return static_cast<std::uint8_t>(std::clamp(most, args.clamp_min, args.clamp_max));
  const std::uint32_t all = args.kernel_h * args.kernel_w;
  const auto area = static_cast<float>(args.count_padding ? static_cast<int>(all) : taps);
  const float value = std::clamp(static_cast<float>(sum) * (args.scale_ratio / area),
                                 static_cast<float>(args.clamp_min - args.zero_out),
                                 static_cast<float>(args.clamp_max - args.zero_out));
  return static_cast<std::uint8_t>(args.zero_out + std::lrintf(value));
}

std::vector<std::uint8_t> ExpectedOutput(const PoolCase& c, bool max) {
  std::vector<std::uint8_t> output(c.output_bytes, kCanary);
  for (std::uint32_t y = 0; y < c.args.output_height; ++y) {
    for (std::uint32_t x = 0; x < c.args.output_width; ++x) {
      for (std::uint32_t channel = 0; channel < c.args.channels; ++channel) {
        const auto at = static_cast<std::size_t>(y * c.args.output_row_stride) +
                        std::size_t{x} * c.args.channels + channel;
        output[at] = Expected(c, max, y, x, channel);
      }
    }
  }
  return output;
}

TEST_CASE("pool: every table's max and average equal plain loops") {
  const auto tables = RunnableTables();
  GuardedBuffer input(65536);
  GuardedBuffer output(65536);
  Random random(31);
  const int count = Effort(3000, 300);
  std::size_t executed = 0;
  for (int i = 0; i < count; ++i) {
    const PoolCase c = RandomPool(&random);
    for (const bool max : {true, false}) {
      const std::vector<std::uint8_t> expected = ExpectedOutput(c, max);
      for (const kernels::KernelTable* table : tables) {
        kernels::PoolArgs args = c.args;
        args.input = input.CopyLast(c.input);
        args.output = output.Last<std::uint8_t>(c.output_bytes);
        output.Fill(kCanary);
        (max ? table->max_pool : table->average_pool)(args);
        CAPTURE(std::string(table->name));
        CAPTURE(i);
        CAPTURE(max);
        REQUIRE(std::equal(expected.begin(), expected.end(), args.output));
        REQUIRE(*(args.output - 1) == kCanary);
        ++executed;
      }
    }
  }
  MESSAGE("pools: " << executed);
  CHECK(executed == tables.size() * 2 * static_cast<std::size_t>(count));
}

TEST_CASE("lookup: every table maps rows and leaves the gaps") {
  const auto tables = RunnableTables();
  GuardedBuffer table_bytes(256);
  GuardedBuffer input(16384);
  GuardedBuffer output(16384);
  Random random(32);
  const int count = Effort(1000, 200);
  std::size_t executed = 0;
  for (int i = 0; i < count; ++i) {
    std::vector<std::uint8_t> map(256);
    random.Fill(std::span(map), 0, 255);
    kernels::LookupArgs args{};
    args.rows = 1 + random.Below(6);
    args.row_bytes = 1 + random.Below(200);
    args.input_row_stride = args.row_bytes + random.Below(9);
    args.output_row_stride = args.row_bytes + random.Below(9);
    std::vector<std::uint8_t> pixels(Span(args.rows, args.input_row_stride, args.row_bytes));
    random.Fill(std::span(pixels), 0, 255);
    std::vector<std::uint8_t> expected(Span(args.rows, args.output_row_stride, args.row_bytes),
                                       kCanary);
    for (std::uint32_t row = 0; row < args.rows; ++row) {
      for (std::uint32_t j = 0; j < args.row_bytes; ++j) {
        expected[static_cast<std::size_t>(row * args.output_row_stride) + j] =
            map[pixels[static_cast<std::size_t>(row * args.input_row_stride) + j]];
      }
    }
    for (const kernels::KernelTable* table : tables) {
      args.table = table_bytes.CopyLast(map);
      args.input = input.CopyLast(pixels);
      args.output = output.Last<std::uint8_t>(expected.size());
      output.Fill(kCanary);
      table->lookup(args);
      CAPTURE(std::string(table->name));
      CAPTURE(i);
      REQUIRE(std::equal(expected.begin(), expected.end(), args.output));
      REQUIRE(*(args.output - 1) == kCanary);
      ++executed;
    }
  }
  MESSAGE("look-ups: " << executed);
  CHECK(executed == tables.size() * static_cast<std::size_t>(count));
}

}  // namespace
}  // namespace mu8::testing
