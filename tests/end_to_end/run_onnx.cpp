// run_onnx MODEL.onnx INPUT OUTPUT [POSTERIOR [--draw]]: imports, folds and merges MODEL, runs it
// in FP32 on raw NHWC floats and writes the raw logits. With a posterior its sigmas stand in for
// the means that they belong to, so that a sigma in a wrong place shows; with --draw behind it each
// weight is one deviation above its mean, a draw. test_onnx_graphs.py compares with PyTorch's,
// graphs_beside_onnxruntime.py with onnxruntime's.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "converters/fp32/executor.h"
#include "converters/host/bytes.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/network/fold_affine.h"
#include "converters/network/merge_slices.h"
#include "converters/network/transposed.h"
#include "converters/onnx/import.h"

namespace {

void TakeSigmas(const mu8::convert::Network& network, mu8::convert::SampledWeights* weights) {
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const mu8::convert::Node& node = network.nodes[i];
    if (!node.weights.sigma.empty()) weights->weights[i] = node.weights.sigma;
    if (!node.bias.sigma.empty()) weights->biases[i] = node.bias.sigma;
  }
}

void AddSigmas(mu8::convert::Network* network) {
  for (mu8::convert::Node& node : network->nodes) {
    for (mu8::convert::GaussianTensor* tensor : {&node.weights, &node.bias}) {
      for (std::size_t i = 0; i < tensor->sigma.size(); ++i) tensor->mu[i] += tensor->sigma[i];
      tensor->sigma.clear();
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace mu8;
  using namespace mu8::convert;
  if (argc < 4 || argc > 6) {
    return std::fputs("usage: run_onnx MODEL.onnx INPUT OUTPUT [POSTERIOR [--draw]]\n", stderr), 2;
  }
  const bool draws = argc == 6 && std::string(argv[5]) == "--draw";
  Network network = ImportWithPosterior(argv[1], argc > 4 ? argv[4] : "");
  if (draws) AddSigmas(&network);  // before signs of folded scales are lost
  FoldAffine(&network);
  ExpandTransposed(&network);
  MergeSlices(&network);
  CheckParameters(network);
  const std::vector<std::uint8_t> bytes = host::ReadRawFile(argv[2], "an array", 1 << 28);
  const std::vector<float> input = host::LoadFloats(bytes, host::FloatFormat::kFloat32);
  const std::size_t size = network.values[static_cast<std::size_t>(network.input)].size();
  const std::size_t batch = input.size() / size;
  if (batch * size != input.size()) throw host::Error("input does not hold whole images");
  Fp32Executor executor(network, static_cast<int>(batch), false);
  SampledWeights weights;
  MeanWeights(network, &weights);
  if (argc > 4 && !draws) TakeSigmas(network, &weights);
  executor.SetWeights(weights);
  executor.Run(input.data());
  std::FILE* file = std::fopen(argv[3], "wb");
  const std::size_t count = batch * network.values[static_cast<std::size_t>(network.output)].size();
  if (file == nullptr ||
      std::fwrite(executor.value(network.output), sizeof(float), count, file) != count ||
      std::fclose(file) != 0) {
    throw host::Error(std::string(argv[3]) + ": cannot be written");
  }
  for (const Node& node : network.nodes) std::printf("%s ", OpName(node.op));
  std::printf("\n");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
