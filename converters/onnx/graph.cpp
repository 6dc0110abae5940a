// Reads and checks the container: protobuf, operator sets, initializers, the order of nodes.
// Format: onnx.proto 1.12 (IR version 8), of which later versions are extensions; docs/IR.md of the
// ONNX project.
#include "converters/onnx/graph.h"

#include <algorithm>
#include <limits>
#include <set>

#include "converters/host/bytes.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/words.h"
#include "converters/onnx/external_data.h"
#include "converters/onnx/sort_nodes.h"

namespace mu8::convert {
namespace {

using Problems = std::vector<std::string>;
using Bytes = std::span<const std::uint8_t>;

constexpr std::int64_t kMinOpset = 7;
// Of a single tensor. Protobuf itself stops at 2 GiB a file.
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 31;

bool IsDefaultDomain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

// Base-128 varint (protobuf encoding guide); false at the end of `bytes`.
bool ReadVarint(Bytes bytes, std::size_t* at, std::uint64_t* value) {
  *value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (*at == bytes.size()) return false;
    const std::uint8_t byte = bytes[(*at)++];
    *value |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

// Why protobuf could not parse `bytes`: walks the fields of ModelProto and says where they stop.
std::string WhyNotModel(Bytes bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t start = at;
    const std::string where = "at offset " + std::to_string(start) + " ";
    std::uint64_t tag = 0, length = 0;
    if (!ReadVarint(bytes, &at, &tag)) return where + "a field tag is cut off: truncated";
    const std::uint64_t field = tag >> 3;
    const std::uint64_t wire_type = tag & 7;
    if (field == 0 || field > 100 || wire_type > 5 || wire_type == 3 || wire_type == 4) {
      return where + "there is no field of an ONNX model; the file starts with " +
             host::DescribeStart(bytes);
    }
    if (wire_type == 0) {
      if (!ReadVarint(bytes, &at, &length)) return where + "a number is cut off: truncated";
      continue;
    }
    if (wire_type == 1) length = 8;
    if (wire_type == 5) length = 4;
    if (wire_type == 2 && !ReadVarint(bytes, &at, &length)) {
      return where + "a field length is cut off: truncated";
    }
    if (length > bytes.size() - at) {
      return where + "field " + std::to_string(field) + (field == 7 ? " (graph)" : "") + " needs " +
             std::to_string(length) + " bytes, " + std::to_string(bytes.size() - at) +
             " are left: truncated";
    }
    at += static_cast<std::size_t>(length);
  }
  return "a field inside the model is damaged";
}

// What other file it is, and how to make an ONNX file of it; empty: unknown.
std::string OtherFormat(Bytes bytes) {
  struct Format {
    std::size_t at;
    std::string_view magic;
    const char* what;
  };
  static constexpr Format kFormats[] = {
      {0, "PK\x03\x04", "a ZIP archive, as torch.save and Keras write; export the network to ONNX"},
      {0, "\x80\x02", "a Python pickle (an old PyTorch checkpoint?); export the network to ONNX"},
      {0, "\x89HDF", "an HDF5 file, as Keras writes; export the network to ONNX (tf2onnx)"},
      {0, "\x1f\x8b", "compressed by gzip; unpack it first"},
      {4, "TFL3", "a TensorFlow Lite model; make the ONNX file of the network it came from"},
      {4, "ORTM", "onnxruntime's own format; give the ONNX file that it was made of"},
  };
  const std::string start(
      bytes.begin(),
      bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 8)));
  for (const Format& format : kFormats) {
    if (start.find(format.magic, format.at) == format.at) return format.what;
  }
  return {};
}

void ParseModel(const std::string& path, OnnxGraph* graph) {
  const std::vector<std::uint8_t> bytes =
      host::ReadRawFile(path, "an ONNX model", std::numeric_limits<std::int32_t>::max());
  if (!graph->model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    const std::string other = OtherFormat(bytes);
    if (!other.empty()) throw host::Error(path + ": no ONNX model but " + other);
    throw host::Error(path + ": not a complete ONNX model (" + std::to_string(bytes.size()) +
                      " bytes): " + WhyNotModel(bytes));
  }
  if (!graph->model.has_graph()) {
    throw host::Error(path + ": the ONNX model (" + std::to_string(bytes.size()) +
                      " bytes) has no graph; the file may be truncated; it starts with " +
                      host::DescribeStart(bytes));
  }
}

