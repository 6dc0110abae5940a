// mu8 inspect: what a .mu8 file holds, without running it.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "converters/host/model_file.h"
#include "converters/judge/abstain.h"
#include "converters/network/network.h"
#include "formats/reader.h"
#include "tools/mu8/command.h"
#include "tools/mu8/file_summary.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/stop_options.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string model_path;
  bool json = false;
};

// A panel's own width counts by its weights.
std::string BitsText(const LayerSummary& layer) {
  if (layer.mu_bits.size() == 1) return std::to_string(layer.mu_bits.front());
  return Fixed(static_cast<double>(layer.mu_bits_sum) / static_cast<double>(layer.weights), 2);
}

std::string Version() {
  return std::to_string(format::kVersionMajor) + "." + std::to_string(format::kVersionMinor);
}

// The version in the file's header; Open has accepted it.
std::string FileVersion(const format::View& view) {
  const auto header = view.Load<format::FileHeader>(0);
  return std::to_string(header.version_major) + "." + std::to_string(header.version_minor);
}

Json ShapeJson(const format::TensorRecord& tensor) {
  return {tensor.height, tensor.width, tensor.channels};
}

Json LayerJson(const LayerSummary& layer, const format::View& view, const Model& model) {
  const format::LayerRecord& record = layer.record;
  Json json{{"index", layer.index}, {"name", layer.name}, {"op", OpName(record.op)}};
  json["input_shape"] = ShapeJson(layer.input);
  json["input"] = record.input;
  if (layer.has_input2()) {
    json["input2"] = record.input2;
    json["input2_shape"] = ShapeJson(layer.input2);
    json["residual"] = layer.residual();
  }
  if (static_cast<format::OpCode>(record.op) == format::OpCode::kSlice) {
    json["offset"] = {record.offset_h, record.offset_w, record.offset_c};
  }
  json["output_shape"] =
      layer.is_output ? Json{model.output_height(), model.output_width(), model.class_count()}
                      : ShapeJson(layer.output);
  json["kernel"] = {record.kernel_h, record.kernel_w};
  json["stride"] = {record.stride_h, record.stride_w};
  json["dilation"] = {record.dilation_h, record.dilation_w};
  json["padding_top_left"] = {record.pad_top, record.pad_left};
  json["clamp"] = {record.clamp_min, record.clamp_max};
  json["weights"] = layer.weights + layer.biases;
  if (layer.has_weights()) {
    json["groups"] = record.groups;
    json["bayesian"] = layer.bayesian();
    json["mu_bits"] = BitsJson(layer.mu_bits);
    json["sigma_bits"] = layer.bayesian() ? Json(record.sigma_bits) : Json(nullptr);
    json["panels"] = {{"count", layer.panels.panel_count()},
                      {"width", format::kPanelChannels},
                      {"last_width", layer.panels.last_width},
                      {"padded_channels", layer.panels.padded_channels},
                      {"inputs", layer.panels.inputs}};
  }
  if (layer.is_output) {
    json["output_scale"] = nullptr;  // logits are floats
    json["output_zero_point"] = nullptr;
  } else {
    json["output_scale"] = ShortestDouble(layer.output.scale);
    json["output_zero_point"] = layer.output.zero_point;
  }
  json["parameter_bytes"] = record.parameter_bytes;
  if (view.has_moments()) {
    const format::MomentsRecord moments = view.layer_moments(layer.index);
    json["moments"] = {{"step", ShortestDouble(moments.step)},
                       {"factor", ShortestDouble(moments.factor)}};
  }
  return json;
}

const char* HeadNameOf(const Model& model) {
  return convert::HeadName(static_cast<format::Head>(model.head()));
}

// Low and high of each output, as `mu8 convert` says them; empty where the file has none.
Json RangesJson(const Model& model) {
  Json ranges = Json::array();
  float low = 0, high = 0;
  for (std::uint32_t i = 0; i < model.class_count() && model.OutputRange(i, &low, &high); ++i) {
    ranges.push_back({ShortestDouble(low), ShortestDouble(high)});
  }
  return ranges;
}

