#include "converters/onnx/external_data.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>

#include "converters/host/error.h"
#include "converters/host/files.h"

namespace mu8::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = std::size_t{8} << 30;

// One file of numbers, once read.
struct DataFile {
  std::vector<std::uint8_t> bytes;
  std::string problem;  // empty: it could be read
  std::size_t tensors = 0;
};

std::string Entry(const onnx::TensorProto& tensor, std::string_view key) {
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() == key) return entry.value();
  }
  return {};
}

std::optional<std::uint64_t> ParseNumber(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Whether `path` lies in `folder` or below it, links followed.
bool IsInside(const fs::path& path, const fs::path& folder) {
  std::error_code problem;
  const fs::path file = fs::weakly_canonical(path, problem);
  const fs::path root = fs::weakly_canonical(folder, problem);
  return std::mismatch(root.begin(), root.end(), file.begin(), file.end()).first == root.end();
}

DataFile ReadDataFile(const std::string& model_path, const std::string& location) {
  DataFile file;
  const fs::path relative(location);
  const bool goes_up =
      std::ranges::any_of(relative, [](const fs::path& part) { return part == ".."; });
  const fs::path folder =
      fs::path(model_path).has_parent_path() ? fs::path(model_path).parent_path() : fs::path(".");
  std::error_code unknown;
  const fs::path real_folder = fs::weakly_canonical(model_path, unknown).parent_path();
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() ||
      goes_up) {
    file.problem = "is no path below the model's folder";
    return file;
  }
  // A model may be a link into a store of files, and its data another one beside it there.
  if (!IsInside(folder / relative, folder) && !IsInside(folder / relative, real_folder)) {
    file.problem = "is a link that leaves the model's folder; copy the file itself there";
    return file;
  }
  try {
    file.bytes =
        host::ReadRawFile((folder / relative).string(), "the model's numbers", kMaxFileBytes);
  } catch (const host::Error& error) {
    file.problem = error.problems().front();
  }
  return file;
}

// What is wrong with the range of `tensor` in its file; empty: nothing, and it has been copied.
std::string CopyRange(const DataFile& file, std::uint64_t* copied, onnx::TensorProto* tensor) {
  const std::string offset_text = Entry(*tensor, "offset"), length_text = Entry(*tensor, "length");
  const auto offset = offset_text.empty() ? std::uint64_t{0} : ParseNumber(offset_text);
  const std::uint64_t size = file.bytes.size();
  if (!offset || *offset > size) {
    return "offset \"" + offset_text + "\" is not within the file's " + std::to_string(size) +
           " bytes";
  }
  const auto length = length_text.empty() ? size - *offset : ParseNumber(length_text);
  if (!length || *length > size - *offset) {
    return "length \"" + length_text + "\" from offset " + std::to_string(*offset) +
           " on is not within the file's " + std::to_string(size) + " bytes; is it truncated?";
  }
  // Tensors may share bytes, but not so that a small file fills the memory.
  *copied += *length;
  if (*copied > 4 * size + (std::uint64_t{1} << 20)) {
    return "the tensors up to this one take many times the file's " + std::to_string(size) +
           " bytes";
  }
  tensor->set_raw_data(file.bytes.data() + *offset, static_cast<std::size_t>(*length));
  tensor->clear_external_data();
  tensor->clear_data_location();
  return {};
}

}  // namespace

void LoadExternalData(const std::string& model_path, const std::set<std::string>& names,
                      onnx::ModelProto* model, std::vector<std::string>* problems) {
  std::map<std::string, DataFile> files;
  std::map<std::string, std::uint64_t> copied;
  for (onnx::TensorProto& tensor : *model->mutable_graph()->mutable_initializer()) {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL || !names.contains(tensor.name())) {
      continue;
    }
    const std::string location = Entry(tensor, "location");
    if (!files.contains(location)) files[location] = ReadDataFile(model_path, location);
    DataFile& file = files[location];
    ++file.tensors;
    if (!file.problem.empty()) continue;
    const std::string why = CopyRange(file, &copied[location], &tensor);
    if (!why.empty()) {
      problems->push_back(model_path + ": tensor \"" + tensor.name() + "\" in \"" + location +
                          "\": " + why);
    }
  }
  for (const auto& [location, file] : files) {
    if (file.problem.empty()) continue;
    problems->push_back(model_path + ": the numbers of " + std::to_string(file.tensors) +
                        (file.tensors == 1 ? " tensor" : " tensors") + " are in the file \"" +
                        location + "\" (external data): " + file.problem +
                        "; expected beside the model, or save the model as one file "
                        "(onnx.save_model with save_as_external_data=False)");
  }
}

}  // namespace mu8::convert
