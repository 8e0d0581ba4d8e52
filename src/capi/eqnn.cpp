// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/eqnn.h"

#include "base/cpu_features.hpp"
#include "base/error.hpp"
#include "base/free_memory.hpp"
#include "capi/model.hpp"
#include "capi/structures.hpp"
#include "engine/observe.hpp"
#include "eqnn/eqnn.hpp"
#include "reference/evaluate.hpp"
#include "self_test/self_test.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using eqnn::capi::compiled;
using eqnn::capi::guarded;
using eqnn::capi::last_error;

const eqnn::Observables&
evaluate(eqnn_model& model, const eqnn::EdgeList& edges, eqnn::Wanted wanted) {
  if (model.potential) {
    return model.potential->evaluate(edges, wanted);
  }
  const eqnn::Outputs outputs = eqnn::reference::evaluate(model.model.spec(), edges).outputs;
  eqnn::engine::observe(edges, outputs, model.model.forces(), wanted, model.of_reference);
  return model.of_reference;
}

void require_virial(const eqnn_model& model, const double* virial) {
  if (virial != nullptr && model.model.forces() == eqnn::ForceKind::Direct) {
    eqnn::fail(model.model.file(),
               ": forces are direct, so there is no virial. Ask for energy and forces only.");
  }
}

eqnn::Progress progress_of(eqnn_progress told, void* context) {
  if (told == nullptr) {
    return {};
  }
  return [=](std::size_t done, std::size_t all) { return told(context, done, all) == 0; };
}

template <class Numbers> void copy(const Numbers& from, double* to) {
  if (to != nullptr) {
    std::copy(from.begin(), from.end(), to);
  }
}

} // namespace

std::string& eqnn::capi::last_error() {
  thread_local std::string text;
  return text;
}

const char* eqnn_version(void) { return eqnn::version(); }

const char* eqnn_last_error(void) { return last_error().c_str(); }

int eqnn_validate(const char* bytes, size_t n_bytes, const char* name, int load) {
  return guarded([&] {
    const eqnn::Model model =
        bytes == nullptr ? eqnn::Model::open(name) : eqnn::Model::parse({bytes, n_bytes}, name);
    if (load == 0) {
      return;
    }
    eqnn::PotentialOptions options;
    options.table_cache = eqnn::make_table_cache();
    for (const char* precision : {"double", "mixed", "single"}) {
      options.precision = eqnn::precision_from_name(precision);
      try {
        eqnn::Potential potential(model, options);
        const eqnn::SelfTestResult result = eqnn::run_self_tests(model, potential);
        eqnn::require_passed(result, model, options.precision);
      } catch (const eqnn::Error& error) {
        eqnn::fail(name, ": in ", precision, " precision: ", error.what());
      }
    }
    if (model.self_tests().empty()) {
      eqnn::fail(name,
                 ": /self_test: no structure, expected at least one to compare a build with the "
                 "exporter.\nExport the model again, or add structures with "
                 "eqnn.self_test.add_self_test().");
    }
  });
}

eqnn_model* eqnn_open(const char* path, const char* evaluator) {
  return eqnn_open_on(path, evaluator, "auto");
}

eqnn_model* eqnn_open_on(const char* path, const char* evaluator, const char* device) {
  return eqnn_open_elements(path, evaluator, device, 0, nullptr);
}

eqnn_model* eqnn_open_elements(const char* path,
                               const char* evaluator,
                               const char* device,
                               size_t n_elements,
                               const int* atomic_numbers) {
  std::unique_ptr<eqnn_model> model;
  guarded([&] {
    // This check must come before any code that was compiled for a specific processor.
    if (const std::string missing = eqnn::missing_cpu_features(); !missing.empty()) {
      eqnn::fail("libeqnn.so was compiled for a processor with ",
                 missing,
                 ", which this one lacks.\nCompile it here, or for all processors with 'make "
                 "MARCH='.");
    }
    eqnn::Model file = eqnn::Model::open(path);
    if (atomic_numbers != nullptr) {
      file = file.with_species({atomic_numbers, atomic_numbers + n_elements});
    }
    model.reset(new eqnn_model{std::move(file), nullptr, "", {}, {}});
    eqnn::PotentialOptions options;
    options.device = eqnn::device_from_name(device);
    if (const std::string name = evaluator; name != "reference") {
      options.precision = eqnn::precision_from_name(name);
      model->potential = std::make_unique<eqnn::Potential>(model->model, options);
      model->description = model->potential->description();
    } else if (options.device == eqnn::Device::Gpu) {
      eqnn::fail(
          "the reference evaluator runs on the CPU only. Use evaluator double, or device cpu.");
    } else {
      model->description = "reference evaluator: plain loops in double precision";
    }
    eqnn::return_free_memory();
  });
  return last_error().empty() ? model.release() : nullptr;
}

