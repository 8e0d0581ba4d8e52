// SPDX-License-Identifier: BSD-3-Clause
// The execution plan: flat tables in double, stages in order, buffers assigned. It names no
// architecture. Made by compile(). The fields and member functions of each stage are in
// plan/stages/NAME.hpp.
#pragma once

#include "base/stages.hpp"
#include "base/variant_of.hpp"
#include "plan/all_stages.hpp"
#include "plan/tables.hpp"
#include "plan/values.hpp"

#include <variant>

namespace eqnn::plan {

/// The member functions of every alternative tell compile() what it must know. None has a default:
/// a stage that lacks one does not build.
///   ValueId output() const                          the value it computes, or kNoValue
///   std::vector<Input*> inputs()                    in the order in which its adjoint writes them
///   std::vector<ValueId> saved_for_adjoint() const  values that its adjoint reads
///   std::vector<ValueId> read_on_ghosts() const     inputs whose rows it reads for neighbors
///   Input* residual()                               optional input for a term to add, or null
///   void make(ValueId)                              changes the value that it computes
///   std::string describe(const ValueNames&) const   one line for logs
#define EQNN_STAGE_TYPE(Type, name) , Type
using Stage = VariantOf<void EQNN_PLAN_STAGES(EQNN_STAGE_TYPE)>;
#undef EQNN_STAGE_TYPE

struct Plan {
  double cutoff = 0.0; ///< Angstrom
  std::int32_t l_max = 0;
  std::int32_t harmonics = 0; ///< components of Y that stages read; 0: none
  bool direct_forces = false;
  std::vector<SphereMethod> products;     ///< of each product or polynomial on the sphere
  std::vector<SphereMethod> convolutions; ///< of each convolution of functions on the sphere
  std::vector<CouplingMethod> factored;   ///< of each factorized coupling
  std::vector<Coupling> couplings;
  std::vector<RadialTable> radials;
  std::vector<NodeValue> values;
  std::vector<Stage> stages; ///< forward order
  std::vector<Buffer> buffers;
};

/// One line for each table and stage, for logs.
std::string describe(const Plan& plan);

} // namespace eqnn::plan