// One threshold, or one for each output where they may differ.
std::vector<float> AbstainThresholdsOf(const Model& model) {
  const auto measure = static_cast<format::AbstainMeasure>(model.abstain_measure());
  std::vector<float> thresholds(format::AbstainThresholds(measure, model.class_count()));
  for (std::uint32_t i = 0; i < thresholds.size(); ++i) model.AbstainThreshold(i, &thresholds[i]);
  return thresholds;
}

const char* AbstainNameOf(const Model& model) {
  return convert::AbstainMeasureName(static_cast<format::AbstainMeasure>(model.abstain_measure()));
}

void PrintAsJson(const host::ModelFile& file, const Summary& summary) {
  const format::TensorRecord input = summary.view.tensor(0);
  Json json{{"file", file.path},
            {"format", FileVersion(summary.view)},
            {"name", std::string(file.model.name())}};
  json["head"] = HeadNameOf(file.model);
  json["classes"] = file.model.class_count();
  json["labels"] = host::ClassNames(file.model);
  if (const Json ranges = RangesJson(file.model); !ranges.empty()) json["output_ranges"] = ranges;
  if (file.model.abstain_measure() != AbstainMeasure::kNone) {
    json["abstain"] = {{"measure", AbstainNameOf(file.model)},
                       {"thresholds", FloatArray(AbstainThresholdsOf(file.model))},
                       {"samples", file.model.abstain_samples()}};
  }
  json["stop_rules"] = Json::array();
  for (const StopRuleName& rule : StopRulesOf(file.model)) json["stop_rules"].push_back(rule.name);
  json["input_shape"] = ShapeJson(input);
  json["input_scale"] = ShortestDouble(input.scale);
  json["input_zero_point"] = input.zero_point;
  json["weights"] = summary.weights + summary.biases;
  json["weight_count"] = summary.weights;
  json["bias_count"] = summary.biases;
  json["file_bytes"] = file.bytes.size();
  json["arena_bytes"] = summary.arena_bytes;
  json["sigma_bits"] = summary.sigma_bits;
  json["mu_bits"] = summary.mu_bits;
  json["average_mu_bits"] = summary.average_mu_bits();
  json["layers"] = Json::array();
  for (const LayerSummary& layer : summary.layers) {
    json["layers"].push_back(LayerJson(layer, summary.view, file.model));
  }
  json["metadata"] = Json::object();
  // Keys are unique (FORMAT.md 7): no need to look for each among the others.
  auto& metadata = json["metadata"].get_ref<Json::object_t&>();
  for (const auto& [key, value] : MetadataPairs(summary.view)) {
    metadata.emplace_back(std::string(key), std::string(value));
  }
  PrintJson(json);
}

// "5x5", with stride, dilation and padding where they are not the plain ones.
std::string WindowText(const format::LayerRecord& record) {
  const auto pair = [](std::uint32_t a, std::uint32_t b) {
    return a == b ? std::to_string(a) : std::to_string(a) + "," + std::to_string(b);
  };
  std::string text = std::to_string(record.kernel_h) + "x" + std::to_string(record.kernel_w);
  if (record.stride_h != 1 || record.stride_w != 1) {
    text += " /" + pair(record.stride_h, record.stride_w);
  }
  if (record.dilation_h != 1 || record.dilation_w != 1) {
    text += " dilation " + pair(record.dilation_h, record.dilation_w);
  }
  if (record.pad_top != 0 || record.pad_left != 0) {
    text += " pad " + pair(record.pad_top, record.pad_left);
  }
  return text;
}

// "6x16+4": six full panels and one of four channels; per group if there are several.
std::string PanelText(const format::PanelLayout& panels) {
  const std::uint32_t full = panels.last_width == format::kPanelChannels
                                 ? panels.panels_per_group
                                 : panels.panels_per_group - 1;
  std::string text = full > 0 ? std::to_string(full) + "x16" : "";
  if (full < panels.panels_per_group) {
    text += (full > 0 ? "+" : "") + std::to_string(panels.last_width);
  }
  return panels.groups == 1 ? text : std::to_string(panels.groups) + " x (" + text + ")";
}

