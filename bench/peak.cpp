#include "bench/peak.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "bench/turns.h"

namespace mu8::bench {
namespace {

constexpr double kTurnSeconds = 0.003;

double Seconds(const MultiplyLoop& loop, std::uint64_t iterations) {
  const double start = ThreadSeconds();
  loop.run(iterations);
  return ThreadSeconds() - start;
}

// A file's first line; empty if it cannot be read.
std::string Line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// Plain 64-bit reads, for processors without a loop of their own.
[[maybe_unused]] void ReadPlain(const std::byte* data, std::size_t bytes, std::uint64_t times) {
  for (std::uint64_t t = 0; t < times; ++t) {
    std::uint64_t sum = 0;
    const auto* words = reinterpret_cast<const std::uint64_t*>(data);
    for (std::size_t i = 0; i < bytes / 8; ++i) sum |= words[i];
    __asm__ volatile("" : "+r"(sum) : : "memory");
  }
}

}  // namespace

const MultiplyLoop* FindMultiplyLoop([[maybe_unused]] const std::string& table) {
#if defined(MU8_BENCH_X86)
  for (const MultiplyLoop* loop : {&kMultiplyAvx2, &kMultiplyAvxVnni, &kMultiplyAvx512Vnni}) {
    if (table != loop->table) continue;
    return kernels::FindKernels(loop->table, kernels::DetectFeatures()) == nullptr ? nullptr : loop;
  }
#endif
  return nullptr;
}

double PeakMacs(const std::string& table, int tries) {
  const MultiplyLoop* loop = FindMultiplyLoop(table);
  if (loop == nullptr) return 0;
  std::uint64_t iterations = 1024;
  while (Seconds(*loop, iterations) < kTurnSeconds) iterations *= 2;
  double best = 0;
  for (int i = 0; i < tries; ++i) {
    best =
        std::max(best, static_cast<double>(iterations) * loop->macs / Seconds(*loop, iterations));
  }
  return best;
}

std::vector<MemoryLevel> MemoryLevels() {
  // Linux's own list: virtual machines misreport sizes through the C library.
  std::vector<MemoryLevel> levels;
  std::size_t last = std::size_t{32} << 20;
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    const std::string type = Line(folder + "/type");
    const std::size_t kib = std::strtoul(Line(folder + "/size").c_str(), nullptr, 10);
    if (type.empty() || type == "Instruction" || kib == 0) continue;
    last = kib * 1024;
    levels.push_back({"L" + Line(folder + "/level"), last / 2});
  }
  levels.push_back({"DRAM", std::min(last * 8, std::size_t{256} << 20)});
  return levels;
}

void Read(const std::byte* data, std::size_t bytes, std::uint64_t times) {
#if defined(MU8_BENCH_X86)
  static const std::uint32_t kFeatures = kernels::DetectFeatures();
  if ((kFeatures & kernels::kFeatureAvx512Vnni) != 0) return ReadAvx512(data, bytes, times);
  if ((kFeatures & kernels::kFeatureAvx2) != 0) return ReadAvx2(data, bytes, times);
#endif
  ReadPlain(data, bytes, times);
}

}  // namespace mu8::bench
