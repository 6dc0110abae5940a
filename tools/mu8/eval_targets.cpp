#include "tools/mu8/eval_targets.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "converters/host/error.h"
#include "converters/host/target_layout.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

// "0", "17": as a class folder is called that is named by its class's index.
std::optional<int> IndexOf(std::string_view name) {
  int index = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, problem] = std::from_chars(name.data(), end, index);
  if (problem != std::errc() || stop != end || index < 0) return {};
  return index;
}

// The class of each folder, by the model's label or else by index.
std::vector<int> ClassesByName(const std::string& path, const std::vector<std::string>& folders,
                               const Outputs& outputs) {
  std::vector<int> classes;
  std::string known, unknown;
  for (const std::string& folder : folders) {
    const auto found = std::ranges::find(outputs.names, folder);
    (found == outputs.names.end() ? unknown : known) = folder;
    classes.push_back(static_cast<int>(found - outputs.names.begin()));
  }
  if (unknown.empty()) return classes;
  if (!known.empty() && !IndexOf(known)) {
    throw host::Error(path + ": class folder \"" + Printable(unknown) +
                      "\" is none of the model's labels, as \"" + Printable(known) +
                      "\" is; rename or remove it, or give --sorted-folders if the sorted order of "
                      "all is that of the classes");
  }
  classes.clear();
  for (const std::string& folder : folders) {
    const std::optional<int> index = IndexOf(folder);
    if (!index || static_cast<std::size_t>(*index) >= outputs.count) {
      throw host::Error(path + ": class folder \"" + Printable(folder) + "\" is " +
                        (outputs.names.empty() ? "no" : "neither one of the model's labels nor a") +
                        " class index from 0 to " + std::to_string(outputs.count - 1) +
                        "; rename the folders, or give --sorted-folders if their sorted order is "
                        "that of the classes");
    }
    classes.push_back(*index);
  }
  return classes;
}

std::vector<int> ClassesInOrder(const std::string& path, const std::vector<std::string>& folders,
                                const Outputs& outputs) {
  if (folders.size() != outputs.count) {
    throw host::Error(path + ": has " + std::to_string(folders.size()) +
                      " class folders, expected " + std::to_string(outputs.count) +
                      ", one for each class: in sorted order a missing one would shift the others");
  }
  std::vector<int> classes(folders.size());
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<int>(i);
  return classes;
}

std::string EntryText(const std::string& path, std::size_t image) {
  return path + ": the target of entry " + std::to_string(image) + " is ";
}

// Targets at several positions, in the order of the predictions.
std::vector<float> Arranged(const std::string& path, const host::Dataset& data, int channels,
                            const Outputs& outputs, std::string* notice) {
  host::ImageSize size = outputs.array.size;
  size.channels = channels;
  return host::ArrangeTargets(path, data, host::AnswerSpec(size, outputs.array), notice);
}

Targets ReadClasses(const std::string& path, const host::Dataset& data, const Outputs& outputs) {
  Targets targets{.labels = data.labels, .values = {}};
  const std::size_t wanted = outputs.positions;
  if (!data.targets.empty() && data.target_width() != wanted) {
    throw host::Error(path + ": has " + std::to_string(data.target_width()) +
                      " targets an input, expected " +
                      (wanted == 1 ? "one: the index of its class (of one-hot rows their argmax)"
                                   : std::to_string(wanted) + ": the class of each position"));
  }
  if (wanted > 1 && !data.labels.empty()) {
    throw host::Error(path + ": has one label an image, the model answers at " +
                      std::to_string(wanted) + " positions; expected a .npz file with y (N, H, W)");
  }
  std::vector<float> classes = data.targets;
  if (wanted > 1 && !classes.empty()) {
    classes = Arranged(path, data, 1, outputs, &targets.notice);
  }
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const float target = classes[i];
    if (target != std::floor(target) || std::fabs(target) > 1e9F) {
      throw host::Error(EntryText(path, i / wanted) + Significant(static_cast<double>(target), 6) +
                        ", expected the index of a class");
    }
    targets.labels.push_back(static_cast<int>(target));
  }
  for (std::size_t i = 0; i < targets.labels.size(); ++i) {
    const int label = targets.labels[i];
    if (label >= 0 && static_cast<std::size_t>(label) < outputs.count) continue;
    throw host::Error(path + ": label of image " + std::to_string(i) + " is " +
                      std::to_string(label) + ", the model has classes 0 to " +
                      std::to_string(outputs.count - 1));
  }
  return targets;
}

Targets ReadNumbers(const std::string& path, const host::Dataset& data, const Outputs& outputs) {
  // A reconstruction is held against its input; classes of the data say nothing about it.
  if (outputs.head == convert::Head::kReconstruction) return {};
  Targets targets{.labels = {}, .values = data.targets};
  const bool are_labels = outputs.head == convert::Head::kSigmoid;
  // A file of one label, or class folders 0 and 1, say for one output what it is.
  if (are_labels && outputs.count == 1) {
    targets.values.insert(targets.values.end(), data.labels.begin(), data.labels.end());
  } else if (!data.labels.empty()) {
    throw host::Error(path + ": has labels of classes, the model's outputs are " +
                      std::to_string(outputs.count) +
                      (are_labels ? " labels, each true or not" : " numbers") +
                      "; expected a .npz or .csv file with targets (y)");
  }
  if (targets.values.empty()) return targets;
  const std::size_t width = targets.values.size() / data.count;
  const std::size_t wanted = outputs.count * outputs.positions;
  if (width != wanted) {
    throw host::Error(path + ": has " + std::to_string(width) + " targets an input, expected " +
                      std::to_string(wanted) + ", one for each output of the model");
  }
  if (outputs.positions > 1) {
    targets.values =
        Arranged(path, data, static_cast<int>(outputs.count), outputs, &targets.notice);
  }
  for (std::size_t i = 0; are_labels && i < targets.values.size(); ++i) {
    if (targets.values[i] == 0.0F || targets.values[i] == 1.0F) continue;
    throw host::Error(EntryText(path, i / width) +
                      Significant(static_cast<double>(targets.values[i]), 6) +
                      ", expected 0 or 1: the model's outputs are labels, each true or not");
  }
  return targets;
}

}  // namespace

Targets ReadTargets(const std::string& path, const host::Dataset& data, const Outputs& outputs,
                    bool sorted_folders) {
  host::Dataset named = {.count = data.count,
                         .labels = data.labels,
                         .targets = data.targets,
                         .target_dims = data.target_dims};
  if (!data.label_names.empty()) {
    Outputs classes = outputs;
    // Folders 0 and 1 of a single label: false and true.
    if (outputs.head == convert::Head::kSigmoid && outputs.count == 1)
      classes = {.head = outputs.head, .count = 2};
    const std::vector<int> class_of = sorted_folders
                                          ? ClassesInOrder(path, data.label_names, classes)
                                          : ClassesByName(path, data.label_names, classes);
    for (int& label : named.labels) label = class_of[static_cast<std::size_t>(label)];
  }
  return outputs.head == convert::Head::kSoftmax ? ReadClasses(path, named, outputs)
                                                 : ReadNumbers(path, named, outputs);
}

}  // namespace mu8::tool
