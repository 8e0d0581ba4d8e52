// SPDX-License-Identifier: BSD-3-Clause
// Products of two functions on the sphere, and sums of a function's powers 1 to 3: CPU time of each
// lowering, forward and adjoint, on one thread.
//   bench_products [products|powers] [single|double] [NODES]
// Factors and products have degrees up to l_max; the sum of powers is projected on degrees up to 1.
// One line a case, for plot_products.py:
//   l_max channels lowering forward_us adjoint_us forward_mflop adjoint_mflop peak_gflops
// times and FLOPs per node (a multiply-add counts two); the best of twenty.
#include "bench/peak.hpp"
#include "support/evaluators.hpp"
#include "support/random_irreps_model.hpp"
#include "support/random_model.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using eqnn::Precision;
using eqnn::plan::Lowering;

/// Two linear maps of one feature, multiplied; or one's powers.
eqnn::ModelSpec network(bool is_product, int l_max, int channels) {
  eqnn::test::GraphBuilder build({1}, 3.0, l_max, eqnn::Parity::O3, 1);
  const auto irreps = eqnn::uniform_irreps(l_max, channels, true);
  const auto y = build.harmonics(l_max);
  const auto x = build.product(build.embedding(channels), y, l_max);
  const auto a = build.linear(x, irreps);
  if (!is_product) {
    return build.finish({build.readout(build.polynomial(a, 1, 3))});
  }
  const auto b = build.linear(x, irreps);
  return build.finish({build.readout(build.gaunt_product(a, b, l_max, false, false))});
}

double transform_flops(const eqnn::plan::SphereTransform& t, double channels) {
  if (t.n_rings == 0) {
    return 2.0 * t.n_points * t.n_components * channels;
  }
  return 2.0 * channels *
         (static_cast<double>(t.polar.size()) +
          t.n_rings * static_cast<double>(t.azimuthal.size()));
}

} // namespace

int main(int argc, char** argv) {
  const Kokkos::ScopeGuard kokkos(
      Kokkos::InitializationSettings().set_num_threads(1).set_disable_warnings(true));
  const bool is_product = argc < 2 || std::string(argv[1]) != "powers";
  const Precision precision = eqnn::precision_from_name(argc > 2 ? argv[2] : "single");
  const int n_nodes = argc > 3 ? std::atoi(argv[3]) : 32;
  const double peak =
      precision == Precision::Double ? eqnn::bench::peak<double>() : eqnn::bench::peak<float>();
  eqnn::bench::watch_kernels();
  for (int l_max = 1; l_max <= 10; ++l_max) {
    for (const int channels : {16, 64, 256}) {
      const eqnn::ModelSpec model = network(is_product, l_max, channels);
      const auto edges = eqnn::test::edges_of(
          model, eqnn::test::random_structure(n_nodes, model.species, 0.02, 1.0, 3));
      for (const auto lowering : {Lowering::Sparse, Lowering::Grid, Lowering::Fourier}) {
        if (!is_product && lowering == Lowering::Sparse && l_max > 5) {
          continue; // tens of thousands of monomials
        }
        auto options = eqnn::kernels::plan_options(precision);
        options.products = lowering;
        const auto plan = eqnn::plan::compile(model, options);
        double forward_flops = 0.0;
        double adjoint_flops = 0.0;
        for (const auto& stage : plan.stages) {
          if (const auto* p = std::get_if<eqnn::plan::SphereProduct>(&stage)) {
            if (lowering == Lowering::Sparse) {
              forward_flops = 2.0 * static_cast<double>(p->gaunt.size()) * channels;
              adjoint_flops = forward_flops;
            } else {
              const double values =
                  transform_flops(p->of_a, channels) + transform_flops(p->of_b, channels);
              forward_flops = values + transform_flops(p->of_out, channels);
              adjoint_flops = 2.0 * values + transform_flops(p->of_out, channels);
            }
          }
        }
        for (const auto& stage : plan.stages) {
          if (const auto* p = std::get_if<eqnn::plan::SpherePower>(&stage)) {
            const double in = transform_flops(p->of_in, channels);
            const double out = 3.0 * transform_flops(p->of_out, channels);
            forward_flops = in + out;
            adjoint_flops = 2.0 * in + out;
          }
          if (const auto* p = std::get_if<eqnn::plan::Polynomial>(&stage)) {
            const auto terms = static_cast<double>(p->target.size());
            const auto monomials = static_cast<double>(p->monomials.size());
            forward_flops = channels * (2.0 * terms + monomials);
            adjoint_flops = channels * (2.0 * terms + 5.0 * monomials);
          }
        }
        const char* const kernel = is_product                     ? "eqnn::sphere_product"
                                   : lowering == Lowering::Sparse ? "eqnn::polynomial"
                                                                  : "eqnn::sphere_power";
        const auto evaluator =
            eqnn::kernels::make_evaluator(plan, precision, eqnn::kernels::Space::Serial);
        double forward = 1e300;
        double adjoint = 1e300;
        for (int time = 0; time < 20; ++time) {
          eqnn::bench::kernel_seconds.clear();
          (void)eqnn::test::run(*evaluator, edges);
          forward = std::min(forward, eqnn::bench::kernel_seconds[kernel]);
          adjoint =
              std::min(adjoint, eqnn::bench::kernel_seconds[std::string(kernel) + "_adjoint"]);
        }
        std::printf("%d %d %s %.3f %.3f %.4f %.4f %.1f\n",
                    l_max,
                    channels,
                    eqnn::plan::name_of(lowering).c_str(),
                    1e6 * forward / n_nodes,
                    1e6 * adjoint / n_nodes,
                    1e-6 * forward_flops,
                    1e-6 * adjoint_flops,
                    peak);
        std::fflush(stdout);
      }
    }
  }
  return 0;
}
