// What a network's outputs are: who says it, and when it is asked for.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "converters/network/head.h"
#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

struct Resolved {
  Network network;
  std::string why;
  std::vector<std::string> notices, problems;
};

// A dense layer of `outputs`, behind it a node `last` unless empty; metadata "head" and labels.
Resolved Resolve(int outputs, const std::string& last, std::optional<Head> given = std::nullopt,
                 const std::string& metadata = {}, const std::string& labels = {}) {
  OnnxBuilder builder({0, 2});
  builder.Initializer("w", {2, outputs}, Count(static_cast<std::size_t>(2 * outputs)));
  builder.Node("MatMul", "fc", {"x", "w"}, {last.empty() ? "y" : "z"});
  if (!last.empty()) builder.Node(last, "last", {"z"}, {"y"});
  if (!metadata.empty()) builder.Metadata("head", metadata);
  if (!labels.empty()) builder.Metadata("labels", labels);
  Resolved resolved;
  resolved.network = builder.Import();
  resolved.why = ResolveHead(given, &resolved.network, &resolved.notices, &resolved.problems);
  return resolved;
}

TEST_CASE("head: the graph's last node says it, and is left to the engine") {
  for (const char* softmax : {"Softmax", "LogSoftmax"}) {
    const Resolved resolved = Resolve(3, softmax);
    CHECK(resolved.network.head == Head::kSoftmax);
    CHECK(resolved.why == std::string("the graph ends in ") + softmax);
    CHECK(resolved.notices.empty());
    CHECK(Ops(resolved.network) == "Dense");
  }
  for (const int outputs : {1, 3}) {
    const Resolved resolved = Resolve(outputs, "Sigmoid");
    CHECK(resolved.network.head == Head::kSigmoid);
    CHECK(resolved.problems.empty());
    CHECK(resolved.notices.empty());
    CHECK(Ops(resolved.network) == "Dense");
  }
  // A Sigmoid is one whatever stands before it.
  OnnxBuilder averaged({0, 2});
  averaged.Initializer("w", {2, 3}, Count(6)).Initializer("half", {}, {0.5F});
  averaged.Node("MatMul", "a", {"x", "w"}, {"a"}).Node("Tanh", "t", {"a"}, {"t"});
  averaged.Node("Mul", "m", {"t", "half"}, {"m"}).Node("Sigmoid", "s", {"m"}, {"y"});
  Network network = averaged.Import();
  CHECK(network.head_hint.head == Head::kSigmoid);
  CHECK(Ops(network) == "Dense Lookup Conv2d");
  CHECK(network.nodes[1].function(2.0) == doctest::Approx(0.5 * std::tanh(2.0)));
  // Another function of the scores is part of the network.
  CHECK(Ops(Resolve(3, "Tanh", Head::kValues).network) == "Dense Lookup Conv2d");
}

TEST_CASE("head: probabilities that the graph makes in other words are no scores") {
  const auto resolve = [](const std::function<void(OnnxBuilder&)>& add, std::optional<Head> given) {
    OnnxBuilder builder({0, 2});
    builder.Initializer("w", {2, 3}, Count(6)).Initializer("one", {}, {1});
    builder.Initializer("low", {}, {0.001F}).Initializer("high", {}, {0.999F});
    builder.Node("MatMul", "a", {"x", "w"}, {"a"});
    add(builder);
    Network network = builder.Import();
    std::vector<std::string> notices, problems;
    ResolveHead(given, &network, &notices, &problems);
    return problems;
  };
  const auto clipped = [](OnnxBuilder& builder) {
    builder.Node("Sigmoid", "s", {"a"}, {"s"}).Node("Clip", "c", {"s", "low", "high"}, {"y"});
  };
  const auto joined = [](OnnxBuilder& builder) {
    builder.Node("Sigmoid", "s", {"a"}, {"s"}).Node("Neg", "n", {"a"}, {"n"});
    builder.Node("Concat", "c", {"n", "s"}, {"y"}).Int("axis", 1);
  };
  const auto spelled = [](OnnxBuilder& builder) {
    builder.Node("Neg", "n", {"a"}, {"n"}).Node("Exp", "e", {"n"}, {"e"});
    builder.Node("Add", "p", {"e", "one"}, {"p"}).Node("Div", "d", {"one", "p"}, {"y"});
  };
  const auto hard = [](OnnxBuilder& builder) { builder.Node("HardSigmoid", "h", {"a"}, {"y"}); };
  int refused = 0;
  for (const std::function<void(OnnxBuilder&)>& add :
       std::vector<std::function<void(OnnxBuilder&)>>{clipped, joined, spelled, hard}) {
    CAPTURE(refused);
    for (const std::optional<Head> head :
         {std::optional<Head>(), std::optional(Head::kSigmoid), std::optional(Head::kSoftmax)}) {
      CheckOneProblem(resolve(add, head), {"gives numbers between 0 and 1", "--head values"});
    }
    CHECK(resolve(add, Head::kValues).empty());
    ++refused;
  }
  CHECK(refused == 4);
  // Softmax of them is what the graph says; other functions make no probabilities.
  const auto softmax = [&](OnnxBuilder& builder) {
    builder.Node("Sigmoid", "s", {"a"}, {"s"}).Node("Softmax", "m", {"s"}, {"y"});
  };
  CHECK(resolve(softmax, std::nullopt).empty());
  for (const char* op : {"Tanh", "Relu", "Softplus", "Neg"}) {
    CHECK(resolve([&](OnnxBuilder& b) { b.Node(op, "f", {"a"}, {"y"}); }, std::nullopt).empty());
  }
}

