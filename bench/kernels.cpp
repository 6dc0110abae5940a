// Benchmarks of the sampler and the convolution, one entry per built table: weights and
// multiply-accumulates per second. Names: sample/<table>/sigma<bits>,
// convolve/<table>/<c_in>x<c_out>x<k>x<k>@<size>.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "kernels/kernel_table.h"

namespace {

using mu8::kernels::KernelTable;

// 64-byte aligned bytes with fixed contents below 32, which is a valid level, mu and activation.
struct Buffer {
  explicit Buffer(std::size_t size)
      : data(static_cast<std::uint8_t*>(std::aligned_alloc(64, (size + 63) / 64 * 64))) {
    if (data == nullptr) throw std::bad_alloc();
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::uint8_t>(i * 7 % 32);
  }
  ~Buffer() { std::free(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::uint8_t* data;
};

struct Shape {
  std::uint32_t input_channels, output_channels, kernel, size;
};

// One panel of 16 channels, 3x3x64: 9,216 weights.
void Sample(benchmark::State& state, const KernelTable& table, std::uint32_t sigma_bits) {
  constexpr std::uint32_t kRuns = 3;
  constexpr std::uint32_t kRun = 192;
  constexpr std::size_t kBytes = std::size_t{16} * kRuns * kRun;
  Buffer mu(kBytes), sigma(kBytes), codebook(64), weights(kBytes);
  std::uint8_t shift[16];
  std::uint8_t bias_shift[16];
  std::memset(shift, 5, sizeof(shift));
  std::memset(bias_shift, 8, sizeof(bias_shift));
  std::int32_t bias_mu[16] = {};
  std::uint16_t bias_level[16] = {};
  std::int32_t bias[16];
  mu8::kernels::SampleArgs args{};
  args.stream.seed = 1;
  args.width = 16;
  args.runs = kRuns;
  args.run_length = args.padded_run = kRun;
  args.sigma_bits = sigma_bits;
  args.mu = reinterpret_cast<const std::int8_t*>(mu.data);
  args.sigma = sigma.data;
  args.codebook = codebook.data;
  args.codebook_stride = 16;
  args.shift = shift;
  args.bias_mu = bias_mu;
  args.bias_level = bias_level;
  args.bias_shift = bias_shift;
  args.weights = reinterpret_cast<std::int8_t*>(weights.data);
  args.bias = bias;
  for (auto _ : state) {
    table.sample_panel(args);
    ++args.stream.pass;
    benchmark::ClobberMemory();
  }
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(kBytes),
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

// A whole layer, same padding, with weights already drawn.
void Convolve(benchmark::State& state, const KernelTable& table, Shape shape) {
  const std::uint32_t pad = shape.kernel / 2;
  const std::uint32_t stride = (shape.size + 2 * pad) * shape.input_channels;
  const std::uint32_t run = (shape.kernel * shape.input_channels + 3) / 4 * 4;
  Buffer input((shape.size + 2 * pad) * stride + 64);
  Buffer output(std::size_t{shape.size} * shape.size * shape.output_channels);
  Buffer weights(std::size_t{16} * shape.kernel * run);
  std::int32_t bias[16] = {};
  float multiplier[16];
  for (float& m : multiplier) m = 0.001F;
  mu8::kernels::ConvolveArgs args{};
  args.input = input.data;
  args.input_row_step = args.outer_step = stride;
  args.input_col_step = args.inner_step = shape.input_channels;
  args.outer_runs = shape.kernel;
  args.inner_runs = 1;
  args.padded_run = run;
  args.weights = reinterpret_cast<const std::int8_t*>(weights.data);
  args.bias = bias;
  args.width = args.channels = 16;
  args.output_height = args.output_width = shape.size;
  args.multiplier = multiplier;
  args.clamp_max = 255;
  args.output_row_step = std::ptrdiff_t{shape.size} * shape.output_channels;
  args.output_col_step = shape.output_channels;
  for (auto _ : state) {
    for (std::uint32_t c = 0; c < shape.output_channels; c += 16) {
      args.output = output.data + c;
      table.convolve(args);
    }
    benchmark::ClobberMemory();
  }
  const double macs = static_cast<double>(shape.size) * shape.size * shape.kernel * shape.kernel *
                      shape.input_channels * shape.output_channels;
  state.counters["MAC/s"] = benchmark::Counter(macs, benchmark::Counter::kIsIterationInvariantRate);
}

void Register(const KernelTable& table) {
  for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) {
    const std::string name = std::string("sample/") + table.name + "/sigma" + std::to_string(bits);
    benchmark::RegisterBenchmark(
        name.c_str(), [&table, bits](benchmark::State& state) { Sample(state, table, bits); });
  }
  for (const Shape shape : {Shape{16, 16, 3, 32}, {32, 32, 3, 16}, {64, 64, 3, 8}}) {
    const std::string kernel = std::to_string(shape.kernel);
    const std::string name = std::string("convolve/") + table.name + "/" +
                             std::to_string(shape.input_channels) + "x" +
                             std::to_string(shape.output_channels) + "x" + kernel + "x" + kernel +
                             "@" + std::to_string(shape.size);
    benchmark::RegisterBenchmark(
        name.c_str(), [&table, shape](benchmark::State& state) { Convolve(state, table, shape); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint32_t features = mu8::kernels::DetectFeatures();
  for (std::size_t i = 0; i < mu8::kernels::TableCount(); ++i) {
    const KernelTable& table = mu8::kernels::TableAt(i);
    if ((table.required & ~features) == 0) Register(table);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