void eqnn_close(eqnn_model* model) { delete model; }

int eqnn_n_threads(const eqnn_model* model) {
  return model->potential ? model->potential->n_threads() : 1;
}

// NOLINTNEXTLINE(readability-function-size): C has no better way, and callers hold to it
int eqnn_evaluate(eqnn_model* model,
                  int n_atoms,
                  const int* atomic_numbers,
                  const double* positions,
                  const double* cell,
                  double* energy,
                  double* atom_energy,
                  double* forces,
                  double* virial) {
  return guarded([&] {
    require_virial(*model, virial);
    if (n_atoms < 0) {
      eqnn::fail(
          "n_atoms is ", n_atoms, ", expected 0 or more. Correct the call of eqnn_evaluate().");
    }
    std::vector<std::array<double, 3>> x(static_cast<std::size_t>(n_atoms));
    for (std::size_t k = 0; k < 3 * x.size(); ++k) {
      x[k / 3][k % 3] = positions[k];
    }
    std::optional<std::array<double, 9>> lattice;
    if (cell != nullptr) {
      std::copy(cell, cell + 9, lattice.emplace().begin());
    }
    const eqnn::EdgeList edges = eqnn::edges_of({atomic_numbers, atomic_numbers + n_atoms},
                                                x,
                                                lattice,
                                                model->model.species(),
                                                model->model.cutoff());
    const eqnn::Observables& found =
        evaluate(*model, edges, {forces != nullptr, virial != nullptr, false});
    if (energy != nullptr) {
      *energy = found.energy;
    }
    copy(found.atom_energy, atom_energy);
    copy(found.forces, forces);
    copy(found.virial, virial);
  });
}

// NOLINTNEXTLINE(readability-function-size): C has no better way
int eqnn_evaluate_many(eqnn_model* model,
                       size_t n_structures,
                       const int* n_atoms,
                       const int* atomic_numbers,
                       const double* positions,
                       const double* cells,
                       const int* is_periodic,
                       int atoms_at_once,
                       eqnn_progress progress,
                       void* context,
                       double* energy,
                       double* atom_energy,
                       double* forces,
                       double* virial,
                       int* status,
                       size_t* n_done) {
  return guarded([&] {
    model->reasons.clear();
    eqnn::Potential& potential = compiled(*model);
    require_virial(*model, virial);
    const std::vector<eqnn::Structure> structures = eqnn::capi::structures_of(
        {n_structures, n_atoms, atomic_numbers, positions, cells, is_periodic});
    eqnn::BatchOptions options;
    options.wanted = {forces != nullptr, virial != nullptr, false};
    options.atoms_at_once = atoms_at_once;
    options.progress = progress_of(progress, context);
    const auto results = eqnn::evaluate_structures(model->model, potential, structures, options);
    for (std::size_t k = 0; k < results.size(); ++k) {
      const eqnn::StructureResult& result = results[k];
      const std::size_t n = structures[k].numbers.size();
      model->reasons.push_back(result.reason);
      status[k] = static_cast<int>(result.failure);
      eqnn::capi::put({result.energy}, 1, energy);
      eqnn::capi::put(result.atom_energy, n, atom_energy);
      eqnn::capi::put(result.forces, 3 * n, forces);
      eqnn::capi::put({result.virial.begin(), result.virial.end()}, 9, virial);
    }
    *n_done = results.size();
  });
}

const char* eqnn_reason(eqnn_model* model, size_t structure) {
  return structure < model->reasons.size() ? model->reasons[structure].c_str() : "";
}

int eqnn_self_test(eqnn_model* model,
                   double* energy_error,
                   double* force_error,
                   double* virial_error,
                   int* n_structures) {
  return guarded([&] {
    const eqnn::SelfTestResult result =
        eqnn::run_self_tests(model->model, [&](const eqnn::EdgeList& edges) {
          return evaluate(*model, edges, {true, true, false});
        });
    *energy_error = result.energy_error;
    *force_error = result.force_error;
    *virial_error = result.virial_error;
    *n_structures = result.n_structures;
  });
}

const char* eqnn_describe(eqnn_model* model) { return model->description.c_str(); }

const char* eqnn_plan(eqnn_model* model) {
  return model->potential ? model->potential->plan().c_str() : "";
}
