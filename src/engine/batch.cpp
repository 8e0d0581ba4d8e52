// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/batch.hpp"

#include "engine/pack.hpp"

#include <utility>

namespace eqnn {

std::string_view name_of(Failure failure) {
  switch (failure) {
  case Failure::None:
    return "ok";
  case Failure::UnknownElement:
    return "unknown_element";
  case Failure::NotFinite:
    return "nan";
  default:
    return "invalid";
  }
}

std::vector<StructureResult> evaluate_structures(const Model& model,
                                                 Potential& potential,
                                                 const std::vector<Structure>& structures,
                                                 const BatchOptions& options) {
  const std::int32_t at_once =
      options.atoms_at_once > 0 ? options.atoms_at_once : engine::default_atoms_at_once(potential);
  std::vector<StructureResult> results(structures.size());
  engine::Pass pass(potential, options.wanted, [&](std::size_t k, StructureResult result) {
    results[k] = std::move(result);
  });
  const auto goes_on = [&](std::size_t done) {
    return !options.progress || options.progress(done, structures.size());
  };
  for (std::size_t k = 0; k < structures.size(); ++k) {
    engine::EdgesOrFailure one = engine::edges_or_failure(structures[k], model);
    if (one.failure != Failure::None) {
      results[k] = engine::failed(one.failure, std::move(one.reason));
      continue;
    }
    if (pass.n_atoms() > 0 && one.edges.n_centers > at_once - pass.n_atoms()) {
      pass.run();
      if (!goes_on(k)) {
        results.resize(k);
        return results;
      }
    }
    pass.add(k, one.edges);
  }
  if (pass.n_atoms() > 0) {
    pass.run();
  }
  (void)goes_on(structures.size());
  return results;
}

} // namespace eqnn
