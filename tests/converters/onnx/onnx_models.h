// Small models and queries that the importer's tests share.
#pragma once

#include "tests/converters/onnx/onnx_builder.h"

namespace mu8::convert::testing {

inline std::vector<std::string> Problems(const OnnxBuilder& builder,
                                         const Posterior& posterior = {}) {
  return ProblemsOf([&] { builder.Import(posterior); });
}

inline SigmaArray Sigma(std::vector<std::size_t> shape, Floats values) {
  return {.shape = std::move(shape), .values = std::move(values)};
}

inline const Value& ValueAt(const Network& network, int index) {
  return network.values[static_cast<std::size_t>(index)];
}

// Name of each node's operator, in order: "Conv2d Clip Dense".
inline std::string Ops(const Network& network) {
  std::string ops;
  for (const Node& node : network.nodes)
    ops += (ops.empty() ? "" : " ") + std::string(OpName(node.op));
  return ops;
}

inline std::vector<int> ShapeOf(const Network& network, int value) {
  const Value& v = ValueAt(network, value);
  return {v.height, v.width, v.channels};
}

// Input "x" -> "conv" (attributes to be added) -> "c".
inline OnnxBuilder ConvModel(const Dims& input, const Dims& weights, const Floats& values) {
  OnnxBuilder builder(input);
  builder.Initializer("w", weights, values);
  builder.Node("Conv", "conv", {"x", "w"}, {"c"});
  return builder;
}

// Ends a model whose last tensor is (N, C, H, W) "c" with a global pool and Flatten; the importer
// adds the identity that a graph without a last layer gets.
inline OnnxBuilder& Finish(OnnxBuilder* builder) {
  return builder->Node("GlobalAveragePool", "pool", {"c"}, {"pooled"})
      .Node("Flatten", "flatten", {"pooled"}, {"y"});
}

// (0, F) input, one Gemm "fc" of `outputs` x F weights counting from 0.
inline OnnxBuilder GemmModel(std::int64_t inputs, std::int64_t outputs) {
  OnnxBuilder builder({0, inputs});
  builder.Initializer("w", {outputs, inputs}, Count(static_cast<std::size_t>(outputs * inputs)));
  builder.Node("Gemm", "fc", {"x", "w"}, {"y"}).Int("transB", 1);
  return builder;
}

inline OnnxBuilder BatchNormModel(std::int64_t opset = 13) {
  OnnxBuilder builder({0, 2, 1, 1}, opset);
  builder.Initializer("w", {2, 2, 1, 1}, {1, 2, 3, 4}).Initializer("b", {2}, {1, -1});
  builder.Initializer("gamma", {2}, {2, -3}).Initializer("beta", {2}, {0.5f, 1});
  builder.Initializer("mean", {2}, {1, 2}).Initializer("var", {2}, {3.75f, 8.75f});
  builder.Node("Conv", "conv", {"x", "w", "b"}, {"v"});
  builder.Node("BatchNormalization", "bn", {"v", "gamma", "beta", "mean", "var"}, {"c"})
      .Float("epsilon", 0.25f);
  Finish(&builder);
  return builder;
}

}  // namespace mu8::convert::testing
