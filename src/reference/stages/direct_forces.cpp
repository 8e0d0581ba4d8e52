// SPDX-License-Identifier: BSD-3-Clause
#include "reference/network.hpp"

namespace eqnn::reference {

Value forward(const DirectForcesStage& op, Network& network) {
  const Value& x = network.value(op.features);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    for (std::int32_t a = 0; a < 3; ++a) {
      network.outputs().direct_forces.push_back(network.zeroed(i) ? 0.0 : x.at(i, 1 + a, 0));
    }
  }
  return {};
}

void adjoint(const DirectForcesStage&, Network&) {}

} // namespace eqnn::reference
