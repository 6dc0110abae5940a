#include "converters/network/steps.h"

#include <cmath>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// Operators whose result the engine clamps before it is stored.
bool ClampsResult(Op op) {
  switch (op) {
    case Op::kConv2d:
    case Op::kDense:
    case Op::kAdd:
    case Op::kMultiply:
    case Op::kMaxPool:
    case Op::kAveragePool:
      return true;
    case Op::kAffine:
    case Op::kClip:
    case Op::kLookup:
    case Op::kConcat:
    case Op::kSlice:
    case Op::kConvTranspose:
    case Op::kGather:
    case Op::kMaximum:
    case Op::kMinimum:
    case Op::kConstant:
      break;
  }
  return false;
}

class StepMaker {
 public:
  explicit StepMaker(const Network& network)
      : network_(network),
        consumers_(AllConsumers(network)),
        producer_(network.values.size(), -1),
        fused_(network.nodes.size(), -1),
        is_term_(network.nodes.size(), 0) {
    for (std::size_t i = 0; i < network.nodes.size(); ++i) {
      producer_[static_cast<std::size_t>(network.nodes[i].output)] = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < network.nodes.size(); ++i) FuseAdd(static_cast<int>(i));
  }

  std::vector<Step> Make() {
    std::vector<Step> steps;
    std::vector<bool> done(network_.nodes.size(), false);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      if (done[i] || IsTerm(static_cast<int>(i))) continue;
      Step step = MakeStep(static_cast<int>(i));
      FuseClip(&step);
      if (step.clip >= 0) done[static_cast<std::size_t>(step.clip)] = true;
      steps.push_back(step);
    }
    return steps;
  }

 private:
  const Node& NodeAt(int index) const { return network_.nodes[static_cast<std::size_t>(index)]; }
  const Value& ValueAt(int index) const { return network_.values[static_cast<std::size_t>(index)]; }
  const std::vector<int>& Consumers(int value) const {
    return consumers_[static_cast<std::size_t>(value)];
  }

  // Whether a convolution is run as part of a sum.
  bool IsTerm(int index) const { return is_term_[static_cast<std::size_t>(index)] != 0; }

  // The later of the two terms that is a convolution nobody else reads; the other term is then its
  // residual, computed before the sum in any case.
  void FuseAdd(int index) {
    const Node& add = NodeAt(index);
    if (add.op != Op::kAdd || add.inputs[0] == add.inputs[1]) return;
    if (!SameShape(ValueAt(add.inputs[0]), ValueAt(add.inputs[1]))) return;
    int latest = -1;
    for (const int input : add.inputs) {
      const int term = producer_[static_cast<std::size_t>(input)];
      if (term <= latest || NodeAt(term).op != Op::kConv2d || input == network_.output) continue;
      if (Consumers(input).size() == 1) latest = term;
    }
    fused_[static_cast<std::size_t>(index)] = latest;
    if (latest >= 0) is_term_[static_cast<std::size_t>(latest)] = 1;
  }

  Step MakeStep(int index) const {
    const Node& node = NodeAt(index);
    const int term = fused_[static_cast<std::size_t>(index)];
    if (term < 0) {
      return {.node = index,
              .spatial = IsSpatial(node),
              .input = node.inputs[0],
              .input2 = node.inputs.size() > 1 ? node.inputs[1] : -1,
              .output = node.output};
    }
    const Node& conv = NodeAt(term);
    const int other = node.inputs[0] == conv.output ? node.inputs[1] : node.inputs[0];
    return {.node = term,
            .add = index,
            .input = conv.inputs[0],
            .input2 = other,
            .output = node.output};
  }

  void FuseClip(Step* step) const {
    if (!ClampsResult(NodeAt(step->node).op) || step->output == network_.output) return;
    const std::vector<int>& consumers = Consumers(step->output);
    if (consumers.size() != 1 || NodeAt(consumers[0]).op != Op::kClip) return;
    step->clip = consumers[0];
    step->output = NodeAt(step->clip).output;
  }

  // A dense layer whose input has physical padding, because a convolution reads it, too.
  bool IsSpatial(const Node& node) const {
    if (node.op != Op::kDense) return false;
    for (const int consumer : Consumers(node.inputs[0])) {
      const Window padding = ReadPadding(network_, NodeAt(consumer));
      if ((padding.pad_top | padding.pad_bottom | padding.pad_left | padding.pad_right) != 0) {
        return true;
      }
    }
    return false;
  }

  const Network& network_;
  std::vector<std::vector<int>> consumers_;
  std::vector<int> producer_;  // by value: the node that writes it, -1 for the input
  std::vector<int> fused_;     // by kAdd: the convolution that it is computed with, or -1
  std::vector<char> is_term_;  // by node
};

// Rows or columns that a convolution reads past the input's end.
int PadAfter(int out, int in, int kernel, int stride, int dilation, int pad) {
  const int after = (out - 1) * stride + (kernel - 1) * dilation + 1 - pad - in;
  return after > 0 ? after : 0;
}

}  // namespace

Window ReadPadding(const Network& network, const Node& node) {
  Window padding;
  if (node.op != Op::kConv2d) return padding;
  const Value& in = network.values[static_cast<std::size_t>(node.inputs[0])];
  const Value& out = network.values[static_cast<std::size_t>(node.output)];
  const Window& w = node.window;
  padding.pad_top = w.pad_top;
  padding.pad_left = w.pad_left;
  padding.pad_bottom =
      PadAfter(out.height, in.height, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top);
  padding.pad_right =
      PadAfter(out.width, in.width, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left);
  return padding;
}

std::vector<Step> MakeSteps(const Network& network) {
  std::vector<Step> steps = StepMaker(network).Make();
  const std::vector<std::vector<int>> consumers = AllConsumers(network);
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Node& node = network.nodes[static_cast<std::size_t>(steps[i].node)];
    const bool last = i + 1 == steps.size();
    if (!last && steps[i].output == network.output) {
      problems.push_back("node '" + node.name + "' writes the output, but other nodes follow it");
    } else if (!last && consumers[static_cast<std::size_t>(steps[i].output)].empty()) {
      problems.push_back("node '" + node.name + "': nothing reads its output");
    } else if (last && (!IsWeighted(node.op) || steps[i].output != node.output ||
                        node.output != network.output)) {
      problems.push_back("node '" + node.name + "' (" + OpName(node.op) +
                         ") is the last; the logits must come from a convolution or dense layer");
    }
  }
  if (steps.empty()) problems.push_back("the network has no layers");
  if (!problems.empty()) throw host::Error(problems);
  return steps;
}

std::string Describe(const Network& network, const Step& step) {
  const Node& node = network.nodes[static_cast<std::size_t>(step.node)];
  std::string text = node.op == Op::kLookup ? node.function_name : OpName(node.op);
  if (step.add >= 0) text += " + Add";
  if (step.clip >= 0) {
    const Node& clip = network.nodes[static_cast<std::size_t>(step.clip)];
    const bool relu = clip.low == 0.0F && std::isinf(clip.high);
    text += relu ? " + ReLU" : " + Clip";
  }
  return text;
}

}  // namespace mu8::convert
