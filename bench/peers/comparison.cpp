#include "bench/peers/comparison.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <random>
#include <stdexcept>

#include "bench/mu8_layer.h"
#include "bench/peers/peer.h"
#include "converters/host/model_file.h"

namespace mu8::bench {
namespace {

// Roundings of halves and of products may differ by one step; a chain carries that on.
constexpr int kLayerTolerance = 1;
constexpr int kChainTolerance = 3;

struct Timed {
  std::string side, part;
  std::function<void()> run;
  double calls = 1;  // passes of one run
};

void Check(Row* row, const std::string& side, const std::vector<std::uint8_t>& output,
           const std::vector<std::uint8_t>& expected, int tolerance) {
  int largest = output.size() == expected.size() ? 0 : 255;
  for (std::size_t i = 0; i < std::min(output.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(int{output[i]} - int{expected[i]}));
  }
  if (largest > tolerance) {
    throw std::runtime_error(row->name + ": " + side + " differs from a plain loop by " +
                             std::to_string(largest) + ", expected at most " +
                             std::to_string(tolerance));
  }
  int& known = row->largest[side];
  known = std::max(known, largest);
  ++row->checked;
}

void TimeAll(Row* row, const std::vector<Timed>& timed, const TurnOptions& turns) {
  std::vector<std::function<void()>> sides;
  for (const Timed& one : timed) sides.push_back(one.run);
  Laps laps = TakeTurns(sides, turns);
  for (std::size_t i = 0; i < timed.size(); ++i) {
    for (double& seconds : laps[i]) seconds /= timed[i].calls;
    row->sides[timed[i].side].seconds[timed[i].part] = std::move(laps[i]);
  }
}

// Checks every built peer on `data` and adds what is to be timed of it.
void AddPeers(const std::vector<LayerData>& data, const std::vector<std::uint8_t>& expected,
              Row* row, std::vector<Timed>* timed) {
  const int tolerance = data.size() == 1 ? kLayerTolerance : kChainTolerance;
  for (const PeerMaker& maker : BuiltPeers()) {
    const Peer peer = maker.make(data);
    peer.new_weights();
    peer.pass();
    Check(row, peer.name, peer.output(), expected, tolerance);
    row->sides[peer.name].kernels = peer.kernels;
    timed->push_back({peer.name, "compute", peer.pass});
    timed->push_back({peer.name, "weights", peer.new_weights});
    timed->push_back({peer.name, "both", [peer] {
                        peer.new_weights();
                        peer.pass();
                      }});
  }
}

KernelSet SetOf(const kernels::KernelTable& table) {
  const std::string name = table.name;
  if (name == "avx512vbmi") return KernelSet::kAvx512Vbmi;
  if (name == "avx512vnni") return KernelSet::kAvx512Vnni;
  if (name == "avxvnni") return KernelSet::kAvxVnni;
  if (name == "portable") return KernelSet::kPortable;
  return name == "avx2" ? KernelSet::kAvx2 : KernelSet::kScalar;
}

// A model, an image for it and a session.
struct Network {
  Network(const std::string& path, const SessionOptions& options)
      : file(host::OpenModel(path)), image(file.model.input_size()), runner(file, options) {
    std::mt19937 random(1);
    for (std::uint8_t& pixel : image) pixel = static_cast<std::uint8_t>(random() >> 24);
  }
  void Run() { runner.Predict(file.path, image, {&prediction, 1}); }