// The newest sets change few operators, and add attributes to fewer: CheckAttributes names those
// that are not known.
void CheckOpset(OnnxGraph* graph, Problems* problems) {
  bool is_known = false;
  for (const onnx::OperatorSetIdProto& import : graph->model.opset_import()) {
    if (!IsDefaultDomain(import.domain())) continue;
    if (is_known && import.version() != graph->opset) {
      problems->push_back(graph->path + ": the operator set of ai.onnx is " +
                          std::to_string(graph->opset) + " and " +
                          std::to_string(import.version()) + ", expected one of them");
    }
    is_known = true;
    graph->opset = import.version();
  }
  if (graph->opset < kMinOpset) {
    problems->push_back(graph->path + ": operator set " + std::to_string(graph->opset) +
                        " of ai.onnx is not supported, only " + std::to_string(kMinOpset) +
                        " and later; export the model again (torch.onnx.export with opset_version, "
                        "or onnx.version_converter)");
  }
}

std::size_t TypedCount(const onnx::TensorProto& tensor) {
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      return static_cast<std::size_t>(tensor.float_data_size());
    case onnx::TensorProto::DOUBLE:
      return static_cast<std::size_t>(tensor.double_data_size());
    case onnx::TensorProto::INT64:
      return static_cast<std::size_t>(tensor.int64_data_size());
    default:
      return static_cast<std::size_t>(tensor.int32_data_size());  // INT32, BOOL, half precision
  }
}

}  // namespace

std::string CheckTensor(const onnx::TensorProto& tensor, OnnxConstant* constant) {
  constant->tensor = &tensor;
  if (tensor.dims_size() > static_cast<int>(kMostRank)) {
    return "has " + std::to_string(tensor.dims_size()) + " dimensions, at most " +
           std::to_string(kMostRank) + " are supported";
  }
  constant->dims.assign(tensor.dims().begin(), tensor.dims().end());
  std::vector<std::uint64_t> dims;
  for (const std::int64_t dim : constant->dims) {
    if (dim < 0) return "negative dimension in " + DimsText(constant->dims);
    dims.push_back(static_cast<std::uint64_t>(dim));
  }
  if (!host::CheckedProduct(dims, kMaxElements, &constant->count)) {
    return "shape " + DimsText(constant->dims) + " is too large";
  }
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    return "its data is in another file, which is supported for initializers only";
  }
  const std::size_t width = BytesPerElement(tensor.data_type());
  if (width == 0) {
    return "data type " +
           (onnx::TensorProto::DataType_IsValid(tensor.data_type())
                ? onnx::TensorProto::DataType_Name(tensor.data_type())
                : std::to_string(tensor.data_type())) +
           " is not supported (FLOAT, DOUBLE, FLOAT16, BFLOAT16, INT64, INT32 and BOOL are)" +
           (tensor.data_type() == onnx::TensorProto::INT8 ||
                    tensor.data_type() == onnx::TensorProto::UINT8
                ? "; if the graph is quantized already, export the floating-point network"
                : "");
  }
  const bool raw = tensor.has_raw_data();
  if (raw && TypedCount(tensor) != 0) {
    return "holds " + std::to_string(tensor.raw_data().size()) + " bytes (raw_data) and " +
           std::to_string(TypedCount(tensor)) + " values beside them, expected one of the two";
  }
  const std::size_t found = raw ? tensor.raw_data().size() : TypedCount(tensor);
  const std::size_t expected = raw ? constant->count * width : constant->count;
  if (found != expected) {
    return "holds " + std::to_string(found) + (raw ? " bytes" : " values") + ", its shape " +
           DimsText(constant->dims) + " needs " + std::to_string(expected);
  }
  return {};
}

