#include "tools/mu8/embedded_source.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>

#include "converters/network/network.h"
#include "formats/layout.h"
#include "tools/mu8/file_summary.h"

namespace mu8::tool {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string Upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

// A C string literal; every byte that is no plain character as three octal digits, which no digit
// behind them can lengthen.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\' && c != '?') {  // ??x: a trigraph
      quoted += c;
    } else {
      char octal[5];
      std::snprintf(octal, sizeof(octal), "\\%03o", static_cast<unsigned>(byte));
      quoted += octal;
    }
  }
  return quoted + "\"";
}

// A file's name for a comment: no line ends, no end of the comment.
std::string Plain(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  for (char& c : name) {
    if (!IsLetter(c) && !IsDigit(c) && std::strchr("._-+ ", c) == nullptr) c = '_';
  }
  return name;
}

std::string Hex(std::uint64_t value, int digits) {
  char text[17];
  std::snprintf(text, sizeof(text), "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

// The file's bytes as little-endian words of 64 bits, four on a line: an eighth of the tokens that
// bytes would be, so compilers take long models quickly. A file is a multiple of 64 bytes.
std::string Words(std::span<const std::byte> bytes, const char* line, const char* between,
                  const char* line_end) {
  constexpr std::size_t kOnALine = 4;
  std::string text;
  text.reserve(bytes.size() * 3);
  for (std::size_t i = 0; i < bytes.size() / 8; ++i) {
    std::uint64_t word = 0;
    for (std::size_t k = 0; k < 8; ++k) {
      word |= std::uint64_t{static_cast<std::uint8_t>(bytes[8 * i + k])} << (8 * k);
    }
    text += i % kOnALine == 0 ? line : between;
    text += "0x" + Hex(word, 16);
    if (i % kOnALine == kOnALine - 1) text += line_end;
  }
  return text;
}

// `pattern` with every @KEY@ replaced by its value.
std::string Filled(std::string_view pattern, const std::map<std::string, std::string>& values) {
  std::string text;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t begin = std::min(pattern.find('@', at), pattern.size());
    text += pattern.substr(at, begin - at);
    if (begin == pattern.size()) break;
    const std::size_t end = pattern.find('@', begin + 1);
    text += values.at(std::string(pattern.substr(begin + 1, end - begin - 1)));
    at = end + 1;
  }
  return text;
}

// What mu8/config.h can leave out, and whether a model or a session needs it.
struct Part {
  const char* macro;
  bool needed;
};

std::vector<Part> PartsOf(const host::ModelFile& file, const SessionOptions& session, bool fixed) {
  std::set<std::string> operators;
  std::set<int> sigma_bits;
  bool depthwise = false, residual = false, mean_codes = false;
  for (const LayerSummary& layer : Summarize(file).layers) {
    const format::LayerRecord& record = layer.record;
    operators.insert(OpName(record.op));
    depthwise = depthwise || (record.flags & format::kLayerDepthwise) != 0;
    residual = residual || layer.residual();
    if ((record.flags & format::kLayerBayesian) != 0) sigma_bits.insert(record.sigma_bits);
    mean_codes = mean_codes || (record.mu_bits != 0 && record.mu_bits != 8);
  }
  const auto has = [&](const char* op) { return operators.contains(op); };
  const auto head = file.model.head();
  return {{"OP_DEPTHWISE", depthwise},
          {"OP_RESIDUAL", residual},
          {"OP_MAX_POOL", has("max_pool")},
          {"OP_AVERAGE_POOL", has("average_pool")},
          {"OP_LOOKUP", has("lookup")},
          {"OP_ADD", has("add")},
          {"OP_MULTIPLY", has("multiply")},
          {"OP_SLICE", has("slice")},
          {"OP_CONCAT", has("concat")},
          {"OP_GATHER", has("gather")},
          {"OP_EXTREMUM", has("maximum") || has("minimum")},
          {"OP_CONSTANT", has("constant")},
          {"SIGMA_8", sigma_bits.contains(8)},
          {"SIGMA_4", sigma_bits.contains(4)},
          {"SIGMA_2", sigma_bits.contains(2)},
          {"SIGMA_1", sigma_bits.contains(1)},
          {"MEAN_CODES", mean_codes},
          {"HEAD_SOFTMAX", head == Head::kSoftmax},
          {"HEAD_SIGMOID", head == Head::kSigmoid},
          {"HEAD_VALUES", head == Head::kValues},
          {"HEAD_GAUSSIAN", head == Head::kGaussian},
          {"HEAD_RECONSTRUCTION", head == Head::kReconstruction},
          {"EARLY_ENDINGS", session.stop.rule != StopRule::kNone || session.keep_going != nullptr},
          {"ANTITHETIC", session.noise == Noise::kAntithetic},
          {"WORKERS", session.workers > 1},
          {"CHECK_PRODUCTS", session.check_products},
          {"MOMENTS", session.method == Method::kMoments},
          {"RECHECK", !fixed},
          {"STREAMED", false}};  // the array is in memory
}

constexpr const char* kHeader =
    R"(// @file@ for a device's flash, written by `mu8 embed`: do not edit.
#pragma once

#include <stdint.h>

#define @NAME@_BYTES @bytes@
#define @NAME@_HASH 0x@hash@u  // of Model::OpenTrusted
#define @NAME@_ARENA_BYTES @arena@  // for these options
#define @NAME@_MC_SAMPLES @samples@
#define @NAME@_BATCH @batch@
#define @NAME@_PANEL_BYTES @panel_bytes@
#define @NAME@_INPUT_HEIGHT @height@
#define @NAME@_INPUT_WIDTH @width@
#define @NAME@_INPUT_CHANNELS @channels@
#define @NAME@_INPUT_SIZE @inputs@  // @kind@, NHWC
#define @NAME@_OUTPUTS @outputs@  // head @head@
#define @NAME@_OUTPUT_SIZE @output_size@

#ifdef __cplusplus
extern "C" {
#endif

// The file. In C++: Model::OpenTrusted(std::as_bytes(std::span(@name@_mu8)), @NAME@_HASH, ...).
extern const uint64_t @name@_mu8[@NAME@_BYTES / 8];
extern const char* const @name@_labels[@NAME@_OUTPUTS];  // UTF-8

#ifdef __cplusplus
}
#endif
)";

