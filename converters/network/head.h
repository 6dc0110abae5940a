// What a network's outputs are: said by its file, by the user, or asked for. Never guessed in
// silence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

// Sets network->head from what the user says (`given`), what the graph's end or metadata says, or
// its labels, and returns why it is that ("--head says so"). Adds a notice where it follows from
// nothing but the number of outputs, and a problem where two of them contradict each other, where a
// softmax would have one output, and where one output says nothing of itself.
std::string ResolveHead(std::optional<Head> given, Network* network,
                        std::vector<std::string>* notices, std::vector<std::string>* problems);

// Throws Error unless `head` is a softmax: `where` is the file, `what` the work that only classes
// have so far ("mu8 eval").
void MustBeSoftmax(Head head, const std::string& where, const std::string& what);

}  // namespace mu8::convert