namespace {

// A damaged tensor stays known by name as a constant without values; it is a problem only if read.
void AddConstant(const std::string& name, const onnx::TensorProto& tensor, bool read,
                 OnnxGraph* graph, Problems* problems) {
  OnnxConstant constant;
  const std::string problem = CheckTensor(tensor, &constant);
  if (!problem.empty()) {
    if (read) problems->push_back(graph->path + ": tensor \"" + name + "\": " + problem);
    constant.tensor = nullptr;
  }
  graph->constants.emplace(name, std::move(constant));
}

// The tensor of a Constant node, whichever attribute gives it; nullptr for strings and sparse ones.
const onnx::TensorProto* ConstantTensor(const onnx::NodeProto& node, OnnxGraph* graph) {
  if (node.attribute_size() != 1) return nullptr;
  const onnx::AttributeProto& attribute = node.attribute(0);
  if (attribute.name() == "value" && attribute.has_t()) return &attribute.t();
  onnx::TensorProto tensor;
  if (attribute.name() == "value_float" || attribute.name() == "value_floats") {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    if (attribute.name() == "value_float") {
      tensor.add_float_data(attribute.f());
    } else {
      tensor.add_dims(attribute.floats_size());
      *tensor.mutable_float_data() = attribute.floats();
    }
  } else if (attribute.name() == "value_int" || attribute.name() == "value_ints") {
    tensor.set_data_type(onnx::TensorProto::INT64);
    if (attribute.name() == "value_int") {
      tensor.add_int64_data(attribute.i());
    } else {
      tensor.add_dims(attribute.ints_size());
      *tensor.mutable_int64_data() = attribute.ints();
    }
  } else {
    return nullptr;
  }
  graph->made.push_back(std::move(tensor));
  return &graph->made.back();
}

// Of two attributes of one name, which of them counts would be a guess.
void CheckNames(const onnx::NodeProto& proto, const OnnxNode& node, const std::string& path,
                Problems* problems) {
  std::set<std::string> names;
  for (const onnx::AttributeProto& attribute : proto.attribute()) {
    if (names.insert(attribute.name()).second) continue;
    problems->push_back(path + ": node \"" + node.name + "\" (" + node.op + "): attribute \"" +
                        attribute.name() + "\" is given twice");
  }
}

OnnxNode MakeNode(const onnx::NodeProto& proto, int index) {
  OnnxNode node;
  node.proto = &proto;
  node.op =
      IsDefaultDomain(proto.domain()) ? proto.op_type() : proto.domain() + "::" + proto.op_type();
  node.name = proto.name().empty() ? proto.op_type() + "#" + std::to_string(index) : proto.name();
  return node;
}

// The one output, or the one of that name.
void ChooseOutput(const std::string& wanted, OnnxGraph* graph, Problems* problems) {
  const auto& outputs = graph->model.graph().output();
  std::vector<std::string> names;
  for (const onnx::ValueInfoProto& output : outputs) {
    names.push_back(output.name());
    if (output.name() == wanted) graph->output = &output;
  }
  if (graph->output != nullptr) return;
  if (!wanted.empty()) {
    problems->push_back(graph->path + ": the graph has no output \"" + wanted + "\"; it has " +
                        (names.empty() ? "none" : host::NameList(names)));
  } else if (outputs.size() != 1) {
    problems->push_back(graph->path + ": the graph has " + std::to_string(outputs.size()) +
                        " outputs" + (names.empty() ? "" : " (" + host::NameList(names) + ")") +
                        ", expected one; --output-name says which is wanted, or several to be "
                        "joined, A,B");
  }
  if (!outputs.empty()) graph->output = &outputs[0];
}

// Several outputs: a node that joins them becomes the graph's output. Names that no output has are
// for ChooseOutput to complain of.
void JoinOutputs(const std::string& wanted, OnnxGraph* graph) {
  const std::vector<std::string_view> names = host::Split(wanted, ',');
  onnx::GraphProto* proto = graph->model.mutable_graph();
  const auto is_output = [&](std::string_view name) {
    return std::ranges::any_of(proto->output(),
                               [&](const auto& output) { return output.name() == name; });
  };
  if (names.size() < 2 || !std::ranges::all_of(names, is_output) || is_output(wanted)) return;
  for (const std::string_view name : names) {
    if (std::ranges::count(names, name) == 1) continue;
    throw host::Error(graph->path + ": --output-name names \"" + std::string(name) +
                      "\" twice, expected different outputs to join");
  }
  onnx::NodeProto* join = proto->add_node();
  join->set_op_type("Concat");
  join->set_name(kJoinNode);
  for (const std::string_view name : names) join->add_input(std::string(name));
  join->add_output(wanted);
  proto->add_output()->set_name(wanted);
}

// Marks the nodes that the first output depends on. What nothing reads (exporters leave such nodes
// behind) is neither converted nor reported.
std::vector<char> NeededNodes(const onnx::GraphProto& graph, const std::string& wanted) {
  std::map<std::string, int> producer;
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& output : graph.node(i).output()) producer.emplace(output, i);
  }
  std::vector<char> needed(static_cast<std::size_t>(graph.node_size()), 0);
  std::vector<std::string> pending;
  pending.push_back(wanted);
  while (!pending.empty()) {
    const auto found = producer.find(pending.back());
    pending.pop_back();
    if (found == producer.end() || needed[static_cast<std::size_t>(found->second)] != 0) continue;
    needed[static_cast<std::size_t>(found->second)] = 1;
    for (const std::string& input : graph.node(found->second).input()) {
      if (!input.empty()) pending.push_back(input);
    }
  }
  return needed;
}

