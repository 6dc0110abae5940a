// What ties a .mu8 file to the network that it was made from.
#pragma once

#include <string>
#include <vector>

#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "formats/reader.h"

namespace mu8::convert {

// The network as a file has it: BatchNorm folded, and a bias in every layer with weights, which the
// file corrects.
void PrepareLikeFile(Network* network);

// What the file's conversion divided each channel of its input by (ScaleInput), given the mean and
// std that the network has; 1 for pixels.
std::vector<float> FileInputScales(const format::View& view, const Network& network);

// Scales the prepared network's channels as the file's conversion did (calibrate/equalize.h).
// Throws host::Error where that does not fit the network.
void EqualizeLikeFile(const format::View& view, Network* network);

// Throws host::Error unless the file's layers have the outputs of the prepared network's.
void CheckLayers(const std::string& path, const format::View& view, const Network& network,
                 const std::vector<Step>& steps);

}  // namespace mu8::convert
