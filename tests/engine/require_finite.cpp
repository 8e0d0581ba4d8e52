// SPDX-License-Identifier: BSD-3-Clause
// Whatever is no number is named, with the atom.
#include "engine/require_finite.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <new>
#include <string>

namespace eqnn::engine {
namespace {

class Names final : public NoHalo {
public:
  std::string name_of(std::int32_t node) const override {
    return "atom " + std::to_string(100 + node);
  }
};

std::string refusal(const std::function<void(Outputs&)>& spoil) {
  EdgeList edges;
  edges.n_centers = 2;
  edges.n_nodes = 4;
  edges.begin = {0, 1, 2};
  edges.source = {1, 3};
  Outputs outputs;
  outputs.energy.assign(2, 1.0);
  outputs.edge_gradient.assign(6, 1.0);
  outputs.direct_forces.assign(6, 1.0);
  spoil(outputs);
  try {
    require_finite(edges, outputs, Names());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(RequireFinite, NamesTheFirstThatIsNoNumber) {
  const std::string cure = ", expected a finite number.\nThe structure is far outside the training "
                           "data, or the precision is too low: try precision double.";
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(refusal([](Outputs&) {}), "");
  EXPECT_EQ(refusal([&](Outputs& o) { o.energy[1] = nan; }),
            "the energy of atom 101 is nan" + cure);
  EXPECT_EQ(refusal([&](Outputs& o) { o.direct_forces[2] = inf; }),
            "the direct force on atom 100 is inf" + cure);
  EXPECT_EQ(refusal([&](Outputs& o) { o.edge_gradient[5] = -inf; }),
            "the energy gradient of an edge to atom 103 is -inf" + cure);
}

TEST(FailureOf, IsTheSentenceOfWhatWasThrown) {
  const auto no_memory = [] { return "not enough"; };
  EXPECT_EQ(failure_of(no_memory, [] {}), "");
  EXPECT_EQ(failure_of(no_memory, [] { fail("found ", 1); }), "found 1");
  EXPECT_EQ(failure_of(no_memory, [] { throw std::bad_alloc(); }), "not enough");
}

} // namespace
} // namespace eqnn::engine
