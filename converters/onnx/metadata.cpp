// What the file's metadata_props say about normalization and classes.
#include "converters/onnx/metadata.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "converters/host/labels.h"
#include "converters/host/words.h"
#include "converters/network/head.h"

namespace mu8::convert {
namespace {

// Comma-separated numbers, one per input channel, or one that serves all.
std::vector<float> ParseFloats(OnnxImporter* importer, const std::string& key,
                               const std::string& text) {
  const std::string where = importer->graph.path + ": metadata \"" + key + "\": ";
  std::vector<float> numbers;
  for (const std::string_view part : host::Split(text, ',')) {
    const std::string_view word = host::Trim(part);
    float number = 0.0f;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (code != std::errc() || end != word.data() + word.size() || !std::isfinite(number)) {
      importer->problems.push_back(where + "\"" + std::string(word) + "\" is not a number");
      return {};
    }
    if (key == "std" && number <= 0.0f) {
      importer->problems.push_back(where + std::string(word) + " is not positive");
    }
    numbers.push_back(number);
  }
  if (importer->network.values.empty()) return numbers;
  const auto channels = static_cast<std::size_t>(importer->network.values[0].channels);
  if (numbers.size() != 1 && numbers.size() != channels) {
    importer->problems.push_back(where + std::to_string(numbers.size()) +
                                 " numbers, the input has " + std::to_string(channels) +
                                 " channels");
  }
  return numbers;
}

std::vector<std::string> ParseLabels(OnnxImporter* importer, const std::string& text) {
  const std::string where = importer->graph.path + ": metadata \"labels\": ";
  std::vector<std::string> labels = host::ParseLabels(where, host::Trim(text), &importer->problems);
  const auto output = importer->graph.output == nullptr
                          ? importer->activations.end()
                          : importer->activations.find(importer->graph.output->name());
  if (output == importer->activations.end()) return labels;
  if (labels.size() != output->second.flat_size()) {
    importer->problems.push_back(where + std::to_string(labels.size()) +
                                 " labels, the output has " +
                                 std::to_string(output->second.flat_size()) + " classes");
  }
  return labels;
}

void ParseHead(OnnxImporter* importer, const std::string& text) {
  const std::string where = importer->graph.path + ": metadata \"head\": ";
  const std::optional<Head> head = FindHead(host::Trim(text));
  HeadHint& hint = importer->network.head_hint;
  const bool as_numbers = head && hint.sigmoid_end && TakesSigmoid(*head);
  if (!head) {
    importer->problems.push_back(where + "\"" + text +
                                 "\" is none of softmax, sigmoid, values, gaussian and "
                                 "reconstruction");
  } else if (hint.head && *hint.head != *head && !as_numbers) {
    importer->problems.push_back(where + HeadName(*head) + ", but " + hint.why);
  } else if (!hint.head || as_numbers) {
    hint.head = head;
    hint.why = "its metadata says so";
  }
}

}  // namespace

void ImportMetadata(OnnxImporter* importer) {
  std::set<std::string> keys;
  for (const onnx::StringStringEntryProto& entry : importer->graph.model.metadata_props()) {
    const std::string& key = entry.key();
    if (key != "mean" && key != "std" && key != "labels" && key != "head") continue;
    if (!keys.insert(key).second) {
      importer->problems.push_back(importer->graph.path + ": metadata \"" + key +
                                   "\" is given twice");
    } else if (key == "head") {
      ParseHead(importer, entry.value());
    } else if (key == "mean") {
      importer->network.mean = ParseFloats(importer, key, entry.value());
    } else if (key == "std") {
      importer->network.std = ParseFloats(importer, key, entry.value());
    } else {
      importer->network.labels = ParseLabels(importer, entry.value());
    }
  }
  if (keys.contains("mean") != keys.contains("std")) {
    importer->problems.push_back(importer->graph.path +
                                 ": metadata has only one of \"mean\" and "
                                 "\"std\"; expected both or none");
  }
}

}  // namespace mu8::convert