constexpr const char* kArray = R"(// @file@, written by `mu8 embed`: do not edit.
@include@

#ifdef __cplusplus
alignas(@alignment@)
#else
_Alignas(@alignment@)
#endif
const uint64_t @name@_mu8[@NAME@_BYTES / 8] = {
@words@};

const char* const @name@_labels[@NAME@_OUTPUTS] = {
@labels@};
)";

constexpr const char* kAssembly = R"(// @file@, written by `mu8 embed`: do not edit.
    .section .rodata.@name@_mu8, "a"
    .balign @alignment@
    .global @name@_mu8
    .type @name@_mu8, %object
    .size @name@_mu8, @bytes@
@name@_mu8:
@words@
#if __SIZEOF_POINTER__ == 8
#define POINTER .8byte
#else
#define POINTER .4byte
#endif
    .section .rodata.@name@_labels, "a"
    .balign __SIZEOF_POINTER__
    .global @name@_labels
    .type @name@_labels, %object
    .size @name@_labels, @outputs@ * __SIZEOF_POINTER__
@name@_labels:
@labels@
#ifdef __ELF__
    .section .note.GNU-stack, "", %progbits  // no executable stack
#endif
)";

// The table of pointers, then the texts.
std::string LabelsInAssembly(const std::vector<std::string>& labels) {
  std::string table, texts;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::string name = ".Llabel" + std::to_string(i);
    table += "    POINTER " + name + "\n";
    texts += name + ": .asciz " + Quoted(labels[i]) + "\n";
  }
  return table + texts;
}