  host::ModelFile file;
  std::vector<std::uint8_t> image;
  host::Runner runner;
  Prediction prediction;
};

// The kernels in use against the scalar ones, which define mu8's results: not one bit may differ.
void CheckNetwork(Row* row, const std::string& path, const kernels::KernelTable& table,
                  Method method = Method::kSampling) {
  Network fast(path, {.mc_samples = 2, .kernels = SetOf(table), .method = method});
  Network defined(path, {.mc_samples = 2, .kernels = KernelSet::kScalar, .method = method});
  fast.Run();
  defined.Run();
  if (!std::ranges::equal(fast.prediction.mean, defined.prediction.mean) ||
      !std::ranges::equal(fast.prediction.variance, defined.prediction.variance)) {
    throw std::runtime_error(row->name + ": " + table.name + " differs from scalar on " + path);
  }
  row->largest["mu8"] = 0;
  ++row->checked;
}

}  // namespace

Row CompareLayer(const Shape& shape, const kernels::KernelTable& table, std::uint32_t sigma_bits,
                 const TurnOptions& turns) {
  Row row{shape.name(), shape.macs(), {}, 0, {}};
  const std::vector<LayerData> data = {MakeLayerData(shape, 3)};
  const std::vector<std::uint8_t> expected = ChainReference(data);
  Mu8Layer layer(data[0], table, sigma_bits);
  layer.Pass();
  Check(&row, "mu8", layer.Output(), expected, 0);
  layer.Sample();
  layer.Convolve();
  Check(&row, "mu8", layer.Output(), expected, 0);
  row.sides["mu8"].kernels = {table.name};
  std::vector<Timed> timed = {{"mu8", "compute", [&layer] { layer.Convolve(); }},
                              {"mu8", "weights", [&layer] { layer.Sample(); }},
                              {"mu8", "both", [&layer] { layer.Pass(); }}};
  AddPeers(data, expected, &row, &timed);
  TimeAll(&row, timed, turns);
  return row;
}

std::map<std::string, double> WrongAtFullRange() {
  const std::vector<LayerData> data = {MakeLayerData({64, 64, 3, 8}, 5, 127)};
  const std::vector<std::uint8_t> expected = ChainReference(data);
  std::map<std::string, double> wrong;
  for (const PeerMaker& maker : BuiltPeers()) {
    const Peer peer = maker.make(data);
    peer.new_weights();
    peer.pass();
    const std::vector<std::uint8_t> output = peer.output();
    std::size_t count = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (std::abs(int{output[i]} - int{expected[i]}) > kLayerTolerance) ++count;
    }
    wrong[peer.name] = static_cast<double>(count) / static_cast<double>(expected.size());
  }
  return wrong;
}

Row CompareNetwork(const NetworkFiles& files, const std::vector<Shape>& shapes,
                   const kernels::KernelTable& table, std::uint32_t sigma_bits,
                   const TurnOptions& turns) {
  Row row{files.name, 0, {}, 0, {}};
  std::vector<LayerData> data;
  std::vector<std::unique_ptr<Mu8Layer>> layers;
  for (const Shape& shape : shapes) {
    row.macs += shape.macs();
    data.push_back(MakeLayerData(shape, 4 + static_cast<std::uint32_t>(data.size())));
    layers.push_back(std::make_unique<Mu8Layer>(data.back(), table, sigma_bits));
  }
  row.sides["mu8"].kernels = {table.name};
  CheckNetwork(&row, files.bayesian, table);
  Network bayesian(files.bayesian, {.mc_samples = kPasses, .kernels = SetOf(table)});
  std::vector<Timed> timed = {
      {"mu8", "both", [&bayesian] { bayesian.Run(); }, static_cast<double>(kPasses)},
      {"mu8", "weights", [&layers] {
         for (const auto& layer : layers) layer->Sample();
       }}};
  std::unique_ptr<Network> moments, deterministic;
  if (bayesian.file.model.has_moments()) {
    CheckNetwork(&row, files.bayesian, table, Method::kMoments);
    moments = std::make_unique<Network>(
        files.bayesian, SessionOptions{.kernels = SetOf(table), .method = Method::kMoments});
    timed.push_back({"mu8", kMoments, [&moments] { moments->Run(); }});
  }
  if (!files.deterministic.empty()) {
    CheckNetwork(&row, files.deterministic, table);
    deterministic = std::make_unique<Network>(
        files.deterministic, SessionOptions{.mc_samples = 1, .kernels = SetOf(table)});
    timed.push_back({"mu8", "compute", [&deterministic] { deterministic->Run(); }});
  }
  AddPeers(data, ChainReference(data), &row, &timed);
  TimeAll(&row, timed, turns);
  return row;
}

}  // namespace mu8::bench