// What the layer reads and writes: "8 x 8 x 4 + residual 8 x 8 x 4 of #3 -> 8 x 8 x 4". The other
// operand comes from layer #3, or is the model's input.
std::string ShapesColumn(const LayerSummary& layer, const Model& model) {
  const auto shape = [](const format::TensorRecord& tensor) {
    return Dimensions(tensor.height, tensor.width, tensor.channels);
  };
  std::string text = shape(layer.input);
  if (layer.has_input2()) {
    const std::uint32_t tensor = layer.record.input2;  // layer i writes tensor i + 1
    text += (layer.residual() ? " + residual " : ", ") + shape(layer.input2) + " of " +
            (tensor == 0 ? "the input" : "#" + std::to_string(tensor - 1));
  }
  const std::uint32_t outputs = model.class_count();
  const std::string answer = model.output_size() == outputs
                                 ? std::to_string(outputs)
                                 : Dimensions(model.output_height(), model.output_width(), outputs);
  return text + " -> " + (layer.is_output ? answer : shape(layer.output));
}

// The window column: empty for operators without one.
std::string WindowCell(const format::LayerRecord& record) {
  switch (static_cast<format::OpCode>(record.op)) {
    case format::OpCode::kConv2d:
    case format::OpCode::kMaxPool:
    case format::OpCode::kAveragePool:
      return WindowText(record);
    case format::OpCode::kSlice:
      return "/" + std::to_string(record.stride_h) + "," + std::to_string(record.stride_w) +
             " from " + std::to_string(record.offset_h) + "," + std::to_string(record.offset_w) +
             "," + std::to_string(record.offset_c);
    default:
      return "";
  }
}

std::vector<std::string> LayerCells(const LayerSummary& layer, const format::View& view,
                                    const Model& model) {
  const format::LayerRecord& record = layer.record;
  std::vector<std::string> cells = {
      std::to_string(layer.index),
      Printable(layer.name),
      OpName(record.op),
      ShapesColumn(layer, model),
      WindowCell(record),
      layer.has_weights() ? std::to_string(record.groups) : "",
      layer.has_weights() ? std::to_string(layer.weights + layer.biases) : "",
      layer.has_weights() ? BitsText(layer) : "",
      layer.bayesian() ? std::to_string(record.sigma_bits) : "",
      layer.has_weights() ? PanelText(layer.panels) : "",
      layer.is_output ? "float" : Significant(static_cast<double>(layer.output.scale), 4),
      layer.is_output ? "" : std::to_string(layer.output.zero_point),
      std::to_string(record.parameter_bytes)};
  if (view.has_moments()) {
    const format::MomentsRecord moments = view.layer_moments(layer.index);
    cells.push_back(Significant(static_cast<double>(moments.step), 4));
    cells.push_back(Significant(static_cast<double>(moments.factor), 4));
  }
  return cells;
}

std::string LayerTable(const Summary& summary, const Model& model) {
  using Align = Table::Align;
  std::vector<Table::Column> columns = {{"#"},
                                        {"layer", Align::kLeft},
                                        {"op", Align::kLeft},
                                        {"shape", Align::kLeft},
                                        {"window", Align::kLeft},
                                        {"groups"},
                                        {"weights"},
                                        {"mu bits"},
                                        {"sigma bits"},
                                        {"panels", Align::kLeft},
                                        {"out scale"},
                                        {"out zero"},
                                        {"bytes"}};
  if (summary.view.has_moments()) {
    columns.push_back({"variance step"});
    columns.push_back({"factor"});
  }
  Table table(columns);
  for (const LayerSummary& layer : summary.layers) {
    table.Add(LayerCells(layer, summary.view, model));
  }
  return table.ToString();
}

