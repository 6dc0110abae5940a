#include "tools/sign/signature.h"

#include <sodium.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/files.h"

namespace mu8::sign {
namespace {

constexpr std::size_t kMaxKeyFileBytes = 4096;
// DER before the key: RFC 8410 sections 4 and 7.
constexpr std::array<std::uint8_t, 12> kPublicPrefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                        0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::array<std::uint8_t, 16> kSecretPrefix = {
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

// The key behind `prefix` in the PEM block of `label`.
Key ReadKey(const std::string& path, std::string_view label, std::span<const std::uint8_t> prefix) {
  const std::string kind = "an Ed25519 key, PEM of " + std::string(label);
  const std::string text = host::ReadTextFile(path, kind, kMaxKeyFileBytes);
  const std::string begin = "-----BEGIN " + std::string(label) + "-----";
  const std::string end = "-----END " + std::string(label) + "-----";
  const std::size_t from = text.find(begin);
  const std::size_t to = from == std::string::npos ? from : text.find(end, from);
  if (to == std::string::npos) throw host::Error(path + ": expected " + kind);
  const std::size_t at = from + begin.size();
  std::vector<std::uint8_t> der(kMaxKeyFileBytes);
  std::size_t bytes = 0;
  if (sodium_base642bin(der.data(), der.size(), text.data() + at, to - at, "\r\n ", &bytes, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0) {
    throw host::Error(path + ": its PEM is no base64, expected " + kind);
  }
  if (bytes != prefix.size() + kKeyBytes ||
      !std::equal(prefix.begin(), prefix.end(), der.begin())) {
    throw host::Error(path + ": a key of another kind, expected " + kind);
  }
  Key key;
  std::copy_n(der.begin() + static_cast<std::ptrdiff_t>(prefix.size()), kKeyBytes, key.begin());
  sodium_memzero(der.data(), der.size());
  return key;
}

void Start() {
  if (sodium_init() < 0) throw host::Error("libsodium cannot start");
}

}  // namespace

Key ReadSecretKey(const std::string& path) { return ReadKey(path, "PRIVATE KEY", kSecretPrefix); }

Key ReadPublicKey(const std::string& path) { return ReadKey(path, "PUBLIC KEY", kPublicPrefix); }

Signature Sign(std::span<const std::uint8_t> bytes, const Key& secret) {
  Start();
  Key key;
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> both;
  crypto_sign_seed_keypair(key.data(), both.data(), secret.data());
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, bytes.data(), bytes.size(), both.data());
  sodium_memzero(both.data(), both.size());
  return signature;
}

bool IsValid(std::span<const std::uint8_t> bytes, const Signature& signature, const Key& key) {
  Start();
  return crypto_sign_verify_detached(signature.data(), bytes.data(), bytes.size(), key.data()) == 0;
}

}  // namespace mu8::sign
