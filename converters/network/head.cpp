#include "converters/network/head.h"

#include "converters/host/error.h"

namespace mu8::convert {

void MustBeSoftmax(Head head, const std::string& where, const std::string& what) {
  if (head == Head::kSoftmax) return;
  throw host::Error(where + ": its outputs are " +
                    (head == Head::kSigmoid ? "labels, each true or not (head sigmoid)"
                                            : "numbers (head values)") +
                    "; " + what + " compares probabilities of classes only. mu8 predict takes it");
}

std::string ResolveHead(std::optional<Head> given, Network* network,
                        std::vector<std::string>* notices, std::vector<std::string>* problems) {
  const HeadHint& hint = network->head_hint;
  const std::size_t outputs = network->values[static_cast<std::size_t>(network->output)].size();
  const std::string count = std::to_string(outputs);
  if (given && hint.head && *given != *hint.head) {
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
      notices->push_back("the model does not say what its " + count +
                         " outputs are: taken for the logits of classes that exclude each other "
                         "(give --head softmax, or --head sigmoid for labels each true or not, "
                         "or --head values for numbers)");
    }
  }
  if (network->head != Head::kValues && !hint.probabilities.empty()) {
    problems->push_back(hint.probabilities + " gives numbers between 0 and 1: head " +
                        HeadName(network->head) + " (" + why +
                        ") would take them for scores. Export the network so that it ends in that "
                        "Sigmoid, or before it; or give --head values");
  }
  if (network->head == Head::kSoftmax && outputs == 1) {
    problems->push_back("a softmax over one output is 1 whatever the input (" + why +
                        "): train it with a sigmoid, or give --head sigmoid or --head values if "
                        "that is what the output is");
  }
  return why;
}

}  // namespace mu8::convert