void CollectInitializers(const std::vector<char>& needed, OnnxGraph* graph, Problems* problems) {
  const onnx::GraphProto& proto = graph->model.graph();
  std::set<std::string> read;
  for (int i = 0; i < proto.node_size(); ++i) {
    if (needed[static_cast<std::size_t>(i)] == 0) continue;
    read.insert(proto.node(i).input().begin(), proto.node(i).input().end());
  }
  LoadExternalData(graph->path, read, &graph->model, problems);
  int unnamed = 0;
  for (const onnx::TensorProto& tensor : proto.initializer()) {
    // An empty name stands for an input that is left out.
    if (tensor.name().empty()) {
      ++unnamed;
      continue;
    }
    if (graph->constants.contains(tensor.name())) {
      problems->push_back(graph->path + ": initializer \"" + tensor.name() + "\" is defined twice");
      continue;
    }
    // Why external data could not be read has been said.
    const bool is_external = tensor.data_location() == onnx::TensorProto::EXTERNAL;
    AddConstant(tensor.name(), tensor, read.contains(tensor.name()) && !is_external, graph,
                problems);
  }
  if (unnamed > 0) {
    problems->push_back(graph->path + ": " + std::to_string(unnamed) +
                        (unnamed == 1 ? " initializer has" : " initializers have") +
                        " no name, expected one for each");
  }
  for (const onnx::SparseTensorProto& tensor : proto.sparse_initializer()) {
    problems->push_back(graph->path + ": tensor \"" + tensor.values().name() +
                        "\": sparse initializers are not supported; export it dense");
  }
}

// Splits the nodes into constants and those the importer has to convert.
void CollectNodes(const std::vector<char>& needed, OnnxGraph* graph, Problems* problems) {
  const onnx::GraphProto& proto = graph->model.graph();
  std::set<std::string> written;
  if (graph->input != nullptr) written.insert(graph->input->name());
  for (const auto& [name, constant] : graph->constants) written.insert(name);
  for (int i = 0; i < proto.node_size(); ++i) {
    const onnx::NodeProto& node_proto = proto.node(i);
    OnnxNode node = MakeNode(node_proto, i);
    // Of all nodes: which of two is read would be a guess.
    for (const std::string& output : node_proto.output()) {
      if (!output.empty() && !written.insert(output).second) {
        problems->push_back(graph->path + ": tensor \"" + output +
                            "\" is written twice, again by \"" + node.name + "\"");
      }
    }
    if (needed[static_cast<std::size_t>(i)] == 0) continue;
    CheckNames(node_proto, node, graph->path, problems);
    if (node.op == "Constant" && node_proto.output_size() == 1) {
      const onnx::TensorProto* tensor = ConstantTensor(node_proto, graph);
      if (tensor != nullptr) {
        AddConstant(node_proto.output(0), *tensor, true, graph, problems);
        continue;
      }
    }
    graph->nodes.push_back(std::move(node));
  }
}

void CollectInputs(OnnxGraph* graph, Problems* problems) {
  const onnx::GraphProto& proto = graph->model.graph();
  std::vector<std::string> names;
  for (const onnx::ValueInfoProto& input : proto.input()) {
    if (graph->constants.contains(input.name())) continue;  // IR version 3 lists initializers, too
    if (names.empty()) graph->input = &input;
    names.push_back(input.name());
  }
  if (names.size() != 1) {
    problems->push_back(graph->path + ": the graph has " + std::to_string(names.size()) +
                        " inputs" + (names.empty() ? "" : " (" + host::NameList(names) + ")") +
                        ", expected one");
  }
}

}  // namespace

void LoadOnnx(const std::string& path, const std::string& output, OnnxGraph* graph,
              std::vector<std::string>* problems) {
  graph->path = path;
  ParseModel(path, graph);
  CheckOpset(graph, problems);
  JoinOutputs(output, graph);
  ChooseOutput(output, graph, problems);
  const std::vector<char> needed = NeededNodes(
      graph->model.graph(), graph->output == nullptr ? std::string() : graph->output->name());
  CollectInitializers(needed, graph, problems);
  CollectInputs(graph, problems);
  CollectNodes(needed, graph, problems);
  SortNodes(graph, problems);
}

}  // namespace mu8::convert