TEST_CASE("head: what is said twice must be the same") {
  CHECK(Resolve(3, "Softmax", Head::kSoftmax).problems.empty());
  CHECK(Resolve(3, "Sigmoid", std::nullopt, "sigmoid").problems.empty());
  CheckOneProblem(Resolve(3, "Softmax", Head::kSigmoid).problems,
                  {"--head sigmoid contradicts", "ends in Softmax"});
  CheckOneProblem(Resolve(2, "Sigmoid", Head::kGaussian).problems,
                  {"--head gaussian contradicts", "ends in Sigmoid"});
  CheckOneProblem(ProblemsOf([] { Resolve(3, "Softmax", std::nullopt, "values"); }),
                  {"metadata \"head\": values, but the graph ends in Softmax"});
  CheckOneProblem(ProblemsOf([] { Resolve(3, "", std::nullopt, "regression"); }),
                  {"\"regression\" is none of softmax, sigmoid, values, gaussian and"});
  CheckOneProblem(Resolve(3, "", Head::kValues, "sigmoid").problems,
                  {"--head values contradicts", "metadata"});
}

TEST_CASE("head: a Sigmoid at the end stays where its values are numbers") {
  const std::size_t layers = Resolve(3, "", Head::kValues).network.nodes.size();
  CHECK(Resolve(3, "Sigmoid").network.nodes.size() == layers);
  for (const Resolved& resolved :
       {Resolve(3, "Sigmoid", Head::kValues), Resolve(3, "Sigmoid", std::nullopt, "values"),
        Resolve(3, "Sigmoid", Head::kValues, "values")}) {
    CHECK(resolved.problems.empty());
    const Network& network = resolved.network;
    CHECK(network.head == Head::kValues);
    CHECK(resolved.why.find("Sigmoid at the graph's end") != std::string::npos);
    REQUIRE(network.nodes.size() == layers + 2);
    const Node& sigmoid = network.nodes[layers];
    CHECK(sigmoid.op == Op::kLookup);
    CHECK(sigmoid.function(0.0) == 0.5);
    CHECK(network.nodes.back().inputs == std::vector<int>{sigmoid.output});
    CHECK(network.nodes.back().output == network.output);
  }
  CheckOneProblem(Resolve(3, "Sigmoid", Head::kSigmoid, "values").problems,
                  {"--head sigmoid contradicts", "metadata"});
}

TEST_CASE("head: the end of the scales is taken off where the graph joins them itself") {
  const auto resolve = [](const std::string& last, Scale scale, Network* network) {
    OnnxBuilder builder({0, 2});
    builder.Initializer("w", {2, 1}, Count(2)).Initializer("v", {2, 1}, Count(2));
    builder.Node("MatMul", "a", {"x", "w"}, {"m"}).Node("MatMul", "b", {"x", "v"}, {"r"});
    builder.Node(last, "last", {"r"}, {"s"}).Node("Concat", "join", {"m", "s"}, {"y"});
    builder.Int("axis", 1);
    *network = builder.Import();
    std::vector<std::string> notices, problems;
    ResolveOutputs({.head = Head::kGaussian, .scale = scale}, network, &notices, &problems);
    return problems;
  };
  Network network;
  CHECK(resolve("Exp", Scale::kVariance, &network).empty());
  CHECK(Ops(network) == "Dense Dense Concat Conv2d");
  CHECK(network.scale_form == format::ScaleForm::kLogVariance);
  CHECK(resolve("Softplus", Scale::kDeviation, &network).empty());
  CHECK(Ops(network) == "Dense Dense Concat Conv2d");
  CHECK(network.scale_form == format::ScaleForm::kSoftplus);
  CheckOneProblem(resolve("Exp", Scale::kLogVariance, &network),
                  {"--scale log-variance", "ends in Exp or Softplus"});
  CheckOneProblem(resolve("Tanh", Scale::kVariance, &network), {"ends in no Exp or Softplus"});
}

TEST_CASE("head: one output is asked about, several are taken for classes with a notice") {
  CheckOneProblem(Resolve(1, "").problems, {"--head values", "--head sigmoid"});
  for (const Head head : {Head::kValues, Head::kSigmoid}) {
    const Resolved resolved = Resolve(1, "", head);
    CHECK(resolved.problems.empty());
    CHECK(resolved.network.head == head);
    CHECK(resolved.why == "--head says so");
  }
  CheckOneProblem(Resolve(1, "", Head::kSoftmax).problems, {"one output is 1 whatever the input"});
  CheckOneProblem(Resolve(1, "Softmax").problems,
                  {"one output is 1 whatever the input", "export it without the Softmax"});

  const Resolved assumed = Resolve(3, "");
  CHECK(assumed.network.head == Head::kSoftmax);
  REQUIRE(assumed.notices.size() == 1);
  CHECK(assumed.notices[0].find("--head") != std::string::npos);
  const Resolved named = Resolve(3, "", std::nullopt, "", "a\nb\nc");
  CHECK(named.network.head == Head::kSoftmax);
  CHECK(named.notices.empty());
  CHECK(named.why == "the model names its 3 classes");
  CHECK(Resolve(3, "", std::nullopt, "values", "a\nb\nc").network.head == Head::kValues);
}

}  // namespace
}  // namespace mu8::convert
