// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/potential.hpp"

#include "base/error.hpp"
#include "kernels/any_evaluator.hpp"
#include "kernels/make_evaluator.hpp"
#include "kernels/plan_options.hpp"
#include "model/model_spec.hpp"
#include "plan/compile.hpp"

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

namespace eqnn {
namespace {

constexpr std::array<std::pair<Precision, std::string_view>, 3> kPrecisionNames{
    {{Precision::Double, "double"}, {Precision::Mixed, "mixed"}, {Precision::Single, "single"}}};

} // namespace

Precision precision_from_name(std::string_view name) {
  for (const auto& [precision, known] : kPrecisionNames) {
    if (name == known) {
      return precision;
    }
  }
  fail("precision \"", name, "\", expected double, mixed or single.");
}

std::string_view name_of(Precision precision) {
  for (const auto& [known, name] : kPrecisionNames) {
    if (known == precision) {
      return name;
    }
  }
  return "?";
}

std::string products_from_name(std::string_view name) {
  return plan::name_of(plan::product_method_from_name(name));
}

std::string convolutions_from_name(std::string_view name) {
  return plan::name_of(plan::convolution_method_from_name(name));
}

namespace kernels {

std::vector<Space> available_spaces() {
  std::vector<Space> spaces;
#ifdef KOKKOS_ENABLE_CUDA
  spaces.push_back(Space::Cuda);
#endif
#ifdef KOKKOS_ENABLE_OPENMP
  spaces.push_back(Space::OpenMP);
#endif
#ifdef KOKKOS_ENABLE_SERIAL
  spaces.push_back(Space::Serial);
#endif
  return spaces;
}

std::string_view name_of(Space space) {
  constexpr std::array<std::string_view, 3> kNames{"Serial", "OpenMP", "Cuda"};
  return kNames[static_cast<std::size_t>(space)];
}

plan::Options plan_options(Precision precision) {
  plan::Options options;
  if (precision == Precision::Double) {
    options.channel_multiple = kLanes<double>;
    options.table_rate = 0.12; // docs/performance.md
  } else {
    options.channel_multiple = kLanes<float>;
    options.radial_tolerance = 6e-8;
    options.radial_degree = 5;
  }
  return options;
}

std::unique_ptr<AnyEvaluator>
make_evaluator(const plan::Plan& plan, Precision precision, Space space) {
  switch (precision) {
  case Precision::Double:
    return make_double_evaluator(plan, space);
  case Precision::Mixed:
    return make_mixed_evaluator(plan, space);
  case Precision::Single:
    return make_single_evaluator(plan, space);
  }
  fail("unknown precision");
}

void start_kokkos(int n_threads) {
  if (Kokkos::is_initialized()) {
    return;
  }
  if (n_threads <= 0) {
    const char* const variable = std::getenv("OMP_NUM_THREADS");
    n_threads = variable == nullptr ? 1 : std::max(1, std::atoi(variable));
  }
  Kokkos::initialize(
      Kokkos::InitializationSettings().set_num_threads(n_threads).set_disable_warnings(true));
}

} // namespace kernels

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
    plan_options.products = plan::product_method_from_name(options.products);
  }
  if (!options.convolutions.empty()) {
    plan_options.convolutions = plan::convolution_method_from_name(options.convolutions);
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
  const auto list = [&](const char* what, const std::vector<plan::SphereMethod>& methods) {
    for (std::size_t k = 0; k < methods.size(); ++k) {
      text << (k == 0 ? what : ", ") << plan::name_of(methods[k]);
    }
  };
  list("; convolutions on the sphere: ", impl_->plan.convolutions);
  list("; products on the sphere: ", impl_->plan.products);
  return text.str();
}

} // namespace eqnn
