// What a .mu8 file holds, counted: what `mu8 inspect` shows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "converters/host/model_file.h"
#include "formats/reader.h"

namespace mu8::tool {

struct LayerSummary {
  std::uint32_t index = 0;
  std::string name;
  format::LayerRecord record{};
  format::TensorRecord input{};
  format::TensorRecord input2{};  // the second operand or the residual, if there is one
  bool is_output = false;         // writes the logits; `output` does not apply
  format::TensorRecord output{};
  std::uint64_t weights = 0;  // real ones, without padding
  std::uint64_t biases = 0;
  format::PanelLayout panels{};  // conv2d and dense only

  std::vector<int> mu_bits;       // one, or one for each panel
  std::uint64_t mu_bits_sum = 0;  // of all weights

  bool has_weights() const { return weights > 0; }
  bool has_input2() const { return record.input2 != format::kNoTensor; }
  bool residual() const {
    return has_input2() && static_cast<format::OpCode>(record.op) == format::OpCode::kConv2d;
  }
  bool bayesian() const { return (record.flags & format::kLayerBayesian) != 0; }
};

struct Summary {
  format::View view;
  std::vector<LayerSummary> layers;
  std::uint64_t weights = 0, biases = 0;
  std::uint32_t sigma_bits = 0;   // the largest of the Bayesian layers
  int mu_bits = 0;                // the largest of all layers with weights
  std::uint64_t mu_bits_sum = 0;  // of all weights
  std::size_t arena_bytes = 0;    // batch 1, no logits kept

  double average_mu_bits() const {
    return static_cast<double>(mu_bits_sum) / static_cast<double>(weights);
  }
};

// An operator's name, as in FORMAT.md 5.2.
const char* OpName(std::uint8_t op);

// Keys and values, in the file's order.
std::vector<std::pair<std::string_view, std::string_view>> MetadataPairs(const format::View& view);

// Throws host::Error for a file that does not open.
Summary Summarize(const host::ModelFile& file);

}  // namespace mu8::tool
