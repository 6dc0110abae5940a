// Numbers in files beside the model, and where they are not.
#include <doctest/doctest.h>

#include <filesystem>

#include "tests/converters/onnx/onnx_models.h"

namespace mu8::convert {
namespace {

using namespace testing;

// A folder with a model whose "w" is in the file `location`.
class ExternalModel {
 public:
  ExternalModel() : folder_(TempFile("external").path()) {
    std::filesystem::create_directories(folder_ / "sub");
    Write("model.data", std::string(8, '\0') + Float32Bytes(Count(6)));
  }
  ~ExternalModel() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  const std::filesystem::path& folder() const { return folder_; }

  Network Import(const std::string& location, const std::string& offset,
                 const std::string& length) const {
    OnnxBuilder builder = GemmModel(3, 2);
    onnx::TensorProto* tensor = builder.graph().mutable_initializer(0);
    tensor->clear_float_data();
    tensor->set_data_location(onnx::TensorProto::EXTERNAL);
    const auto add = [&](const char* key, const std::string& value) {
      if (value.empty()) return;
      onnx::StringStringEntryProto* entry = tensor->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", location), add("offset", offset), add("length", length);
    Write("model.onnx", builder.Bytes());
    return ImportOnnx((folder_ / "model.onnx").string(), {});
  }
  std::vector<std::string> Problems(const std::string& location, const std::string& offset = "8",
                                    const std::string& length = "24") const {
    return ProblemsOf([&] { Import(location, offset, length); });
  }

 private:
  std::filesystem::path folder_;
};

TEST_CASE("onnx: external data is read from beside the model") {
  const ExternalModel model;
  CHECK(model.Import("model.data", "8", "24").nodes[0].weights.mu == Count(6));
  CHECK(model.Import("model.data", "8", "").nodes[0].weights.mu == Count(6));
  CHECK(model.Import("./model.data", "8", "24").nodes[0].weights.mu == Count(6));
  model.Write("sub/w", Float32Bytes(Count(6, 1)));
  CHECK(model.Import("sub/w", "", "").nodes[0].weights.mu == Count(6, 1));
}

TEST_CASE("onnx: external data that is not there, or lies elsewhere, is one problem") {
  const ExternalModel model;
  CheckOneProblem(model.Problems("gone.data"),
                  {"numbers of 1 tensor", "\"gone.data\"", "no such file", "beside the model"});
  for (const char* location : {"", "../model.data", "/etc/passwd", "sub/../../x", "sub/.."}) {
    CAPTURE(location);
    CheckOneProblem(model.Problems(location), {"is no path below the model's folder"});
  }
  std::filesystem::create_symlink("/etc/passwd", model.folder() / "link");
  CheckOneProblem(model.Problems("link"), {"link that leaves the model's folder"});
  CheckOneProblem(model.Problems("sub"), {"is a folder"});
  model.Write("lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n");
  CheckOneProblem(model.Problems("lfs"), {"git lfs pull"});
}

TEST_CASE("onnx: external data of another size") {
  const ExternalModel model;
  CheckOneProblem(model.Problems("model.data", "33"), {"\"w\"", "offset \"33\" is not within"});
  CheckOneProblem(model.Problems("model.data", "-1"), {"offset \"-1\" is not within"});
  CheckOneProblem(model.Problems("model.data", "8", "25"), {"length \"25\"", "truncated?"});
  CheckOneProblem(model.Problems("model.data", "8", "18446744073709551615"), {"length"});
  CheckOneProblem(model.Problems("model.data", "8", "20"), {"holds 20 bytes", "needs 24"});
}

}  // namespace
}  // namespace mu8::convert
