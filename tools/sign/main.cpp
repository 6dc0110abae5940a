// mu8-sign: README.md.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <limits>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/output_file.h"
#include "tools/sign/signature.h"

namespace mu8::sign {
namespace {

struct Options {
  std::string key, file, signature;
};

std::vector<std::uint8_t> ReadFile(const std::string& path) {
  return host::ReadRawFile(path, "a file to sign", std::numeric_limits<std::uint32_t>::max());
}

std::string SignatureOf(const Options& options) {
  return options.signature.empty() ? options.file + ".sig" : options.signature;
}

void SignFile(const Options& options) {
  const Key key = ReadSecretKey(options.key);
  const std::string path = SignatureOf(options);
  if (host::SameFile(path, options.file)) throw host::Error(path + ": is the file to sign");
  const Signature signature = Sign(ReadFile(options.file), key);
  host::WriteFileAtomically(path, signature.data(), signature.size());
  std::printf("%s: signature of %s\n", path.c_str(), options.file.c_str());
}

void VerifyFile(const Options& options) {
  const Key key = ReadPublicKey(options.key);
  const std::string path = SignatureOf(options);
  const std::vector<std::uint8_t> bytes =
      host::ReadRawFile(path, "a signature of 64 bytes", kSignatureBytes);
  if (bytes.size() != kSignatureBytes) {
    throw host::Error(path + ": has " + std::to_string(bytes.size()) +
                      " bytes, expected a signature of 64");
  }
  Signature signature;
  std::copy(bytes.begin(), bytes.end(), signature.begin());
  if (!IsValid(ReadFile(options.file), signature, key)) {
    throw host::Error(options.file + ": is not what " + path +
                      " was made of, or that was made with another key: do not use it");
  }
  std::printf("%s: signed with the secret of %s\n", options.file.c_str(), options.key.c_str());
}

int Run(int count, char** arguments) {
  CLI::App app("Signs a file with Ed25519, and checks its signature");
  app.require_subcommand(1);
  Options options;
  const auto add = [&](const char* name, const char* what, const char* key, auto* run) {
    CLI::App* command = app.add_subcommand(name, what);
    command->add_option("--key", options.key, key)->required();
    command->add_option("FILE", options.file, "The file, a model for instance")->required();
    command->add_option("--signature", options.signature, "Default: FILE.sig");
    command->callback([&options, run] { run(options); });
  };
  add("sign", "Writes FILE.sig", "Secret key, PEM of `openssl genpkey -algorithm ed25519`",
      SignFile);
  add("verify", "Checks FILE.sig", "Public key, PEM of `openssl pkey -pubout`", VerifyFile);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mu8-sign: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace mu8::sign

int main(int count, char** arguments) { return mu8::sign::Run(count, arguments); }
