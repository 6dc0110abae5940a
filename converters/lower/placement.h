// Where each activation lies in the arena: values that are alive at the same time never overlap,
// except an output that takes the place of its residual.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/layout.h"

namespace mu8::convert {

// Layer `layer` is a convolution that adds tensor `residual` and reads tensor `input`.
struct ResidualUse {
  std::size_t layer;
  std::uint16_t input, residual;
};

// Gives each output and the residual whose place it may take the larger padding of both, so that
// their geometry is the same. Tensors in `is_vector`, which dense layers read as they lie, stay as
// they are, and so do those that would exceed format::kMaxTensorBytes.
void AlignResiduals(std::size_t first_pass_layer, const std::vector<ResidualUse>& residuals,
                    const std::vector<bool>& is_vector, std::vector<format::TensorRecord>* tensors);

// Fills `offset` of every tensor from `bytes`, `first_layer` and `last_layer`. Greedy by size
// (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference"): the
// largest first, each at the lowest offset that is free during its lifetime. What is computed once
// for an image (the input, and tensors that layers before `first_pass_layer` write) and read by the
// passes lives on to the end: every pass reads it again. Tensor i + 1 is written by layer i.
//
// The output of a layer in `residuals` lies where the residual lies if that is alive no longer, is
// not also the layer's input, and has the same geometry (FORMAT.md section 4).
//
// Returns the largest offset; records can hold no more than format::kMaxTensorOffset.
std::uint64_t PlaceTensors(std::size_t first_pass_layer, const std::vector<ResidualUse>& residuals,
                           std::vector<format::TensorRecord>* tensors);

// The layer in which most tensors are alive, its output included, and how many.
struct BusiestLayer {
  std::size_t layer, live_tensors;
};
BusiestLayer FindBusiestLayer(std::size_t first_pass_layer,
                              const std::vector<format::TensorRecord>& tensors);

}  // namespace mu8::convert
