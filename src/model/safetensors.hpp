// SPDX-License-Identifier: BSD-3-Clause
// The safetensors container: the length of the header (8 bytes), a JSON header, the bytes of the
// tensors. https://github.com/huggingface/safetensors
#pragma once

#include "model/model_spec.hpp"

#include <map>
#include <string>

namespace eqnn {

/// A stored tensor. Floating-point and integer types are converted to double.
struct StoredTensor {
  std::string dtype; ///< "F64", "F32", "I64", "BOOL", ...
  Tensor tensor;
  std::string bytes; ///< raw bytes in the file
};

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::map<std::string, StoredTensor> tensors;
};

/// Parses the bytes of a file. Throws Error, with a message that starts with `name`, unless they
/// are a well-formed safetensors file.
Safetensors parse_safetensors(const std::string& bytes, const std::string& name);

/// Returns the whole content of a file. Throws Error if it cannot be read.
std::string read_file(const std::string& path);

} // namespace eqnn
