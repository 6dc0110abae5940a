// Turns a calibrated Network into the records and arrays of a .mu8 file: fuses ReLU, plans padding,
// lifetimes and memory, quantizes every layer and packs its panels.
#pragma once

#include <vector>

#include "converters/calibration.h"
#include "converters/convert.h"
#include "converters/network.h"
#include "converters/weight_quantizer.h"
#include "formats/writer.h"

namespace mu8::convert {

// One layer of the file and where it comes from.
struct Step {
  int node = -1;         // index into Network::nodes
  bool relu = false;     // a ReLU that alone reads this node's output is part of the layer
  bool spatial = false;  // a dense layer run as a convolution over its whole (padded) input
  int input = -1;        // value read
  int output = -1;       // value written
};

// The layers in file order. Layer i writes tensor i + 1; the last writes the logits. Throws Error
// when the network has no layer order that the format can hold, naming the node.
std::vector<Step> PlanSteps(const Network& network);

// The record's fields that follow from the network's shapes alone: operator, window, groups, runs,
// flags. Tensors, sigma bits and clamp are left 0.
format::LayerRecord LayerShape(const Network& network, const Step& step);

struct Lowered {
  format::FileContent content;  // without metadata
  std::vector<LayerReport> reports;
};

Lowered Lower(const Network& network, const std::vector<Step>& steps,
              const Calibration& calibration, const InputQuantization& input,
              const QuantizerSettings& settings);

}  // namespace mu8::convert
