// mu8_bench_peers: mu8 against kernel libraries in one process, in turns. See bench/README.md.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "bench/peers/comparison.h"
#include "bench/peers/peer.h"

namespace mu8::bench {
namespace {

struct Options {
  std::string lenet5, lenet5_deterministic, resnet20, resnet20_deterministic, kernels, json;
  std::uint32_t sigma_bits = 4;
  TurnOptions turns;
  bool quick = false, networks_only = false;
};

const kernels::KernelTable& Table(const std::string& name) {
  const std::uint32_t features = kernels::DetectFeatures();
  if (name.empty()) return *kernels::SelectKernels(features);
  const kernels::KernelTable* table = kernels::FindKernels(name.c_str(), features);
  if (table == nullptr) {
    throw std::runtime_error("--kernels: \"" + name +
                             "\" is not built or this processor cannot run it");
  }
  return *table;
}

std::vector<Row> Compare(const Options& options, const kernels::KernelTable& table) {
  std::vector<Row> rows;
  const auto network = [&](const char* name, const std::string& bayesian,
                           const std::string& deterministic, const std::vector<Shape>& shapes) {
    if (bayesian.empty()) return;
    rows.push_back(CompareNetwork({name, bayesian, deterministic}, shapes, table,
                                  options.sigma_bits, options.turns));
  };
  network("resnet20", options.resnet20, options.resnet20_deterministic, ResNet20());
  network("lenet5", options.lenet5, options.lenet5_deterministic, LeNet5());
  if (options.networks_only) return rows;
  std::vector<Shape> shapes = AllShapes();
  if (options.quick) shapes = {{1, 6, 5, 28}, {64, 64, 3, 8}, {64, 10, 1, 1}};
  for (const Shape& shape : shapes) {
    std::cerr << "comparing " << shape.name() << '\n';
    rows.push_back(CompareLayer(shape, table, options.sigma_bits, options.turns));
  }
  return rows;
}

int Run(const Options& options) {
  const kernels::KernelTable& table = Table(options.kernels);
  std::vector<std::string> peers;
  for (const PeerMaker& maker : BuiltPeers()) peers.emplace_back(maker.name);
  if (peers.empty()) std::cerr << "no peer is built: tools/setup bench installs them\n";
  const std::vector<Row> rows = Compare(options, table);
  std::fputs(ToMarkdown(rows, table.name).c_str(), stdout);
  const std::string moments = MomentsToMarkdown(rows, table.name);
  if (!moments.empty()) std::printf("\n%s", moments.c_str());
  const std::map<std::string, double> wrong = WrongAtFullRange();
  for (const auto& [peer, share] : wrong) {
    std::printf("\nWith weights of all 8 bits %.1f %% of %s's outputs are wrong (64x64x3x3@8).\n",
                100 * share, peer.c_str());
  }
  if (options.json.empty()) return 0;
  nlohmann::json json = {{"table", table.name},
                         {"sigma_bits", options.sigma_bits},
                         {"rounds", options.turns.rounds},
                         {"turn_seconds", options.turns.turn_seconds},
                         {"peers", peers},
                         {"wrong_at_full_range", wrong}};
  for (const Row& row : rows) json["rows"].push_back(ToJson(row));
  std::ofstream file(options.json);
  file << json.dump(1) << '\n';
  if (!file.flush()) throw std::runtime_error("--json: cannot write \"" + options.json + "\"");
  return 0;
}

}  // namespace
}  // namespace mu8::bench

int main(int argc, char** argv) {
  mu8::bench::Options options;
  CLI::App app("mu8 and kernel libraries on the same layers, in turns");
  app.add_option("--resnet20", options.resnet20, "A Bayesian .mu8 file");
  app.add_option("--resnet20-deterministic", options.resnet20_deterministic,
                 "The same without sigma");
  app.add_option("--lenet5", options.lenet5, "A Bayesian .mu8 file");
  app.add_option("--lenet5-deterministic", options.lenet5_deterministic, "The same without sigma");
  app.add_option("--kernels", options.kernels,
                 "mu8's kernels: scalar, portable, avx2, avxvnni, avx512vnni or avx512vbmi");
  app.add_option("--sigma-bits", options.sigma_bits, "Of single layers")
      ->check(CLI::IsMember({8, 4, 2, 1, 0}))
      ->capture_default_str();
  app.add_option("--rounds", options.turns.rounds, "Turns of every side")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--turn", options.turns.turn_seconds, "Least seconds of a turn")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  app.add_option("--json", options.json, "Where to write the results");
  app.add_flag("--quick", options.quick, "Three layers only");
  app.add_flag("--networks-only", options.networks_only, "No single layers");
  CLI11_PARSE(app, argc, argv);
  try {
    return mu8::bench::Run(options);
  } catch (const std::exception& error) {
    std::cerr << "mu8_bench_peers: " << error.what() << '\n';
    return 1;
  }
}
