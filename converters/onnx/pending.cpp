#include "converters/onnx/pending.h"

#include <utility>

namespace mu8::convert {

inline constexpr std::size_t kMostText = 120;  // characters of a function's text

TermIndex FunctionOf(const Activation& activation) {
  return activation.pending == nullptr ? kArgument : activation.pending->function;
}

std::string TextOf(const Activation& activation) {
  return activation.pending == nullptr ? "x" : activation.pending->text;
}

void SetPending(OnnxImporter* importer, const OnnxNode& node, Activation activation,
                TermIndex function, std::string text) {
  // Only people read it.
  if (text.size() > kMostText) text = node.op + "(...)";
  activation.pending = std::make_shared<Pending>(Pending{.function = function,
                                                         .text = std::move(text),
                                                         .node_name = node.name,
                                                         .output_name = OutputName(node, 0),
                                                         .end = FunctionEnd::kOther,
                                                         .inner = {}});
  activation.is_shared = false;
  importer->activations[OutputName(node, 0)] = std::move(activation);
}

void Compose(OnnxImporter* importer, const OnnxNode& node, Activation input, Function function,
             const FunctionText& text) {
  if (importer->expressions.Count(FunctionOf(input)) >= kMostTerms) Materialize(importer, &input);
  const TermIndex composed = importer->expressions.Add(std::move(function), FunctionOf(input));
  const std::string argument = TextOf(input);
  const std::shared_ptr<Pending> inner = input.pending;
  SetPending(importer, node, std::move(input), composed, text(argument));
  Pending& pending = *importer->activations[OutputName(node, 0)].pending;
  pending.end = node.op == "Sigmoid"    ? FunctionEnd::kSigmoid
                : node.op == "Exp"      ? FunctionEnd::kExp
                : node.op == "Softplus" ? FunctionEnd::kSoftplus
                                        : FunctionEnd::kOther;
  pending.inner = inner;
}

}  // namespace mu8::convert
