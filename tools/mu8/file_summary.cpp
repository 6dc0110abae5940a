#include "tools/mu8/file_summary.h"

#include <algorithm>

#include "converters/host/error.h"

namespace mu8::tool {
namespace {

void SetMuBits(const format::View& view, LayerSummary* layer) {
  const format::LayerRecord& record = layer->record;
  const std::uint8_t* parameters = view.layer_parameters(record);
  const std::uint64_t k = std::uint64_t{record.runs} * record.run_length;
  format::MuCursor mu(record, layer->panels,
                      parameters + format::MakeParameterLayout(record).panel_bits);
  for (; mu.panel() < layer->panels.panel_count(); mu.Next()) {
    layer->mu_bits.push_back(static_cast<int>(mu.bits()));
    layer->mu_bits_sum += layer->panels.channels(mu.panel()) * k * mu.bits();
  }
  if (record.mu_bits != format::kMuBitsByPanel) layer->mu_bits.resize(1);
}

LayerSummary SummarizeLayer(const format::View& view, std::uint32_t index, std::string_view names) {
  LayerSummary layer;
  layer.index = index;
  layer.name = std::string(format::Line(names, index));
  layer.record = view.layer(index);
  layer.input = view.tensor(layer.record.input);
  if (layer.has_input2()) layer.input2 = view.tensor(layer.record.input2);
  layer.is_output = layer.record.output == format::kNoTensor;
  if (!layer.is_output) layer.output = view.tensor(layer.record.output);
  const auto op = static_cast<format::OpCode>(layer.record.op);
  if (op == format::OpCode::kConv2d || op == format::OpCode::kDense) {
    layer.panels = format::MakePanelLayout(layer.record);
    layer.weights =
        std::uint64_t{layer.record.output_channels} * layer.record.runs * layer.record.run_length;
    layer.biases = layer.record.output_channels;
    SetMuBits(view, &layer);
  }
  return layer;
}

}  // namespace

const char* OpName(std::uint8_t op) {
  switch (static_cast<format::OpCode>(op)) {
    case format::OpCode::kConv2d:
      return "conv2d";
    case format::OpCode::kDense:
      return "dense";
    case format::OpCode::kMaxPool:
      return "max_pool";
    case format::OpCode::kAveragePool:
      return "average_pool";
    case format::OpCode::kLookup:
      return "lookup";
    case format::OpCode::kAdd:
      return "add";
    case format::OpCode::kMultiply:
      return "multiply";
    case format::OpCode::kSlice:
      return "slice";
    case format::OpCode::kConcat:
      return "concat";
    case format::OpCode::kGather:
      return "gather";
    case format::OpCode::kMaximum:
      return "maximum";
    case format::OpCode::kMinimum:
      return "minimum";
    case format::OpCode::kConstant:
      return "constant";
  }
  return "unknown";
}

std::vector<std::pair<std::string_view, std::string_view>> MetadataPairs(const format::View& view) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs(format::MetadataCount(view));
  std::uint64_t place = 0;
  for (auto& [key, value] : pairs) format::NextMetadata(view, &place, &key, &value);
  return pairs;
}

Summary Summarize(const host::ModelFile& file) {
  Summary summary;
  Diagnostic diagnostic;
  if (format::Open(file.bytes.span(), &summary.view, &diagnostic) != Status::kOk) {
    throw host::Error(file.path + ": " + host::Explained(diagnostic));
  }
  std::string_view names;
  format::FindMetadata(summary.view, "layers", &names);
  for (std::uint32_t i = 0; i < summary.view.layer_count(); ++i) {
    const LayerSummary layer = SummarizeLayer(summary.view, i, names);
    summary.weights += layer.weights;
    summary.biases += layer.biases;
    if (layer.has_weights()) {
      summary.mu_bits =
          std::max(summary.mu_bits, *std::max_element(layer.mu_bits.begin(), layer.mu_bits.end()));
      summary.mu_bits_sum += layer.mu_bits_sum;
      if (layer.bayesian()) {
        summary.sigma_bits = std::max<std::uint32_t>(summary.sigma_bits, layer.record.sigma_bits);
      }
    }
    summary.layers.push_back(layer);
  }
  summary.arena_bytes = ArenaBytes(file.model, {.batch = 1});
  return summary;
}

}  // namespace mu8::tool
