// SPDX-License-Identifier: BSD-3-Clause
// The values that stages of a plan read and write, and their names in logs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace eqnn::plan {

/// Index into Plan::values. kNoValue: none.
using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

/// Rows of a node with the same number of channels.
struct Block {
  std::int32_t components = 0;
  std::int32_t channels = 0;
  /// Number of channels that a row has room for. SIMD loops that end within a vector may write
  /// zeros to the rest.
  std::int32_t reserved = 0;
};

/// Node features, one block of rows [components, channels] after another, and, during the reverse
/// pass, their adjoint. Values with the same buffer are never alive together.
struct NodeValue {
  std::string name;
  std::vector<Block> blocks;
  std::int32_t components = 0; ///< in all blocks together
  std::int32_t channels = 0;   ///< 0 if blocks have different numbers
  bool on_ghosts = false;      ///< read for neighbors, so ghost rows exist and are exchanged
  std::int32_t buffer = -1, adjoint_buffer = -1;
};

/// Whether an adjoint stage is the first to write dE/d(input), or adds to it.
enum class Write { Overwrite, Add };

/// A value that a stage reads, and how its adjoint writes the gradient.
struct Input {
  ValueId value = kNoValue;
  Write adjoint = Write::Add;
};

/// Names of a plan's values, for logs.
class ValueNames {
public:
  explicit ValueNames(const std::vector<NodeValue>& values)
      : values_(values) {}

  /// "x [4, 32] in 0/1 = ": a stage's output with its size and its buffers.
  std::string out(ValueId v) const;
  /// "x (+=)" or "x (=)": an input, and whether the adjoint adds to its gradient or overwrites it.
  std::string in(const Input& input) const;

private:
  const std::vector<NodeValue>& values_;
};

} // namespace eqnn::plan
