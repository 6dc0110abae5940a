// What a .mu8 file cannot hold of a network, found before anything is measured: formats/limits.h
// against all that follows from shapes. What remains for the reader to refuse depends on values:
// scales, and biases beside the products of an accumulator.
#pragma once

#include <string>
#include <vector>

#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "converters/settings.h"

namespace mu8::convert {

// Adds a problem for each step or value of the prepared network that exceeds a limit: the node's
// name, what was found and what the format holds.
void CheckLimits(const Network& network, const std::vector<Step>& steps,
                 std::vector<std::string>* problems);

// The same for the size of the file, of which the parameters alone are counted, at the least width
// that the converter may store (4 bits where 5 to 7 are allowed). `mu_bits`: by step. The network
// has passed CheckLimits.
void CheckFileSize(const Network& network, const std::vector<Step>& steps,
                   const std::vector<MuBits>& mu_bits, int sigma_bits,
                   std::vector<std::string>* problems);

}  // namespace mu8::convert
