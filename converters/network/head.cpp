#include "converters/network/head.h"

#include <algorithm>
#include <cmath>

#include "converters/host/probabilities.h"
#include "converters/host/words.h"

namespace mu8::convert {
namespace {

// Calls visit(parameter) for every weight and bias, and each's sigma, of rows [first, last) of the
// layer that makes the outputs.
template <typename Visit>
void ForRows(Network* network, std::size_t first, std::size_t last, const Visit& visit) {
  for (Node& node : network->nodes) {
    if (node.output != network->output) continue;
    const auto rows =
        static_cast<std::size_t>(network->values[static_cast<std::size_t>(node.output)].channels);
    for (std::vector<float>* values : {&node.weights.mu, &node.weights.sigma, &node.bias.mu,
                                       &node.bias.sigma, &node.scale, &node.offset}) {
      const std::size_t size = values->size() / rows;
      for (std::size_t i = first * size; i < last * size; ++i) visit(i / size, &(*values)[i]);
    }
  }
}

// The biases of the output layer, made if it has none.
std::vector<float>* OutputBias(Network* network) {
  for (Node& node : network->nodes) {
    if (node.output != network->output) continue;
    const auto rows =
        static_cast<std::size_t>(network->values[static_cast<std::size_t>(node.output)].channels);
    if (node.op == Op::kAffine) return &node.offset;
    node.bias.mu.resize(rows, 0.0F);
    return &node.bias.mu;
  }
  return nullptr;
}

// Numbers that are a Sigmoid's own values: the graph's end, which the import took off for the sake
// of labels, is put back as a table of 8 bits, and a layer of ones behind it gives the outputs.
void RestoreSigmoid(Network* network) {
  const auto add_value = [&](const char* what) {
    Value value = network->values[static_cast<std::size_t>(network->output)];
    value.name += what;
    network->values.push_back(std::move(value));
    return static_cast<int>(network->values.size() - 1);
  };
  Node sigmoid{.op = Op::kLookup, .name = "Sigmoid"};
  sigmoid.inputs = {network->output};
  sigmoid.output = add_value("/sigmoid");
  sigmoid.function = host::Sigmoid;
  sigmoid.function_name = "Sigmoid";
  Node ones{.op = Op::kConv2d, .name = "Sigmoid/identity"};
  ones.inputs = {sigmoid.output};
  ones.output = add_value("/identity");
  ones.groups = network->values[static_cast<std::size_t>(network->output)].channels;
  ones.weights.mu.assign(static_cast<std::size_t>(ones.groups), 1.0F);
  network->output = ones.output;
  network->nodes.push_back(std::move(sigmoid));
  network->nodes.push_back(std::move(ones));
}

std::string WhyNotScale(Scale scale, ScaleEnd end) {
  const bool is_number = scale == Scale::kVariance || scale == Scale::kDeviation;
  if (end == ScaleEnd::kNone) {
    return is_number ? "its second half of outputs ends in no Exp or Softplus, so it can be "
                       "negative: no variance or deviation; say log-variance, log-deviation or "
                       "softplus if it is that, or export the network so that it ends in one of "
                       "them, with nothing behind it such as + 1e-6"
                     : "";
  }
  if (!is_number) return "the graph's scale ends in Exp or Softplus: say variance or deviation";
  if (end == ScaleEnd::kSoftplus && scale == Scale::kVariance) {
    return "a variance that is a softplus has no form in the file (log-variance, or a deviation "
           "that is a softplus)";
  }
  return "";
}

bool IsNameOfScale(const std::string& name) {
  const std::string lower = host::ToLower(name);
  const auto has = [&](const char* part) { return lower.find(part) != std::string::npos; };
  return lower == "var" || has("variance") || has("logvar") || has("log_var") || has("sigma") ||
         has("std") || has("deviation") || has("scale");
}

// Two outputs joined the wrong way round, by their names; or empty.
std::string WhyNotOrder(const std::vector<std::string>& joined) {
  if (joined.size() != 2 || !IsNameOfScale(joined[0]) || IsNameOfScale(joined[1])) return {};
  return "head gaussian: the means come first, but the first of the joined outputs is called \"" +
         joined[0] + "\", the second \"" + joined[1] + "\": give --output-name " + joined[1] + "," +
         joined[0];
}

// The node that writes a value, if it is the only one and one other reads it; or nullptr.
Node* WriterOf(Network* network, int value) {
  if (network->Consumers(value).size() > 1) return nullptr;
  const auto found = std::ranges::find(network->nodes, value, &Node::output);
  return found == network->nodes.end() ? nullptr : &*found;
}

// A graph that joins means and scales itself, the scales behind an Exp or Softplus: this is taken
// off, as at the end of an output of its own.
void TakeScaleEnd(Network* network) {
  const auto channels = [&](int value) {
    return network->values[static_cast<std::size_t>(value)].channels;
  };
  const Node* const copy = WriterOf(network, network->output);  // what stands for a layer
  if (copy == nullptr || copy->op != Op::kConv2d || copy->groups != channels(network->output) ||
      !copy->bias.mu.empty() ||
      std::ranges::any_of(copy->weights.mu, [](float weight) { return weight != 1.0F; })) {
    return;
  }
  Node* const concat = WriterOf(network, copy->inputs[0]);
  if (concat == nullptr || concat->op != Op::kConcat) return;
  const Node* const end = WriterOf(network, concat->inputs.back());
  if (end == nullptr || end->op != Op::kLookup || !end->functions.empty() ||
      2 * channels(end->output) != channels(network->output)) {
    return;
  }
  if (end->function_name != "Exp" && end->function_name != "Softplus") return;
  network->scale_end = end->function_name == "Exp" ? ScaleEnd::kExp : ScaleEnd::kSoftplus;
  concat->inputs.back() = end->inputs[0];
  DropUnread(network);
}

// A reconstruction has the shape of the input, or its numbers one behind the other in the same
// order.
void CheckReconstruction(const Network& network, std::vector<std::string>* problems) {
  if (network.head != Head::kReconstruction) return;
  const Value& input = network.values[static_cast<std::size_t>(network.input)];
  const Value& output = network.values[static_cast<std::size_t>(network.output)];
  if (SameShape(input, output)) return;
  const bool flat = output.height == 1 && output.width == 1;
  const bool one_order = input.channels == 1 || input.height * input.width == 1 ||
                         network.input_layout == "nhwc" || network.input_layout == "nwc";
  if (flat && input.size() == output.size() && one_order) return;
  problems->push_back("head reconstruction: the outputs are " + ShapeText(output) +
                      ", the input is " + ShapeText(input) +
                      ": expected the same shape, or as many numbers in the same order (height, "
                      "width, channels)");
}

// Sets network->scale_form.
void ResolveScale(std::optional<Scale> given, Network* network,
                  std::vector<std::string>* problems) {
  if (network->head != Head::kGaussian) {
    if (given) problems->push_back("--scale belongs to --head gaussian");
    if (network->scale_end != ScaleEnd::kNone) {
      problems->push_back(
          "the last of the joined outputs ends in Exp or Softplus, as the scale of a gaussian "
          "does, "
          "but the head is " +
          std::string(HeadName(network->head)) + ": give --head gaussian, or one output alone");
    }
    return;
  }
  const int channels = network->values[static_cast<std::size_t>(network->output)].channels;
  if (channels % 2 != 0) {
    problems->push_back("head gaussian: the network has " + std::to_string(channels) +
                        " outputs, expected a mean and a scale for each number: first all means, "
                        "then all scales");
    return;
  }
  if (const std::string why = WhyNotOrder(network->joined); !why.empty()) {
    problems->push_back(why);
    return;
  }
  if (network->scale_end == ScaleEnd::kNone) TakeScaleEnd(network);
  if (!given) {
    problems->push_back(
        "head gaussian: the model does not say what its second half of outputs is: give --scale "
        "log-variance, log-deviation or softplus (the deviation is the softplus of it), or where "
        "the graph ends in Exp or Softplus, variance or deviation");
    return;
  }
  const std::string why = WhyNotScale(*given, network->scale_end);
  if (!why.empty()) {
    problems->push_back("--scale " + ScaleNames()[static_cast<std::size_t>(*given)] + ": " + why);
    return;
  }
  const bool softplus = *given == Scale::kSoftplus || network->scale_end == ScaleEnd::kSoftplus;
  network->scale_form = softplus ? format::ScaleForm::kSoftplus : format::ScaleForm::kLogVariance;
  const bool is_log_deviation = *given == Scale::kLogDeviation || *given == Scale::kDeviation;
  if (softplus || !is_log_deviation) return;
  const auto rows = static_cast<std::size_t>(channels);
  ForRows(network, rows / 2, rows, [](std::size_t, float* value) { *value *= 2.0F; });
}

void ScaleOutputs(const std::vector<float>& mean, const std::vector<float>& std, Network* network,
                  std::vector<std::string>* problems) {
  if (mean.empty() && std.empty()) return;
  const Head head = network->head;
  const Value& output = network->values[static_cast<std::size_t>(network->output)];
  const std::size_t outputs =
      static_cast<std::size_t>(output.channels) / (head == Head::kGaussian ? 2 : 1);
  if (head != Head::kValues && head != Head::kGaussian) {
    problems->push_back("--output-mean, --output-std: belong to numbers, the head is " +
                        std::string(HeadName(head)));
    return;
  }
  if (head == Head::kGaussian && !std.empty() &&
      network->scale_form == format::ScaleForm::kSoftplus) {
    problems->push_back(
        "--output-std: a softplus cannot be scaled; leave it out and scale what "
        "comes out of predictions");
    return;
  }
  const auto fits = [outputs](const std::vector<float>& values) {
    return values.size() <= 1 || values.size() == outputs;
  };
  if (!fits(mean) || !fits(std) ||
      std::ranges::any_of(std, [](float value) { return !(value > 0.0F); })) {
    problems->push_back(
        "--output-mean, --output-std: expected one number, or one for each of the " +
        std::to_string(outputs) + " outputs, deviations above zero");
    return;
  }
  const auto at = [](const std::vector<float>& values, std::size_t k, float otherwise) {
    return values.empty() ? otherwise : values[values.size() == 1 ? 0 : k];
  };
  ForRows(network, 0, outputs, [&](std::size_t k, float* value) { *value *= at(std, k, 1.0F); });
  std::vector<float>* bias = OutputBias(network);
  for (std::size_t k = 0; k < outputs; ++k) {
    (*bias)[k] += at(mean, k, 0.0F);
    if (head == Head::kGaussian) (*bias)[outputs + k] += 2.0F * std::log(at(std, k, 1.0F));
  }
}

}  // namespace

const std::vector<std::string>& ScaleNames() {
  static const std::vector<std::string> names = {"log-variance", "log-deviation", "variance",
                                                 "deviation", "softplus"};
  return names;
}

std::optional<Scale> FindScale(std::string_view name) {
  const auto found = std::ranges::find(ScaleNames(), name);
  if (found == ScaleNames().end()) return std::nullopt;
  return static_cast<Scale>(found - ScaleNames().begin());
}

bool TakesSigmoid(Head head) { return head == Head::kValues || head == Head::kReconstruction; }

std::string ResolveHead(std::optional<Head> given, Network* network,
                        std::vector<std::string>* notices, std::vector<std::string>* problems) {
  const HeadHint& hint = network->head_hint;
  // At each position, where there are several.
  const auto outputs =
      static_cast<std::size_t>(network->values[static_cast<std::size_t>(network->output)].channels);
  const std::string count = std::to_string(outputs);
  const std::optional<Head> said = given ? given : hint.head;
  const bool as_numbers = hint.sigmoid_end && said && TakesSigmoid(*said);
  if (given && hint.head && *given != *hint.head && !(as_numbers && hint.head == Head::kSigmoid)) {
    problems->push_back(std::string("--head ") + HeadName(*given) + " contradicts the model: " +
                        hint.why + ", which is " + HeadName(*hint.head));
    return {};
  }
  std::string why;
  if (given) {
    network->head = *given;
    why = "--head says so";
  } else if (hint.head) {
    network->head = *hint.head;
    why = hint.why;
  } else if (outputs == 1) {
    problems->push_back(
        "the model does not say what its one output is, and it is no probability of classes: give "
        "--head values for a number, or --head sigmoid for the logit of one label that is true or "
        "not");
    return {};
  } else {
    network->head = Head::kSoftmax;
    if (network->labels.size() == outputs) {
      why = "the model names its " + count + " classes";
    } else {
      why = "taken for the logits of " + count + " classes, for nothing says otherwise";
      notices->push_back(
          "the model does not say what its " + count +
          " outputs are: taken for the logits of classes that exclude each other "
          "(give --head softmax, or --head sigmoid for labels each true or not, "
          "or --head values for numbers, or --head gaussian for numbers and their scales)");
    }
  }
  if (as_numbers) {
    RestoreSigmoid(network);
    why += "; the outputs are what the Sigmoid at the graph's end gives";
  }
  const bool are_numbers = network->head != Head::kSoftmax && network->head != Head::kSigmoid;
  if (!are_numbers && !hint.probabilities.empty()) {
    problems->push_back(hint.probabilities + " gives numbers between 0 and 1: head " +
                        HeadName(network->head) + " (" + why +
                        ") would take them for scores. Export the network so that it ends in that "
                        "Sigmoid, or before it; or give --head values");
  }
  if (network->head == Head::kSoftmax && outputs == 1) {
    problems->push_back("a softmax over one output is 1 whatever the input (" + why +
                        "): train it with a sigmoid" +
                        (hint.head == Head::kSoftmax
                             ? ", and export it without the Softmax"
                             : ", or give --head sigmoid or --head values if that is what the "
                               "output is"));
  }
  return why;
}

std::string ResolveOutputs(const HeadOptions& options, Network* network,
                           std::vector<std::string>* notices, std::vector<std::string>* problems) {
  const std::size_t before = problems->size();
  std::string why = ResolveHead(options.head, network, notices, problems);
  if (problems->size() == before) ResolveScale(options.scale, network, problems);
  if (problems->size() == before) ScaleOutputs(options.mean, options.std, network, problems);
  if (problems->size() == before) CheckReconstruction(*network, problems);
  return why;
}

}  // namespace mu8::convert
