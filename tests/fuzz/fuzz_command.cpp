// The command line: bytes choose words of it, options, names of small files and numbers, or a short
// text of their own, and `mu8` runs with them in a folder of its own. Its exit code is one that it
// documents. What takes long by its purpose is left out: `bench`, `allocate`, and threads.
#include <onnx/onnx_pb.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "tests/converters/array_files.h"
#include "tests/fuzz/target.h"
#include "tests/support/moments_models.h"
#include "tools/mu8/command.h"
#include "tools/mu8/command_line.h"

namespace {

using mu8::convert::testing::Float32Bytes;
using mu8::convert::testing::Npy;
using mu8::convert::testing::Zip;
using mu8::testing::TinyModel;
using mu8::testing::WithMoments;

constexpr const char* kCommands[] = {"predict", "inspect", "eval",   "diff",
                                     "embed",   "convert", "replay", "--version"};

// The files come first.
constexpr const char* kWords[] = {"m.mu8",
                                  "d.mu8",
                                  "v.mu8",
                                  "m.onnx",
                                  "p.npz",
                                  "x.idx",
                                  "x.npy",
                                  "x.npz",
                                  "x.csv",
                                  "p.f32",
                                  "labels",
                                  "plan.json",
                                  "record.json",
                                  "out.mu8",
                                  "--abstain",
                                  "--abstain-fraction",
                                  "--abstain-samples",
                                  "--accept",
                                  "--against",
                                  "--antithetic",
                                  "--assembly",
                                  "--average-bits",
                                  "--batch",
                                  "--calibration",
                                  "--calibration-limit",
                                  "--calibration-passes",
                                  "--check-products",
                                  "--curves",
                                  "--data",
                                  "--deadline",
                                  "--deadline-ms",
                                  "--deterministic",
                                  "--doubt-entropy",
                                  "--engine-noise",
                                  "--engine-weights",
                                  "--head",
                                  "--index",
                                  "--input-layout",
                                  "--json",
                                  "--keep-logits",
                                  "--kernels",
                                  "--labels",
                                  "--layer-bits",
                                  "--limit",
                                  "--margin",
                                  "--max-memory",
                                  "--mean",
                                  "--mean-weights",
                                  "--method",
                                  "--model",
                                  "--moments",
                                  "--moments-images",
                                  "--moments-passes",
                                  "--mu-bits",
                                  "--bits",
                                  "--name",
                                  "--noise",
                                  "--ood",
                                  "--ood-limit",
                                  "--output-mean",
                                  "--output-name",
                                  "--output-std",
                                  "--panel-bytes",
                                  "--posterior",
                                  "--predictions",
                                  "--quantile",
                                  "--recorded",
                                  "--recorded-uncertainty",
                                  "--report",
                                  "--samples",
                                  "--scale",
                                  "--seed",
                                  "--sigma-bits",
                                  "--sigma-importance",
                                  "--sigma-quantizer",
                                  "--std",
                                  "--stop-class",
                                  "--stop-error",
                                  "--stop-within",
                                  "--targets",
                                  "--top",
                                  "--uncertainty",
                                  "--unit",
                                  "--window-step",
                                  "-o",
                                  "--help",
                                  "0",
                                  "1",
                                  "2",
                                  "3",
                                  "4",
                                  "8",
                                  "0.5",
                                  "1e-6",
                                  "-1",
                                  "nan",
                                  "0.1,0.2",
                                  "auto",
                                  "moments",
                                  "sampling",
                                  "scalar",
                                  "softmax",
                                  "values",
                                  "gaussian",
                                  "nchw",
                                  "x.idx#1",
                                  "0.05",
                                  "20"};

std::string Tiny(mu8::testing::TestModel model) {
  const std::vector<std::byte> file = mu8::format::Write(model.content);
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

mu8::testing::TestModel Values() {
  mu8::testing::TestModel model = TinyModel(2);
  model.content.head = mu8::format::Head::kValues;
  return model;
}

std::vector<float> Numbers(std::size_t count, float scale) {
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = scale * static_cast<float>(static_cast<int>(i * 7 % 11) - 5);
  }
  return numbers;
}

// 6 x 6 x 1, flattened, three classes.
std::string Onnx() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(13);
  onnx::GraphProto* const graph = model.mutable_graph();
  graph->set_name("g");
  for (const auto& [name, dims, to] :
       {std::tuple("x", std::vector<std::int64_t>{1, 1, 6, 6}, graph->add_input()),
        std::tuple("y", std::vector<std::int64_t>{1, 3}, graph->add_output())}) {
    to->set_name(name);
    auto* const type = to->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t dim : dims) type->mutable_shape()->add_dim()->set_dim_value(dim);
  }
  onnx::TensorProto* const weights = graph->add_initializer();
  weights->set_name("w");
  weights->set_data_type(onnx::TensorProto::FLOAT);
  weights->add_dims(36);
  weights->add_dims(3);
  weights->set_raw_data(Float32Bytes(Numbers(108, 0.05F)));
  onnx::NodeProto* const flat = graph->add_node();
  flat->set_op_type("Flatten");
  flat->add_input("x");
  flat->add_output("f");
  onnx::NodeProto* const dense = graph->add_node();
  dense->set_name("dense");
  dense->set_op_type("MatMul");
  dense->add_input("f");
  dense->add_input("w");
  dense->add_output("y");
  return model.SerializeAsString();
}

