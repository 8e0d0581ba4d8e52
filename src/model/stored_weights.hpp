// SPDX-License-Identifier: BSD-3-Clause
// Access to the tensors of a model file by name. Private to src/model.
#pragma once

#include "model/json_reader.hpp"
#include "model/safetensors.hpp"
#include "model/weights.hpp"

#include <array>
#include <map>
#include <set>
#include <string>

namespace eqnn {

/// Returns the tensors of the file by name and checks them. Keeps track of the tensors that were
/// requested.
class StoredWeights {
public:
  StoredWeights(const std::map<std::string, StoredTensor>& tensors, std::string file)
      : tensors_(tensors)
      , file_(std::move(file)) {}

  /// Returns a tensor with the expected shape; -1 stands for any extent. Throws Error for any other
  /// shape or type.
  Tensor take(const JsonReader& name, const std::vector<std::int64_t>& expected) {
    return take(name, expected, {"F64", "F32"});
  }

  Tensor take_integers(const JsonReader& name, const std::vector<std::int64_t>& expected) {
    return take(name, expected, {"I32", "I32"});
  }

  /// Returns the number of parameters. Throws Error for a tensor that no stage uses.
  std::int64_t check_all_used() const;

private:
  Tensor take(const JsonReader& name,
              const std::vector<std::int64_t>& expected,
              const std::array<const char*, 2>& types);

  const std::map<std::string, StoredTensor>& tensors_;
  std::string file_;
  std::set<std::string> used_;
};

} // namespace eqnn
