// What a network's outputs are: said by its file, by the user, or asked for. Never guessed in
// silence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

// Whether a head can have outputs that are a Sigmoid's values, as numbers between 0 and 1.
bool TakesSigmoid(Head head);

// Sets network->head from what the user says (`given`), what the graph's end or metadata says, or
// its labels, and returns why it is that ("--head says so"). Adds a notice where it follows from
// nothing but the number of outputs, and a problem where two of them contradict each other, where a
// softmax would have one output, and where one output says nothing of itself. A Sigmoid that the
// import has taken off the graph's end is put back where the head takes numbers.
std::string ResolveHead(std::optional<Head> given, Network* network,
                        std::vector<std::string>* notices, std::vector<std::string>* problems);

// What the second half of a gaussian's outputs is, as the graph gives it. kSoftplus: the deviation
// is the softplus of it.
enum class Scale { kLogVariance, kLogDeviation, kVariance, kDeviation, kSoftplus };
std::optional<Scale> FindScale(std::string_view name);  // "log-variance", ...
const std::vector<std::string>& ScaleNames();

// What the user says of the outputs.
struct HeadOptions {
  std::optional<Head> head = {};    // nothing: as the ONNX file says
  std::optional<Scale> scale = {};  // of a gaussian
  // Of values and gaussians: predictions are output * std + mean, in the units of these; one number
  // each output, or one for all; empty: 0 and 1.
  std::vector<float> mean = {}, std = {};
};

// ResolveHead, then: sets network->scale_form of a gaussian from what the user says and what the
// graph's end was, so that the file's own forms (FORMAT.md 10.4) mean the same; takes mean and std
// into the last layer. Adds a problem where these do not fit.
std::string ResolveOutputs(const HeadOptions& options, Network* network,
                           std::vector<std::string>* notices, std::vector<std::string>* problems);

}  // namespace mu8::convert
