// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/potential.hpp"

#include "base/error.hpp"
#include "engine/engine.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/plan_options.hpp"
#include "model/model_spec.hpp"
#include "plan/compile.hpp"
#include "plan/table_cache.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace eqnn {

std::string products_from_name(std::string_view name) {
  return plan::name_of(plan::product_method_from_name(name));
}

std::string convolutions_from_name(std::string_view name) {
  return plan::name_of(plan::convolution_method_from_name(name));
}

std::string couplings_from_name(std::string_view name) {
  return plan::name_of(plan::coupling_method_from_name(name));
}

std::shared_ptr<TableCache> make_table_cache() { return std::make_shared<TableCache>(); }

Device device_from_name(std::string_view name) {
  if (name == "auto") {
    return Device::Auto;
  }
  if (name == "cpu") {
    return Device::Cpu;
  }
  if (name == "gpu") {
    return Device::Gpu;
  }
  fail("device \"", name, "\", expected auto, cpu or gpu.");
}

struct Potential::Impl {
  plan::Plan plan; ///< reduced by without_tables()
  std::string described_plan;
  Precision precision = Precision::Double;
  EnergyZero energy_zero = EnergyZero::Model;
  kernels::Space space = kernels::Space::Serial;
  std::unique_ptr<engine::Engine> engine;
};

namespace {

/// The part of a plan that is still needed after its weights were moved to where the model runs.
plan::Plan without_tables(const plan::Plan& plan) {
  plan::Plan out;
  out.values = plan.values;
  out.products = plan.products;
  out.convolutions = plan.convolutions;
  out.factored = plan.factored;
  for (const plan::RadialTable& radial : plan.radials) {
    plan::RadialTable& kept = out.radials.emplace_back();
    kept.degree = radial.degree;
    kept.n_intervals = radial.n_intervals;
    kept.error = radial.error;
  }
  return out;
}

} // namespace

Potential::Potential(const Model& model, const PotentialOptions& options)
    : impl_(std::make_unique<Impl>()) {
  if (options.energy_zero == EnergyZero::FreeAtoms &&
      model.energy_semantics() == EnergySemantics::MeanPerAtom) {
    fail(model.file(),
         " predicts the mean energy per atom, so the energies of free atoms cannot be left "
         "out.\nUse EnergyZero::Model.");
  }
  kernels::start_kokkos(options.n_threads, options.gpu_number);
  impl_->precision = options.precision;
  impl_->energy_zero = options.energy_zero;
  impl_->space = kernels::space_on(options.device);
  plan::Options plan_options = kernels::plan_options(options.precision, impl_->space);
  if (!options.products.empty()) {
    plan_options.products = plan::product_method_from_name(options.products);
  }
  if (!options.convolutions.empty()) {
    plan_options.convolutions = plan::convolution_method_from_name(options.convolutions);
  }
  if (!options.couplings.empty()) {
    plan_options.couplings = plan::coupling_method_from_name(options.couplings);
  }
  plan::Plan plan = plan::compile(model.spec(), plan_options, options.table_cache.get());
  impl_->described_plan = plan::describe(plan);
  impl_->plan = without_tables(plan);
  impl_->engine = std::make_unique<engine::Engine>(
      model.spec(), kernels::make_evaluator(std::move(plan), options.precision, impl_->space));
  if (options.energy_zero == EnergyZero::FreeAtoms) {
    impl_->engine->leave_out_free_atoms();
  }
}

Potential::~Potential() = default;
Potential::Potential(Potential&&) noexcept = default;
Potential& Potential::operator=(Potential&&) noexcept = default;

const Observables& Potential::evaluate(const EdgeList& edges, HaloExchange& halo, Wanted wanted) {
  return impl_->engine->evaluate(edges, halo, wanted);
}

const ResultsOnDevice&
Potential::evaluate(const NeighborsOnDevice& neighbors, HaloExchange& halo, Wanted wanted) {
  return impl_->engine->evaluate(neighbors, halo, wanted);
}

const Observables& Potential::evaluate(const EdgeList& edges, Wanted wanted) {
  // Invalid sizes are rejected later, with the other errors.
  if (edges.n_centers >= 0 && edges.n_nodes > edges.n_centers) {
    fail(
        "the edges have ",
        edges.n_nodes - edges.n_centers,
        " ghosts and no HaloExchange, expected none.\nGive periodic images as edges, as edges_of() "
        "does, or an exchange.");
  }
  NoHalo halo;
  return impl_->engine->evaluate(edges, halo, wanted);
}

const PackedObservables& Potential::evaluate_each(const EdgeList& edges, Wanted wanted) {
  return impl_->engine->evaluate_each(edges, wanted);
}

const Observables&
Potential::evaluate(const NeighborsOnHost& neighbors, HaloExchange& halo, Wanted wanted) {
  return impl_->engine->evaluate(neighbors, halo, wanted);
}

std::vector<double> Potential::free_atom_energies() { return impl_->engine->free_atom_energies(); }

EnergyZero Potential::energy_zero() const { return impl_->energy_zero; }

bool Potential::is_on_gpu() const { return impl_->space == kernels::Space::Cuda; }

std::int32_t Potential::max_row_width() const {
  const std::int32_t multiple =
      kernels::plan_options(impl_->precision, impl_->space).channel_multiple;
  std::int32_t width = 0;
  for (const auto& value : impl_->plan.values) {
    if (value.on_ghosts) {
      width = std::max(width, static_cast<std::int32_t>(plan::width_of(value, multiple)));
    }
  }
  return width;
}

bool Potential::has_products() const { return !impl_->plan.products.empty(); }

bool Potential::has_convolutions() const { return !impl_->plan.convolutions.empty(); }

bool Potential::has_factored_couplings() const { return !impl_->plan.factored.empty(); }

int Potential::n_threads() const { return impl_->engine->concurrency(); }

std::size_t Potential::bytes_used() const { return impl_->engine->bytes_used(); }

const std::string& Potential::plan() const { return impl_->described_plan; }

std::string Potential::description() const {
  std::ostringstream text;
  const int n_threads = this->n_threads();
  text << name_of(impl_->precision) << " precision on " << kernels::name_of(impl_->space)
       << " with " << n_threads << (n_threads == 1 ? " thread; " : " threads; ")
       << impl_->plan.radials.size() << " radial tables";
  double error = 0.0;
  std::int32_t n_intervals = 0;
  for (const auto& radial : impl_->plan.radials) {
    error = std::max(error, radial.error);
    n_intervals = std::max(n_intervals, radial.n_intervals);
  }
  if (!impl_->plan.radials.empty()) {
    text << " (up to " << n_intervals << " intervals of degree "
         << impl_->plan.radials.front().degree << ", relative error " << error << ")";
  }
  const auto list = [&](const char* what, const auto& methods) {
    for (std::size_t k = 0; k < methods.size(); ++k) {
      text << (k == 0 ? what : ", ") << plan::name_of(methods[k]);
    }
  };
  list("; convolutions on the sphere: ", impl_->plan.convolutions);
  list("; products on the sphere: ", impl_->plan.products);
  list("; couplings in factors: ", impl_->plan.factored);
#ifdef EQNN_MARCH_NAME
  text << "; code for " EQNN_MARCH_NAME;
#endif
  return text.str();
}

} // namespace eqnn
