// Writes the random bytes that mu8 draws weights from, without end, for a battery of tests
// (bench/random_streams). usage: mu8_streams ORDER SEED
//   lane     one lane, step by step
//   panels   as a network draws them: passes of 20 layers of 4 panels of 16 lanes of 128 steps
//   names    the first step of each stream, its name counted up: lanes, panels, layers, passes
//   passes   a step of 1,024 passes after another: what one weight sees, and the next one
//   seeds    the same of 1,024 seeds
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "kernels/random.h"

namespace mu8 {
namespace {

constexpr std::uint32_t kLayers = 20, kPanels = 4, kSteps = 128;
constexpr std::size_t kSide = 1024;  // streams side by side

// Ends the program when nobody reads any more.
class Writer {
 public:
  void Word(std::uint32_t word) {
    words_.push_back(word);
    if (words_.size() < kWords) return;
    if (std::fwrite(words_.data(), sizeof(word), kWords, stdout) != kWords) std::exit(0);
    words_.clear();
  }

 private:
  static constexpr std::size_t kWords = 1 << 16;
  std::vector<std::uint32_t> words_;
};

void WritePanel(const kernels::StreamId& id, std::uint32_t steps, Writer* writer) {
  std::vector<kernels::Xoshiro> lanes;
  for (std::uint32_t lane = 0; lane < kernels::kLanes; ++lane) lanes.push_back(MakeLane(id, lane));
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (kernels::Xoshiro& lane : lanes) writer->Word(lane.Next());
  }
}

void WriteNetwork(std::uint64_t seed, std::uint32_t steps, Writer* writer) {
  for (std::uint32_t pass = 0;; ++pass) {
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
      for (std::uint32_t panel = 0; panel < kPanels; ++panel) {
        WritePanel({.seed = seed, .pass = pass, .layer = layer, .panel = panel}, steps, writer);
      }
    }
  }
}

void WriteSideBySide(std::uint64_t seed, bool of_seeds, Writer* writer) {
  for (std::uint32_t block = 0;; ++block) {
    std::vector<kernels::Xoshiro> streams;
    for (std::uint32_t i = 0; i < kSide; ++i) {
      streams.push_back(
          kernels::MakeLane({.seed = seed + (of_seeds ? i : 0),
                             .pass = of_seeds ? block / kLayers : block / kLayers * 1024 + i,
                             .layer = block % kLayers},
                            0));
    }
    for (std::uint32_t step = 0; step < kSteps; ++step) {
      for (kernels::Xoshiro& stream : streams) writer->Word(stream.Next());
    }
  }
}

int Main(std::string_view order, std::uint64_t seed) {
  Writer writer;
  if (order == "lane") {
    kernels::Xoshiro lane = kernels::MakeLane({.seed = seed}, 0);
    for (;;) writer.Word(lane.Next());
  }
  if (order == "panels") WriteNetwork(seed, kSteps, &writer);
  if (order == "names") WriteNetwork(seed, 1, &writer);
  if (order == "passes" || order == "seeds") WriteSideBySide(seed, order == "seeds", &writer);
  std::fprintf(stderr, "usage: mu8_streams lane|panels|names|passes|seeds SEED\n");
  return 2;
}

}  // namespace
}  // namespace mu8

int main(int count, char** arguments) {
  return mu8::Main(count == 3 ? arguments[1] : "",
                   count == 3 ? std::strtoull(arguments[2], nullptr, 10) : 0);
}
