// SPDX-License-Identifier: BSD-3-Clause
// Functions on the sphere: CPU time of each method, forward and adjoint, on one thread.
//   bench_products [products|powers|convolutions] [single|double] [NODES]
// Products of two functions, and sums of a function's powers 1 to 3, per node; convolutions of
// neighbors' functions with filters along the edges, per edge. Factors, filters and products have
// degrees up to l_max; the sum of powers is projected on degrees up to 1.
// One line a case, for plot_products.py:
//   l_max channels method forward_us adjoint_us forward_mflop adjoint_mflop peak_gflops
// A multiply-add counts two FLOPs; the best of twenty.
#include "bench/peak.hpp"
#include "plan/plan.hpp"
#include "support/evaluators.hpp"
#include "support/graph_builder.hpp"
#include "support/random_model.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using eqnn::Precision;
using eqnn::plan::SphereMethod;

enum class Kind { Products, Powers, Convolutions };

/// Two linear maps of one feature, multiplied; or one's powers; or one's convolution.
eqnn::ModelSpec network(Kind kind, int l_max, int channels) {
  const double cutoff = kind == Kind::Convolutions ? 6.0 : 3.0;
  eqnn::test::GraphBuilder build({1}, cutoff, l_max, eqnn::Parity::O3, 1);
  const auto irreps = eqnn::uniform_irreps(l_max, channels, true);
  const auto y = build.harmonics(l_max);
  const auto x = build.product(build.embedding(channels), y, l_max);
  const auto a = build.linear(x, irreps);
  if (kind == Kind::Powers) {
    return build.finish({build.readout(build.polynomial(a, 1, 3))});
  }
  if (kind == Kind::Convolutions) {
    return build.finish({build.readout(build.gaunt_convolution(a, y, l_max))});
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

/// A stage's kernel, and its FLOPs for a node or for an edge.
struct Work {
  std::string kernel;
  double forward = 0.0, adjoint = 0.0;
};

Work work_of(const eqnn::plan::GauntProduct& p, double channels) {
  if (p.method == SphereMethod::Sparse) {
    const double flops = 2.0 * static_cast<double>(p.gaunt.size()) * channels;
    return {"eqnn::gaunt_product", flops, flops};
  }
  const double values = transform_flops(p.of_a, channels) + transform_flops(p.of_b, channels);
  const double projection = transform_flops(p.of_out, channels);
  return {"eqnn::gaunt_product", values + projection, 2.0 * values + projection};
}

Work work_of(const eqnn::plan::SpherePower& p, double channels) {
  const double in = transform_flops(p.of_in, channels);
  const double out = p.n_orders * transform_flops(p.of_out, channels);
  return {"eqnn::sphere_power", in + out, 2.0 * in + out};
}

Work work_of(const eqnn::plan::Polynomial& p, double channels) {
  const auto terms = static_cast<double>(p.target.size());
  const auto monomials = static_cast<double>(p.monomials.size());
  return {"eqnn::polynomial",
          channels * (2.0 * terms + monomials),
          channels * (2.0 * terms + 5.0 * monomials)};
}

Work work_of(const eqnn::plan::EdgeProduct& p, double channels) {
  const double flops = 2.0 * p.entries * (channels + p.harmonics);
  return {"eqnn::edge_product", flops, 2.0 * flops};
}

Work work_of(const eqnn::plan::ZonalProduct& p, double channels) {
  const double matrices = 2.0 * p.entries * (2.0 * p.l_turned + 1.0);
  const eqnn::plan::ZonalCost cost = eqnn::plan::multiply_adds(p);
  return {"eqnn::zonal_product",
          2.0 * cost.forward * channels + matrices,
          2.0 * cost.adjoint * channels + matrices};
}

template <class Op> Work work_of(const Op&, double) { return {}; }

/// The work of the stage that the network was made for: the last but the readout.
Work measured_work(const eqnn::plan::Plan& plan, double channels) {
  return std::visit([&](const auto& op) { return work_of(op, channels); },
                    plan.stages[plan.stages.size() - 2]);
}

struct Times {
  double forward = 1e300, adjoint = 1e300;
};

/// Best of five, seconds.
Times measure(eqnn::engine::Engine& engine,
              const eqnn::EdgeList& edges,
              const std::string& kernel) {
  Times best;
  for (int time = 0; time < 20; ++time) {
    eqnn::bench::kernel_seconds.clear();
    (void)eqnn::test::run(engine, edges);
    best.forward = std::min(best.forward, eqnn::bench::kernel_seconds[kernel]);
    best.adjoint = std::min(best.adjoint, eqnn::bench::kernel_seconds[kernel + "_adjoint"]);
  }
  return best;
}

std::vector<SphereMethod> methods(Kind kind, int l_max) {
  if (kind == Kind::Convolutions) {
    return {SphereMethod::Sparse, SphereMethod::Aligned};
  }
  if (kind == Kind::Powers && l_max > 5) { // tens of thousands of monomials
    return {SphereMethod::Grid, SphereMethod::Fourier};
  }
  return {SphereMethod::Sparse, SphereMethod::Grid, SphereMethod::Fourier};
}

/// A network's feature comes of an edge product: what it takes, as it is in every case.
Times of_the_feature(Kind kind,
                     const eqnn::ModelSpec& model,
                     Precision precision,
                     const eqnn::EdgeList& edges) {
  if (kind != Kind::Convolutions) {
    return {0.0, 0.0};
  }
  auto options = eqnn::kernels::plan_options(precision, eqnn::kernels::Space::Serial);
  options.convolutions = SphereMethod::Aligned;
  const auto engine = eqnn::test::make_engine(
      model, eqnn::plan::compile(model, options), {eqnn::kernels::Space::Serial, precision});
  return measure(*engine, edges, "eqnn::edge_product");
}

} // namespace

int main(int argc, char** argv) {
  const Kokkos::ScopeGuard kokkos(
      Kokkos::InitializationSettings().set_num_threads(1).set_disable_warnings(true));
  const std::string what = argc > 1 ? argv[1] : "products";
  const Kind kind = what == "powers"         ? Kind::Powers
                    : what == "convolutions" ? Kind::Convolutions
                                             : Kind::Products;
  const Precision precision = eqnn::precision_from_name(argc > 2 ? argv[2] : "single");
  const int n_nodes = argc > 3 ? std::atoi(argv[3]) : 32;
  const double peak =
      precision == Precision::Double ? eqnn::bench::peak<double>() : eqnn::bench::peak<float>();
  eqnn::bench::watch_kernels(true);
  for (int l_max = 1; l_max <= 10; ++l_max) {
    for (const int channels : {16, 64, 256}) {
      const eqnn::ModelSpec model = network(kind, l_max, channels);
      const auto edges = eqnn::test::edges_of(
          model, eqnn::test::random_structure(n_nodes, model.species, 0.02, 1.0, 3));
      const Times feature = of_the_feature(kind, model, precision, edges);
      for (const auto method : methods(kind, l_max)) {
        auto options = eqnn::kernels::plan_options(precision, eqnn::kernels::Space::Serial);
        (kind == Kind::Convolutions ? options.convolutions : options.products) = method;
        const auto plan = eqnn::plan::compile(model, options);
        const Work work = measured_work(plan, channels);
        const auto engine =
            eqnn::test::make_engine(model, plan, {eqnn::kernels::Space::Serial, precision});
        Times times = measure(*engine, edges, work.kernel);
        if (work.kernel == "eqnn::edge_product") {
          times.forward -= feature.forward;
          times.adjoint -= feature.adjoint;
        }
        const double n =
            kind == Kind::Convolutions ? static_cast<double>(edges.n_edges()) : n_nodes;
        std::printf("%d %d %s %.4f %.4f %.4f %.4f %.1f\n",
                    l_max,
                    channels,
                    eqnn::plan::name_of(method).c_str(),
                    1e6 * times.forward / n,
                    1e6 * times.adjoint / n,
                    1e-6 * work.forward,
                    1e-6 * work.adjoint,
                    peak);
        std::fflush(stdout);
      }
    }
  }
  return 0;
}
