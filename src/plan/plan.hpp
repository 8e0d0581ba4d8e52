// SPDX-License-Identifier: BSD-3-Clause
// What will be executed: flat tables in double, stages in order, buffers assigned. Names no
// architecture. Made by compile(). A stage's fields, and what it states of itself, stand in
// plan/stages/NAME.hpp.
#pragma once

#include "base/stages.hpp"
#include "base/variant_of.hpp"
#include "plan/all_stages.hpp"
#include "plan/tables.hpp"
#include "plan/values.hpp"

#include <variant>

namespace eqnn::plan {

/// Every alternative states, by member functions, what the compiler must know of it. None has a
/// default: a stage without one does not compile.
///   ValueId output() const                          the value it makes, or kNoValue
///   std::vector<Input*> inputs()                    in the order in which its adjoint writes them
///   std::vector<ValueId> saved_for_adjoint() const  values that its adjoint reads again
///   std::vector<ValueId> read_on_ghosts() const     inputs whose rows of neighbors it reads
///   Input* residual()                               where it can take a term to add, or null
///   void make(ValueId)                              from now on it makes this value instead
///   std::string describe(const ValueNames&) const   a line for logs and issues
#define EQNN_STAGE_TYPE(Type, name) , Type
using Stage = VariantOf<void EQNN_PLAN_STAGES(EQNN_STAGE_TYPE)>;
#undef EQNN_STAGE_TYPE

struct Plan {
  double cutoff = 0.0; ///< Angstrom
  std::int32_t l_max = 0;
  std::int32_t harmonics = 0; ///< components of Y that stages read directly; 0: none
  bool direct_forces = false;
  std::vector<SphereMethod> products;     ///< of each product or polynomial on the sphere
  std::vector<SphereMethod> convolutions; ///< of each convolution of functions on the sphere
  std::vector<CouplingMethod> factored;   ///< of each coupling that is given in factors
  std::vector<Coupling> couplings;
  std::vector<RadialTable> radials;
  std::vector<NodeValue> values;
  std::vector<Stage> stages; ///< forward order
  std::vector<Buffer> buffers;
};

/// One line a stage, for logs and for issues.
std::string describe(const Plan& plan);

} // namespace eqnn::plan
