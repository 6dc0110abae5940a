// Detached Ed25519 signatures (RFC 8032) by libsodium, with keys in PEM as OpenSSL writes them (RFC
// 8410).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace mu8::sign {

inline constexpr std::size_t kKeyBytes = 32, kSignatureBytes = 64;
using Key = std::array<std::uint8_t, kKeyBytes>;
using Signature = std::array<std::uint8_t, kSignatureBytes>;

// The 32 bytes of a secret or public key's PEM file. Throw host::Error, with what the file is
// instead.
Key ReadSecretKey(const std::string& path);
Key ReadPublicKey(const std::string& path);

Signature Sign(std::span<const std::uint8_t> bytes, const Key& secret);
bool IsValid(std::span<const std::uint8_t> bytes, const Signature& signature, const Key& key);

}  // namespace mu8::sign