std::string LabelsInC(const std::vector<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) text += "    " + Quoted(label) + ",\n";
  return text;
}

}  // namespace

Needs NeedsOf(const host::ModelFile& file) {
  std::set<std::string> operators;
  for (const LayerSummary& layer : Summarize(file).layers) {
    operators.insert(OpName(layer.record.op));
  }
  return {{operators.begin(), operators.end()},
          convert::HeadName(static_cast<format::Head>(file.model.head()))};
}

std::uint32_t HashOf(const host::ModelFile& file) { return Model::TrustedHash(file.bytes.span()); }

std::string EmbeddedSource::NameOf(const std::string& path) {
  std::string name = std::filesystem::path(path).stem().string();
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!IsLetter(c) && !IsDigit(c)) c = '_';
  }
  return name.empty() || IsDigit(name.front()) || name.front() == '_' ? "model_" + name : name;
}

bool EmbeddedSource::IsName(const std::string& name) {
  for (const char c : name) {
    if (!IsLetter(c) && !IsDigit(c) && c != '_') return false;
  }
  return !name.empty() && IsLetter(name.front());
}

std::size_t EmbeddedSource::arena_bytes() const { return ArenaBytes(file->model, session); }

std::string EmbeddedSource::Header() const {
  const Model& model = file->model;
  const auto text = [](std::uint64_t number) { return std::to_string(number); };
  return Filled(kHeader,
                {{"file", Plain(file->path)},
                 {"name", name},
                 {"NAME", Upper(name)},
                 {"bytes", text(file->bytes.size())},
                 {"hash", Hex(HashOf(*file), 8)},
                 {"arena", text(arena_bytes())},
                 {"samples", text(session.mc_samples)},
                 {"batch", text(session.batch)},
                 {"panel_bytes", text(session.panel_bytes)},
                 {"height", text(model.input_height())},
                 {"width", text(model.input_width())},
                 {"channels", text(model.input_channels())},
                 {"inputs", text(model.input_size())},
                 {"kind", model.input_kind() == InputKind::kNumbers ? "float" : "uint8_t or float"},
                 {"outputs", text(model.class_count())},
                 {"head", NeedsOf(*file).head},
                 {"output_size", text(model.output_size())}});
}

std::string EmbeddedSource::Config() const {
  std::string text = "// What " + Plain(file->path) +
                     " does not need of mu8, for -DMU8_CONFIG=" + name +
                     "_config.h (mu8/config.h); written by\n// `mu8 embed`: do not edit.\n"
                     "#pragma once\n\n";
  for (const Part& part : PartsOf(*file, session, fixed)) {
    text += std::string("#define MU8_WITH_") + part.macro + (part.needed ? " 1\n" : " 0\n");
  }
  return text;
}

std::string EmbeddedSource::Array() const {
  return Filled(kArray, {{"file", Plain(file->path)},
                         {"name", name},
                         {"NAME", Upper(name)},
                         {"include", "#include \"" + name + ".h\""},
                         {"alignment", std::to_string(format::kFileAlignment)},
                         {"words", Words(file->bytes.span(), "    ", "u, ", "u,\n")},
                         {"labels", LabelsInC(host::ClassNames(file->model))}});
}

std::string EmbeddedSource::Assembly() const {
  return Filled(kAssembly, {{"file", Plain(file->path)},
                            {"name", name},
                            {"bytes", std::to_string(file->bytes.size())},
                            {"outputs", std::to_string(file->model.class_count())},
                            {"alignment", std::to_string(format::kFileAlignment)},
                            {"words", Words(file->bytes.span(), "    .8byte ", ", ", "\n")},
                            {"labels", LabelsInAssembly(host::ClassNames(file->model))}});
}

}  // namespace mu8::tool