// By kWords; what is not here does not exist until a run writes it.
std::map<std::string, std::string> Files() {
  std::string pictures = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 6};
  for (int i = 0; i < 4 * 36; ++i) pictures += static_cast<char>(i * 37);
  const std::string x = Npy("<f4", "(4, 1, 6, 6)", Float32Bytes(Numbers(144, 0.2F)));
  std::string table = "a,b,y\n";
  for (int i = 0; i < 8; ++i) table += "1.5," + std::to_string(i) + ",2\n";
  return {
      {"m.mu8", Tiny(WithMoments(TinyModel(4)))},
      {"d.mu8", Tiny(TinyModel(4, false))},
      {"v.mu8", Tiny(Values())},
      {"m.onnx", Onnx()},
      {"p.npz",
       Zip({{"w.sigma.npy", Npy("<f4", "(36, 3)", Float32Bytes(std::vector<float>(108, 0.05F)))}})},
      {"x.idx", pictures},
      {"x.npy", x},
      {"x.npz", Zip({{"x.npy", x}, {"y.npy", Npy("<f4", "(4,)", Float32Bytes({0, 1, 2, 0}))}})},
      {"x.csv", table},
      {"p.f32", Float32Bytes(std::vector<float>(12, 1.0F / 3))},
      {"labels", "a\nb\nc\n"},
      {"plan.json", R"({"layers": [{"name": "dense", "mu_bits": 3}]})"},
      {"record.json", R"({"model": {}, "images": [{"replay": {}}]})"}};
}

// Everything that a run may leave lies here.
class Workplace {
 public:
  Workplace() {
    std::string name = (std::filesystem::temp_directory_path() / "mu8_fuzz_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Workplace() { std::filesystem::remove_all(path_); }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  int Run(const std::vector<const char*>& arguments) const {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      if (!files_.contains(entry.path().filename().string())) std::filesystem::remove_all(entry);
    }
    for (const auto& [name, content] : files_) {
      std::ofstream(path_ / name, std::ios::binary) << content;
    }
    const std::filesystem::path here = std::filesystem::current_path();
    std::filesystem::current_path(path_);
    const int code =
        mu8::tool::RunCommandLine(static_cast<int>(arguments.size()), arguments.data());
    std::filesystem::current_path(here);
    return code;
  }

 private:
  std::filesystem::path path_;
  std::map<std::string, std::string> files_ = Files();
};

// A byte is a word, or with the next ones a text of at most 3 characters, none of which leads to
// another folder.
std::vector<std::string> Words(std::span<const std::uint8_t> bytes) {
  std::vector<std::string> words = {"mu8", kCommands[bytes[0] % std::size(kCommands)]};
  for (std::size_t i = 1; i < bytes.size() && words.size() < 24; ++i) {
    if (bytes[i] < std::size(kWords)) {
      words.emplace_back(kWords[bytes[i]]);
      continue;
    }
    const std::size_t length = std::min<std::size_t>(bytes[i] % 4, bytes.size() - i - 1);
    std::string text(reinterpret_cast<const char*>(bytes.data()) + i + 1, length);
    for (char& c : text) {
      if (c == '/' || c == '\0' || c == '~') c = '_';
    }
    words.push_back(text == ".." || text == "." ? "_" : text);
    i += length;
  }
  return words;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 256) return 0;
  static const Workplace workplace;
  const std::vector<std::string> words = Words({data, size});
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  const mu8::fuzz::Limits limits(size, {.bytes = std::size_t{256} << 20, .seconds = 30});
  const int code = workplace.Run(arguments);
  if (code < mu8::tool::kSuccess || code > mu8::tool::kLost) std::abort();
  return 0;
}
