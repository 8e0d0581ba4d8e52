// SPDX-License-Identifier: BSD-3-Clause
// SHA-256 (FIPS 180-4), for the hash of model files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace eqnn {

class Sha256 {
public:
  void update(const void* data, std::size_t size);

  void update(const std::string& text) { update(text.data(), text.size()); }

  /// Returns 64 lower-case hexadecimal digits. Do not use the object afterwards.
  std::string hex_digest();

private:
  void compress(const std::uint8_t* block);

  std::array<std::uint32_t, 8> state_{0x6a09e667,
                                      0xbb67ae85,
                                      0x3c6ef372,
                                      0xa54ff53a,
                                      0x510e527f,
                                      0x9b05688c,
                                      0x1f83d9ab,
                                      0x5be0cd19};
  std::array<std::uint8_t, 64> pending_{};
  std::size_t n_pending_ = 0;
  std::uint64_t n_bytes_ = 0;
};

} // namespace eqnn
