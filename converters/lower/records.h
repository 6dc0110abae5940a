// What of a .mu8 file follows from the network's shapes alone, before anything is measured: the
// records of its layers, and how its tensors are padded, placed and how long they live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "converters/network/network.h"
#include "converters/network/steps.h"
#include "formats/layout.h"

namespace mu8::convert {

bool IsBayesian(const Node& node);

// The window as the file has it: that of a dense layer over an image with padding (Step::spatial)
// is the whole image.
Window WindowOf(const Network& network, const Step& step);

// The physical padding of a value: what its hungriest convolution reads.
Window PaddingOf(const Network& network, int value);

// The record's fields that follow from the network's shapes alone: operator, window, groups, runs,
// flags. Tensors, sigma bits and clamp are left 0.
format::LayerRecord LayerShape(const Network& network, const Step& step);

struct TensorRecords {
  std::vector<format::TensorRecord> records;  // without scale and zero point
  std::vector<std::uint16_t> of_value;        // by Network::values; kNoTensor: in no memory
  std::size_t first_pass_layer = 0;           // the layers before it are computed once for an image
  std::uint64_t last_offset = 0;              // of the tensor that lies last; as in PlaceTensors
};

// Extents, padding and the number of layers are within formats/limits.h.
TensorRecords MakeTensorRecords(const Network& network, const std::vector<Step>& steps);

}  // namespace mu8::convert
