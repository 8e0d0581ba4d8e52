// SPDX-License-Identifier: BSD-3-Clause
#include "reference/network.hpp"
#include "stages/stage_case.hpp"

#include <gtest/gtest.h>

namespace eqnn::test {

/// It begins the reverse pass, so that it has no adjoint to be held against: see below.
std::vector<StageCase> energy_cases() { return {}; }

TEST(Energy, SumsItsTermsWithTheScaleOfTheSpecies) {
  GraphBuilder build({1, 6}, 4.0, 0, Parity::So3, 1);
  const StageIndex x = build.input({{0, false, 1}});
  const ModelSpec model = build.finish({x});
  EdgeList atoms;
  atoms.n_centers = atoms.n_nodes = 2;
  atoms.begin = {0, 0, 0};
  atoms.species = {1, 0};
  reference::Network network(model, atoms);
  reference::Value of_x(2, 1, 1);
  of_x.data = {0.5, -2.0};
  (void)network.forward_alone(1, {of_x});
  EXPECT_EQ(network.outputs().energy,
            (std::vector<double>{1.4 * 0.5 - 0.7 - 2.0, 1.3 * -2.0 - 0.7 - 1.0}));
  EXPECT_EQ(network.adjoint_alone(1, {})[0].data,
            (std::vector<double>{model.energy.scale[1], model.energy.scale[0]}));
}

} // namespace eqnn::test
