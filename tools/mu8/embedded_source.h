// A .mu8 file as source text: a header of constants and an array in C (and C++) or in assembler,
// for programs that have the model in flash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "converters/host/model_file.h"
#include "mu8/mu8.h"

namespace mu8::tool {

// Names of what the program must have to run a file.
struct Needs {
  std::vector<std::string> operators;  // as `mu8 inspect` names them, sorted
  std::string head;
};
Needs NeedsOf(const host::ModelFile& file);

// What Model::OpenTrusted compares.
std::uint32_t HashOf(const host::ModelFile& file);

struct EmbeddedSource {
  std::string name;             // of everything in it, a C identifier
  const host::ModelFile* file;  // outlives this
  SessionOptions session;       // what the arena's size is for
  bool fixed = false;           // the model's bytes never change (config.h: MU8_WITH_RECHECK)

  // Only lower-case letters, digits and underscores, no digit first: "lenet5_sigma4" of a path
  // "x/LeNet5-sigma4.mu8".
  static std::string NameOf(const std::string& path);
  static bool IsName(const std::string& name);

  std::size_t arena_bytes() const;  // exact
  std::string Header() const;       // <name>.h: C and C++
  std::string Config() const;       // for MU8_CONFIG: what is left out of the library
  std::string Array() const;        // <name>.c: C11, and C++ if it is compiled as that
  std::string Assembly() const;     // <name>.S, the same for the GNU assembler
};

}  // namespace mu8::tool
