// One row of the comparison: mu8 and every built peer on the same work, checked, then timed in
// turns.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/layer_data.h"
#include "bench/turns.h"
#include "kernels/kernel_table.h"

namespace mu8::bench {

// What is timed of each side. A side that lacks one leaves it out.
//   compute  a pass with weights that are there already
//   weights  what new weights cost: mu8 draws them, a peer brings given ones into its order
//   both     new weights and a pass with them
// Of a network's file with what moments need also kMoments, a whole prediction by moments.
inline constexpr const char* kParts[] = {"compute", "weights", "both"};
inline constexpr const char* kMoments = "moments";
inline constexpr std::uint32_t kPasses = 50;  // T of a sampled prediction

struct SideTimes {
  std::vector<std::string> kernels;
  std::map<std::string, std::vector<double>> seconds;  // part -> per round
};

struct Row {
  std::string name;
  double macs = 0;
  std::map<std::string, SideTimes> sides;
  int checked = 0;                     // results compared with the reference before timing
  std::map<std::string, int> largest;  // side -> largest difference from the reference
};

// Throws std::runtime_error if a side's results are wrong; `tolerance` is the difference that
// rounding may make.
Row CompareLayer(const Shape& shape, const kernels::KernelTable& table, std::uint32_t sigma_bits,
                 const TurnOptions& turns);

// A whole network. mu8 runs .mu8 files through its public API: `bayesian` T = 50 passes a call,
// divided by 50; `deterministic`, if not empty, one pass a call.
struct NetworkFiles {
  std::string name, bayesian, deterministic;
};
Row CompareNetwork(const NetworkFiles& files, const std::vector<Shape>& shapes,
                   const kernels::KernelTable& table, std::uint32_t sigma_bits,
                   const TurnOptions& turns);

// Peer -> the share of a layer's outputs that are off by more than one step when weights use all 8
// bits, -127 to 127, which no other comparison does.
std::map<std::string, double> WrongAtFullRange();

// Ratios are a peer's time over mu8's, within rounds: {median, p10, p90}.
nlohmann::json ToJson(const Row& row);
// The table's lines: Markdown.
std::string ToMarkdown(const std::vector<Row>& rows, const std::string& table);
// The same of predictions: T passes of mu8 and of the peers beside one by moments. Empty where no
// row has any; a peer's T passes are T times its part "both", and the ratios are taken within
// rounds.
std::string MomentsToMarkdown(const std::vector<Row>& rows, const std::string& table);

}  // namespace mu8::bench
