// Builds small ONNX models and array files for the importer's tests.
#pragma once

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>
#include <zlib.h>

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "converters/host/error.h"
#include "converters/onnx/import.h"

namespace mu8::convert::testing {

using Dims = std::vector<std::int64_t>;
using Floats = std::vector<float>;

// A file in the temporary folder, removed at the end of its scope.
class TempFile {
 public:
  explicit TempFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("mu8_test_" + std::to_string(getpid()) + "_" + name)) {}
  TempFile(const std::string& name, const std::string& content) : TempFile(name) { Write(content); }
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  void Write(const std::string& content) const {
    std::ofstream stream(path_, std::ios::binary | std::ios::trunc);
    stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// first, first + step, ...
inline Floats Count(std::size_t count, float first = 0.0f, float step = 1.0f) {
  Floats values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + step * static_cast<float>(i);
  return values;
}

class OnnxBuilder {
 public:
  // Input "x" of the given dims (0: symbolic), output "y".
  explicit OnnxBuilder(const Dims& input, std::int64_t opset = 13) {
    model_.set_ir_version(7);
    model_.add_opset_import()->set_version(opset);
    graph().set_name("test");
    Input("x", input);
    graph().add_output()->set_name("y");
  }

  onnx::ModelProto& model() { return model_; }
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  OnnxBuilder& Input(const std::string& name, const Dims& dims) {
    onnx::ValueInfoProto* input = graph().add_input();
    input->set_name(name);
    onnx::TypeProto::Tensor* type = input->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    type->mutable_shape();
    for (const std::int64_t dim : dims) {
      onnx::TensorShapeProto::Dimension* d = type->mutable_shape()->add_dim();
      if (dim == 0) {
        d->set_dim_param("batch");
      } else {
        d->set_dim_value(dim);
      }
    }
    return *this;
  }

  static onnx::TensorProto Tensor(const Dims& dims, const Floats& values) {
    onnx::TensorProto tensor;
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t dim : dims) tensor.add_dims(dim);
    for (const float value : values) tensor.add_float_data(value);
    return tensor;
  }
  static onnx::TensorProto Integers(const Dims& values) {
    onnx::TensorProto tensor;
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return tensor;
  }

  OnnxBuilder& Initializer(const std::string& name, onnx::TensorProto tensor) {
    tensor.set_name(name);
    *graph().add_initializer() = std::move(tensor);
    return *this;
  }
  OnnxBuilder& Initializer(const std::string& name, const Dims& dims, const Floats& values) {
    return Initializer(name, Tensor(dims, values));
  }

  OnnxBuilder& Node(const std::string& op, const std::string& name,
                    const std::vector<std::string>& inputs,
                    const std::vector<std::string>& outputs) {
    onnx::NodeProto* node = graph().add_node();
    node->set_op_type(op);
    node->set_name(name);
    for (const std::string& input : inputs) node->add_input(input);
    for (const std::string& output : outputs) node->add_output(output);
    return *this;
  }

  // Attributes of the node added last.
  OnnxBuilder& Int(const std::string& name, std::int64_t value) {
    onnx::AttributeProto* attribute = Attribute(name, onnx::AttributeProto::INT);
    attribute->set_i(value);
    return *this;
  }
  OnnxBuilder& Ints(const std::string& name, const Dims& values) {
    onnx::AttributeProto* attribute = Attribute(name, onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute->add_ints(value);
    return *this;
  }
  OnnxBuilder& Float(const std::string& name, float value) {
    Attribute(name, onnx::AttributeProto::FLOAT)->set_f(value);
    return *this;
  }
  OnnxBuilder& String(const std::string& name, const std::string& value) {
    Attribute(name, onnx::AttributeProto::STRING)->set_s(value);
    return *this;
  }
  OnnxBuilder& TensorAttribute(const std::string& name, const onnx::TensorProto& value) {
    *Attribute(name, onnx::AttributeProto::TENSOR)->mutable_t() = value;
    return *this;
  }

  OnnxBuilder& Metadata(const std::string& key, const std::string& value) {
    onnx::StringStringEntryProto* entry = model_.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
    return *this;
  }

  std::string Bytes() const { return model_.SerializeAsString(); }

  Network Import(const Posterior& posterior = {}) const {
    const TempFile file("model.onnx", Bytes());
    return ImportOnnx(file.path(), posterior);
  }

 private:
  onnx::AttributeProto* Attribute(const std::string& name,
                                  onnx::AttributeProto::AttributeType type) {
    onnx::NodeProto* node = graph().mutable_node(graph().node_size() - 1);
    onnx::AttributeProto* attribute = node->add_attribute();
    attribute->set_name(name);
    attribute->set_type(type);
    return attribute;
  }

  onnx::ModelProto model_;
};

// The problems that `action` throws; empty when it throws none.
template <typename Action>
std::vector<std::string> ProblemsOf(Action action) {
  try {
    action();
  } catch (const host::Error& error) {
    return error.problems();
  }
  return {};
}

// Exactly one problem, which contains each of `parts`.
inline void CheckOneProblem(const std::vector<std::string>& problems,
                            std::initializer_list<const char*> parts) {
  std::string all;
  for (const std::string& problem : problems) all += problem + "\n";
  CAPTURE(all);
  CHECK(problems.size() == 1);
  for (const char* part : parts) {
    CAPTURE(part);
    CHECK(all.find(part) != std::string::npos);
  }
}

template <typename T>
std::string LittleEndian(T number, std::size_t bytes = sizeof(T)) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    text += static_cast<char>(
        static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> (8 * i)));
  }
  return text;
}

