// The two formats are told apart by content. Untrusted input: every size is checked before it is
// used.
#include "converters/posterior/posterior.h"

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <string_view>

#include "converters/host/bytes.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/json.h"
#include "converters/host/npz.h"

namespace mu8::convert {
namespace {

using Problems = std::vector<std::string>;
using Bytes = std::span<const std::uint8_t>;

constexpr std::string_view kSuffix = ".sigma", kMeanSuffix = ".mean";
constexpr std::size_t kMaxFileBytes = std::size_t{8} << 30;
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 32;
// The limit of the reference implementation of safetensors.
constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

std::string Text(std::uint64_t number) { return std::to_string(number); }

// The start of a message about one array.
std::string Where(const std::string& path, const std::string& key) {
  return path + ": \"" + key + "\": ";
}

bool StartsWith(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

bool IsPrivate(std::string_view key) { return key.starts_with("__"); }

// "<initializer>.sigma" or "<initializer>.mean".
struct ArrayName {
  std::string initializer;
  bool is_mean = false;
};

// A problem, and nothing, when `key` is of neither form.
std::optional<ArrayName> ParseName(const std::string& where, const std::string& key,
                                   Problems* problems) {
  for (const std::string_view suffix : {kSuffix, kMeanSuffix}) {
    if (key.size() <= suffix.size() || !key.ends_with(suffix)) continue;
    return ArrayName{.initializer = key.substr(0, key.size() - suffix.size()),
                     .is_mean = suffix == kMeanSuffix};
  }
  problems->push_back(where +
                      "expected a name of the form <initializer>.sigma (or .mean beside it); leave "
                      "the array out, or begin its name with __");
  return std::nullopt;
}

using Means = std::map<std::string, SigmaArray>;

// Moves each array of means to its sigmas.
void AddMeans(const std::string& path, Means* means, Posterior* posterior, Problems* problems) {
  for (auto& [name, mean] : *means) {
    const std::string where = Where(path, name + std::string(kMeanSuffix));
    const auto sigma = posterior->find(name);
    if (sigma == posterior->end()) {
      problems->push_back(where + "there is no \"" + name + ".sigma\" beside it");
    } else if (sigma->second.shape != mean.shape) {
      problems->push_back(where + "has another shape than \"" + name + ".sigma\"");
    } else {
      sigma->second.means = std::move(mean.values);
    }
  }
}

// Runs `read`, adding the problems of the Error it may throw: one bad array must not hide the next.
template <typename Read>
void Collect(Problems* problems, Read read) {
  try {
    read();
  } catch (const host::Error& error) {
    problems->insert(problems->end(), error.problems().begin(), error.problems().end());
  }
}

Posterior ReadNpz(const std::string& path, Bytes archive, std::uint64_t most_bytes,
                  Problems* problems) {
  Posterior posterior;
  Means means;
  std::uint64_t unpacked = 0;
  std::set<std::string> seen;
  const std::vector<host::ZipMember> members = host::ReadZipDirectory(path, archive);
  for (const host::ZipMember& member : members) {
    if (member.name.ends_with("/data.pkl") || member.name == "data.pkl") {
      throw host::Error(path +
                        ": a PyTorch checkpoint; tools/export_posterior.py makes an ONNX file and "
                        "the .npz of its sigmas from it");
    }
  }
  for (const host::ZipMember& member : members) {
    const std::string where = Where(path, member.name);
    std::string key = member.name;
    if (IsPrivate(key)) continue;
    if (!key.ends_with(".npy")) {
      problems->push_back(where + "expected a .npy array");
      continue;
    }
    key.resize(key.size() - 4);
    const std::optional<ArrayName> name = ParseName(where, key, problems);
    if (!name) continue;
    if (!seen.insert(key).second) {
      problems->push_back(where + "the archive holds this name twice");
      continue;
    }
    unpacked += member.uncompressed_bytes;
    if (unpacked > most_bytes) {
      throw host::Error(where + "with it the arrays unpack to " + Text(unpacked) +
                        " bytes, more than the model's parameters can need (" + Text(most_bytes) +
                        ")");
    }
    Collect(problems, [&] {
      host::NpyArray array = host::ReadNpy(where, host::ExtractMember(where, member));
      (name->is_mean ? means : posterior)[name->initializer] = {.shape = std::move(array.shape),
                                                                .values = std::move(array.values)};
    });
  }
  // Where an array is missing because it could not be read, that has been said.
  if (problems->empty()) AddMeans(path, &means, &posterior, problems);
  return posterior;
}

// One tensor of a safetensors header, its byte range checked.
struct TensorEntry {
  std::optional<ArrayName> name;  // nothing: not wanted, only its range counts
  std::string key;
  std::vector<std::uint64_t> shape;
  std::optional<host::FloatFormat> format = {};  // nothing: another type
  std::uint64_t begin = 0, end = 0;              // into the data behind the header
};

std::optional<host::FloatFormat> FindFormat(const std::string& dtype) {
  if (dtype == "F16") return host::FloatFormat::kFloat16;
  if (dtype == "BF16") return host::FloatFormat::kBfloat16;
  if (dtype == "F32") return host::FloatFormat::kFloat32;
  if (dtype == "F64") return host::FloatFormat::kFloat64;
  return std::nullopt;
}

bool ReadUnsigned(const nlohmann::json& array, std::vector<std::uint64_t>* numbers) {
  if (!array.is_array()) return false;
  for (const nlohmann::json& number : array) {
    if (!number.is_number_unsigned()) return false;
    numbers->push_back(number.get<std::uint64_t>());
  }
  return true;
}

TensorEntry ReadEntry(const std::string& where, const std::string& key, const nlohmann::json& json,
                      std::uint64_t data_bytes) {
  TensorEntry entry{.name = {}, .key = key, .shape = {}};
  std::vector<std::uint64_t> range;
  if (!json.is_object() || !json.contains("dtype") || !json["dtype"].is_string() ||
      !json.contains("shape") || !ReadUnsigned(json["shape"], &entry.shape) ||
      !json.contains("data_offsets") || !ReadUnsigned(json["data_offsets"], &range) ||
      range.size() != 2) {
    throw host::Error(where +
                      "expected {\"dtype\": text, \"shape\": [n, ...], \"data_offsets\": [a, b]}");
  }
  entry.begin = range[0];
  entry.end = range[1];
  if (entry.begin > entry.end || entry.end > data_bytes) {
    throw host::Error(where + "data_offsets [" + Text(entry.begin) + ", " + Text(entry.end) +
                      "] are not inside the " + Text(data_bytes) + " bytes of data");
  }
  const std::string dtype = json["dtype"].get<std::string>();
  entry.format = FindFormat(dtype);
  if (!entry.format && !IsPrivate(key)) {
    throw host::Error(where + "dtype \"" + dtype +
                      "\" is not supported (F16, BF16, F32 and F64 are)");
  }
  std::size_t count = 0;
  if (entry.format && (!host::CheckedProduct(entry.shape, kMaxElements, &count) ||
                       count * host::BytesOf(*entry.format) != entry.end - entry.begin)) {
    throw host::Error(where + "the shape and dtype " + dtype + " do not match the " +
                      Text(entry.end - entry.begin) + " bytes of data");
  }
  return entry;
}

nlohmann::json ParseHeader(const std::string& path, Bytes text) {
  const std::string subject = path + ": the safetensors header of " + Text(text.size()) + " bytes ";
  nlohmann::json header =
      host::ParseJson(subject, {reinterpret_cast<const char*>(text.data()), text.size()},
                      "a JSON object of tensors, each named once");
  if (!header.is_object()) throw host::Error(subject + "is not a JSON object");
  return header;
}

// The format allows neither overlaps nor holes: each byte of data belongs to one tensor.
void CheckRanges(const std::string& path, std::vector<TensorEntry>* entries,
                 std::uint64_t data_bytes, Problems* problems) {
  std::sort(entries->begin(), entries->end(), [](const TensorEntry& a, const TensorEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : *entries) {
    if (entry.begin != covered) {
      problems->push_back(Where(path, entry.key) + "data starts at offset " + Text(entry.begin) +
                          ", expected " + Text(covered) +
                          (entry.begin < covered ? " (tensors overlap)" : " (there is a hole)"));
    }
    covered = std::max(covered, entry.end);
  }
  if (covered != data_bytes) {
    problems->push_back(path + ": " + Text(data_bytes - covered) +
                        " bytes after the last tensor belong to none");
  }
}

Posterior ReadSafetensors(const std::string& path, Bytes bytes, Problems* problems) {
  const std::uint64_t header_bytes = host::LoadLittleEndian<std::uint64_t>(bytes.data());
  if (header_bytes > kMaxSafetensorsHeaderBytes || header_bytes > bytes.size() - 8) {
    throw host::Error(path + ": the safetensors header claims " + Text(header_bytes) +
                      " bytes; the file has " + Text(bytes.size()) + " and the limit is " +
                      Text(kMaxSafetensorsHeaderBytes) + "; the file is truncated or damaged");
  }
  const Bytes data = bytes.subspan(8 + static_cast<std::size_t>(header_bytes));
  const nlohmann::json header =
      ParseHeader(path, bytes.subspan(8, static_cast<std::size_t>(header_bytes)));
  std::vector<TensorEntry> entries;
  for (const auto& item : header.items()) {
    const std::string& key = item.key();
    if (key == "__metadata__") continue;
    const std::string where = Where(path, key);
    Collect(problems, [&] {
      TensorEntry entry = ReadEntry(where, key, item.value(), data.size());
      if (!IsPrivate(key)) entry.name = ParseName(where, key, problems);
      entries.push_back(std::move(entry));
    });
  }
  // An entry that could not be read leaves a hole which is no problem of its own.
  if (problems->empty()) CheckRanges(path, &entries, data.size(), problems);
  Posterior posterior;
  Means means;
  if (!problems->empty()) return posterior;
  for (const TensorEntry& entry : entries) {
    if (!entry.name) continue;
    const Bytes values = data.subspan(static_cast<std::size_t>(entry.begin),
                                      static_cast<std::size_t>(entry.end - entry.begin));
    (entry.name->is_mean ? means : posterior)[entry.name->initializer] = {
        .shape = {entry.shape.begin(), entry.shape.end()},
        .values = host::LoadFloats(values, *entry.format)};
  }
  AddMeans(path, &means, &posterior, problems);
  return posterior;
}

}  // namespace

Posterior ReadPosterior(const std::string& path, std::uint64_t most_bytes) {
  constexpr const char* kExpected = "a .npz or .safetensors file with <initializer>.sigma arrays";
  const std::vector<std::uint8_t> bytes = host::ReadRawFile(path, kExpected, kMaxFileBytes);
  Problems problems;
  Posterior posterior;
  if (StartsWith(bytes, "PK")) {
    posterior = ReadNpz(path, bytes, most_bytes, &problems);
  } else if (bytes.size() > 8 && bytes[8] == '{') {
    posterior = ReadSafetensors(path, bytes, &problems);
  } else if (StartsWith(bytes, "\x93NUMPY")) {
    throw host::Error(path + ": a .npy file, which holds one array without a name; expected " +
                      kExpected + " (numpy.savez)");
  } else if (bytes.size() > 1 && bytes[0] == 0x80 && bytes[1] <= 5) {
    throw host::Error(path + ": a Python pickle (an old PyTorch checkpoint?); expected " +
                      kExpected +
                      ": tools/export_posterior.py makes one from a checkpoint, torch.save of a "
                      "state_dict");
  } else {
    throw host::Error(path + ": " + Text(bytes.size()) + " bytes that start with " +
                      host::DescribeStart(bytes) + "; expected " + kExpected +
                      " (\"PK\" at 0, or \"{\" at offset 8)");
  }
  if (!problems.empty()) throw host::Error(problems);
  if (posterior.empty()) {
    throw host::Error(path + ": holds no array, expected " + kExpected +
                      "; for a network without sigmas give --deterministic in its place");
  }
  return posterior;
}

}  // namespace mu8::convert
