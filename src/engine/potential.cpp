// SPDX-License-Identifier: BSD-3-Clause
#include "engine/potential.hpp"

#include "base/error.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/plan_options.hpp"
#include "model/model_spec.hpp"
#include "plan/compile.hpp"

#include <algorithm>
#include <sstream>

namespace eqnn {

std::string products_from_name(std::string_view name) {
  return plan::name_of(plan::product_lowering_from_name(name));
}

std::string convolutions_from_name(std::string_view name) {
  return plan::name_of(plan::convolution_lowering_from_name(name));
}

struct Potential::Impl {
  plan::Plan plan; ///< without its tables
  Precision precision = Precision::Double;
  kernels::Space space = kernels::Space::Serial;
  std::unique_ptr<kernels::AnyEvaluator> evaluator;
};

Potential::Potential(const ModelSpec& spec, const PotentialOptions& options)
    : impl_(std::make_unique<Impl>()) {
  kernels::start_kokkos(options.n_threads);
  impl_->precision = options.precision;
  impl_->space = kernels::available_spaces().front();
  plan::Options plan_options = kernels::plan_options(options.precision);
  if (!options.products.empty()) {
    plan_options.products = plan::product_lowering_from_name(options.products);
  }
  if (!options.convolutions.empty()) {
    plan_options.convolutions = plan::convolution_lowering_from_name(options.convolutions);
  }
  impl_->plan = plan::compile(spec, plan_options);
  impl_->evaluator = kernels::make_evaluator(impl_->plan, options.precision, impl_->space);
  for (auto& radial : impl_->plan.radials) {
    radial.coefficients = {};
  }
  impl_->plan.stages = {};
}

Potential::~Potential() = default;

void Potential::evaluate(const EdgeList& edges,
                         HaloExchange& halo,
                         Outputs& outputs,
                         bool energy_only) {
  impl_->evaluator->evaluate(edges, halo, outputs, energy_only);
}

std::int32_t Potential::max_row_width() const {
  const std::int32_t multiple = kernels::plan_options(impl_->precision).channel_multiple;
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

int Potential::n_threads() const { return impl_->evaluator->concurrency(); }

std::size_t Potential::bytes_used() const { return impl_->evaluator->bytes_used(); }

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
  const auto list = [&](const char* what, const std::vector<plan::Lowering>& lowerings) {
    for (std::size_t k = 0; k < lowerings.size(); ++k) {
      text << (k == 0 ? what : ", ") << plan::name_of(lowerings[k]);
    }
  };
  list("; convolutions on the sphere: ", impl_->plan.convolutions);
  list("; products on the sphere: ", impl_->plan.products);
  return text.str();
}

} // namespace eqnn