inline std::string Float32Bytes(const Floats& values) {
  std::string text;
  for (const float value : values) text += LittleEndian(std::bit_cast<std::uint32_t>(value));
  return text;
}
inline std::string Float64Bytes(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += LittleEndian(std::bit_cast<std::uint64_t>(value));
  return text;
}

// A .npy file, format major.0; `shape` as Python writes it: "(2, 3)".
inline std::string Npy(const std::string& descr, const std::string& shape, const std::string& data,
                       bool fortran_order = false, int major = 1) {
  std::string header = "{'descr': '" + descr +
                       "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  while ((header.size() + 13) % 64 != 0) header += ' ';
  header += '\n';
  std::string npy = "\x93NUMPY";
  npy += static_cast<char>(major);
  npy += '\0';
  npy += LittleEndian(header.size(), major == 1 ? 2 : 4);
  return npy + header + data;
}

inline std::string Deflate(const std::string& data) {
  std::string out(data.size() + 1024, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// A ZIP archive of (name, content) members, as numpy writes it.
inline std::string Zip(const std::vector<std::pair<std::string, std::string>>& members,
                       bool deflated = false, bool zip64 = false) {
  std::string archive, directory;
  for (const auto& [name, content] : members) {
    const std::string stored = deflated ? Deflate(content) : content;
    const std::string common =
        LittleEndian(std::uint16_t{20}) + LittleEndian(std::uint16_t{0}) +
        LittleEndian(static_cast<std::uint16_t>(deflated ? 8 : 0)) +
        LittleEndian(std::uint32_t{0}) +
        LittleEndian(crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()),
                     4) +
        LittleEndian(stored.size(), 4) + LittleEndian(content.size(), 4) +
        LittleEndian(name.size(), 2) + LittleEndian(std::uint16_t{0});
    directory += "PK\x01\x02" + LittleEndian(std::uint16_t{20}) + common + std::string(10, '\0') +
                 LittleEndian(archive.size(), 4) + name;
    archive += "PK\x03\x04" + common + name + stored;
  }
  std::string end = "PK\x05\x06" + std::string(4, '\0') + LittleEndian(members.size(), 2) +
                    LittleEndian(members.size(), 2) + LittleEndian(directory.size(), 4) +
                    LittleEndian(archive.size(), 4) + LittleEndian(std::uint16_t{0});
  if (!zip64) return archive + directory + end;
  const std::uint64_t at = archive.size(), bytes = directory.size(), count = members.size();
  const std::string end64 = "PK\x06\x06" + LittleEndian(std::uint64_t{44}) + std::string(12, '\0') +
                            LittleEndian(count) + LittleEndian(count) + LittleEndian(bytes) +
                            LittleEndian(at);
  const std::string locator = "PK\x06\x07" + std::string(4, '\0') + LittleEndian(at + bytes) +
                              LittleEndian(std::uint32_t{1});
  return archive + directory + end64 + locator + end;
}

}  // namespace mu8::convert::testing