// "-2 to 2, -1.5 to 2.5"; "all -2 to 2" where they are alike.
std::string RangesText(const Model& model) {
  std::string text, first;
  bool alike = true;
  float low = 0, high = 0;
  for (std::uint32_t i = 0; i < model.class_count() && model.OutputRange(i, &low, &high); ++i) {
    const std::string range = Significant(static_cast<double>(low), 6) + " to " +
                              Significant(static_cast<double>(high), 6);
    if (i == 0) first = range;
    alike = alike && range == first;
    text += (i == 0 ? "" : ", ") + range;
  }
  return alike && model.class_count() > 1 && !first.empty() ? "all " + first : text;
}

std::string StopRulesText(const Model& model) {
  std::string text;
  for (const StopRuleName& rule : StopRulesOf(model)) {
    text += (text.empty() ? "" : ", ") + std::string(rule.options);
  }
  return text.empty() ? "none" : text;
}

void PrintAsText(const host::ModelFile& file, const Summary& summary) {
  const Model& model = file.model;
  std::string labels;
  for (const std::string& name : host::ClassNames(model)) {
    labels += (labels.empty() ? "" : ", ") + name;
  }
  const format::TensorRecord input = summary.view.tensor(0);
  Table fields = Fields();
  fields.Add({"file", Printable(file.path) + ", format " + FileVersion(summary.view)});
  fields.Add({"name", Printable(model.name())});
  fields.Add({"head", HeadNameOf(model)});
  fields.Add({model.head() == Head::kSoftmax ? "classes" : "outputs",
              std::to_string(model.class_count()) + ": " + Printable(labels)});
  if (const std::string ranges = RangesText(model); !ranges.empty()) {
    fields.Add({"output ranges", ranges});
  }
  if (model.abstain_measure() != AbstainMeasure::kNone) {
    std::string text = std::string(AbstainNameOf(model)) + " above";
    for (const float threshold : AbstainThresholdsOf(model)) {
      text += " " + Significant(static_cast<double>(threshold), 6);
    }
    const std::uint32_t samples = model.abstain_samples();
    if (samples > 0) text += ", measured with " + std::to_string(samples) + " samples";
    fields.Add({"abstains", text});
  }
  fields.Add({"stop rules", StopRulesText(model)});
  fields.Add({"input", Dimensions(input.height, input.width, input.channels) +
                           " (height x width x channels), scale " +
                           Significant(static_cast<double>(input.scale), 6) + ", zero point " +
                           std::to_string(input.zero_point)});
  fields.Add({"weights", std::to_string(summary.weights + summary.biases) + " (" +
                             std::to_string(summary.weights) + " weights, " +
                             std::to_string(summary.biases) + " biases)"});
  fields.Add({"bits", "mu " + std::to_string(summary.mu_bits) + " at most, " +
                          Fixed(summary.average_mu_bits(), 2) + " on average; sigma " +
                          std::to_string(summary.sigma_bits)});
  fields.Add({"file size", ByteCount(file.bytes.size())});
  fields.Add({"arena", ByteCount(summary.arena_bytes) + " for one image at a time"});
  std::printf("%s\n%s\nmetadata\n", fields.ToString().c_str(), LayerTable(summary, model).c_str());

  Table metadata = Fields();
  for (const auto& [key, value] : MetadataPairs(summary.view)) {
    metadata.Add({Printable(key), Printable(value)});
  }
  std::fputs(metadata.ToString("  ").c_str(), stdout);
}

void Run(const Options& options) {
  const host::ModelFile file = host::OpenModel(options.model_path);
  const Summary summary = Summarize(file);
  if (options.json) {
    PrintAsJson(file, summary);
  } else {
    PrintAsText(file, summary);
  }
}

}  // namespace

Command AddInspect(CLI::App* parent) {
  CLI::App* app = parent->add_subcommand("inspect", "Show what a .mu8 file holds");
  const auto options = std::make_shared<Options>();
  app->add_option("MODEL", options->model_path, "A .mu8 file")->required();
  AddJsonFlag(app, &options->json);
  app->footer("\nReads format " + Version() +
              ". \"weights\" counts real parameters, biases included. The arena is what a session\n"
              "needs besides the file. Panels: how many times how many output channels.");
  return {app, [options](host::OutputFiles*) { Run(*options); }};
}

}  // namespace mu8::tool
