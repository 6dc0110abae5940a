// Builds small ONNX models and array files for the importer's tests.
#pragma once

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>

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
#include "tests/converters/array_files.h"

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

}  // namespace mu8::convert::testing
