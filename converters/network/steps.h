// The order of layers in a .mu8 file, and which nodes of a network become one layer: a clip (ReLU)
// belongs to the layer before it, a sum to the convolution that computes one of its terms, so that
// both are rounded once.
#pragma once

#include <string>
#include <vector>

#include "converters/network/network.h"

namespace mu8::convert {

// One layer of the file and the nodes that it comes from; -1: none.
struct Step {
  int node = -1;         // gives the operator
  int add = -1;          // the kAdd that adds `input2` to a convolution's result: its residual
  int clip = -1;         // the kClip of the result
  bool spatial = false;  // a dense layer run as a convolution over its whole (padded) input
  int input = -1;        // value read
  int input2 = -1;       // second value read: residual or second operand
  int output = -1;       // value written
};

// Physical padding that a node wants around its input, in the pad_ fields: a convolution reads it.
Window ReadPadding(const Network& network, const Node& node);

// The layers in file order. Layer i writes tensor i + 1; the last writes the logits. Throws Error
// when the network has no layer order that the format can hold, naming the node.
std::vector<Step> MakeSteps(const Network& network);

// What reports call a layer: its operator and what is fused with it, such as "Conv2d + Add + ReLU".
std::string Describe(const Network& network, const Step& step);

}  // namespace mu8::convert
