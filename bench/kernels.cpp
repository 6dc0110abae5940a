// Benchmarks of the kernels, one entry per built table that this processor runs:
//   peak/<table>                                    the multiply instruction from registers
//   read/<level>                                    bandwidth of caches and memory
//   sample/<table>/sigma<bits>                      drawing weights: 64 channels of 3x3x64
//   conv/<table>/<c_in>x<c_out>x<k>x<k>@<size>      a layer with drawn weights; /2 = stride 2
// Before anything is timed every layer is compared with a plain loop. README.md explains the rest.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "bench/layer_data.h"
#include "bench/mu8_layer.h"
#include "bench/peak.h"
#include "kernels/kernel_table.h"

namespace mu8::bench {
namespace {

using benchmark::Counter;
using kernels::KernelTable;

constexpr double kGiga = 1e9;

void Peak(benchmark::State& state, const MultiplyLoop& loop) {
  constexpr std::uint64_t kIterations = 1024;
  for (auto _ : state) loop.run(kIterations);
  state.counters["GMAC/s"] =
      Counter(loop.macs * kIterations / kGiga, Counter::kIsIterationInvariantRate);
  state.SetLabel(loop.instruction);
}

void ReadLevel(benchmark::State& state, const MemoryLevel& level) {
  const host::AlignedBuffer buffer(level.bytes);
  std::memset(const_cast<std::byte*>(buffer.data()), 1, level.bytes);
  // Small buffers many times, so that the loop's own cost is not seen.
  const std::uint64_t times = std::max<std::uint64_t>(1, (std::uint64_t{1} << 20) / level.bytes);
  for (auto _ : state) Read(buffer.data(), level.bytes, times);
  state.counters["GB/s"] =
      Counter(static_cast<double>(level.bytes * times) / kGiga, Counter::kIsIterationInvariantRate);
  state.SetLabel(std::to_string(level.bytes / 1024) + " KiB");
}

void Sample(benchmark::State& state, const KernelTable& table, std::uint32_t sigma_bits) {
  const Shape shape{64, 64, 3, 8};
  Mu8Layer layer(MakeLayerData(shape, 1), table, sigma_bits);
  for (auto _ : state) {
    layer.Sample();
    benchmark::ClobberMemory();
  }
  state.counters["Gweights/s"] =
      Counter(static_cast<double>(shape.weights()) / kGiga, Counter::kIsIterationInvariantRate);
}

void Convolve(benchmark::State& state, const KernelTable& table, const Shape& shape) {
  Mu8Layer layer(MakeLayerData(shape, 1), table, 4);
  layer.Sample();
  // The clock of a shared machine wanders: the peak is taken right before what it is held against.
  const double peak = PeakMacs(table.name, 3);
  for (auto _ : state) {
    layer.Convolve();
    benchmark::ClobberMemory();
  }
  state.counters["GMAC/s"] = Counter(shape.macs() / kGiga, Counter::kIsIterationInvariantRate);
  if (peak > 0) {
    state.counters["of_peak"] = Counter(shape.macs() / peak, Counter::kIsIterationInvariantRate);
  }
}

// The numbers of layers that were compared, or -1 after saying which is wrong.
int CheckLayers(const KernelTable& table) {
  int checked = 0;
  for (const Shape& shape : AllShapes()) {
    const LayerData data = MakeLayerData(shape, 2);
    Mu8Layer layer(data, table, 4);
    layer.Pass();
    const std::vector<std::uint8_t> expected = Reference(data, data.input);
    const bool pass_right = layer.Output() == expected;
    layer.Sample();
    layer.Convolve();
    if (!pass_right || layer.Output() != expected) {
      std::fprintf(stderr, "mu8_bench: %s of %s differs from a plain loop\n", shape.name().c_str(),
                   table.name);
      return -1;
    }
    ++checked;
  }
  return checked;
}

// Whether a slower table has the same convolution, which need not be measured twice.
bool SharesConvolution(const KernelTable& table) {
  for (std::size_t i = 0; &kernels::TableAt(i) != &table; ++i) {
    if (kernels::TableAt(i).convolve == table.convolve) return true;
  }
  return false;
}

void Register(const KernelTable& table) {
  const std::string name = table.name;
  if (const MultiplyLoop* loop = FindMultiplyLoop(name)) {
    benchmark::RegisterBenchmark(("peak/" + name).c_str(),
                                 [loop](benchmark::State& state) { Peak(state, *loop); });
  }
  for (const std::uint32_t bits : {8U, 4U, 2U, 1U, 0U}) {
    benchmark::RegisterBenchmark(
        ("sample/" + name + "/sigma" + std::to_string(bits)).c_str(),
        [&table, bits](benchmark::State& state) { Sample(state, table, bits); });
  }
  if (SharesConvolution(table)) return;
  for (const Shape& shape : AllShapes()) {
    benchmark::RegisterBenchmark(
        ("conv/" + name + "/" + shape.name()).c_str(),
        [&table, shape](benchmark::State& state) { Convolve(state, table, shape); });
  }
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const std::uint32_t features = kernels::DetectFeatures();
  int checked = 0;
  for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
    const KernelTable& table = kernels::TableAt(i);
    if ((table.required & ~features) != 0) continue;
    const int layers = CheckLayers(table);
    if (layers < 0) return 1;
    checked += layers;
    Register(table);
  }
  benchmark::AddCustomContext("layers_checked", std::to_string(checked));
  for (const MemoryLevel& level : MemoryLevels()) {
    benchmark::RegisterBenchmark(("read/" + level.name).c_str(),
                                 [level](benchmark::State& state) { ReadLevel(state, level); });
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace mu8::bench

int main(int argc, char** argv) { return mu8::bench::Main(argc, argv); }
