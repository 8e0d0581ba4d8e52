// SPDX-License-Identifier: BSD-3-Clause
// The safetensors container: 8 bytes of length, a JSON header, the tensors' bytes.
// https://github.com/huggingface/safetensors
#pragma once

#include "model/model_spec.hpp"

#include <map>
#include <string>

namespace eqnn {

/// One tensor as stored. Floating-point and integer types are turned into double.
struct StoredTensor {
  std::string dtype; ///< "F64", "F32", "I64", "BOOL", ...
  Tensor tensor;
  std::string bytes; ///< as in the file
};

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::map<std::string, StoredTensor> tensors;
};

/// Throws Error, with `name` in front, for anything that is not a well-formed safetensors file.
Safetensors parse_safetensors(const std::string& bytes, const std::string& name);

/// Whole content of a file; throws Error.
std::string read_file(const std::string& path);

} // namespace eqnn
