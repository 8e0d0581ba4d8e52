// SPDX-License-Identifier: BSD-3-Clause
// Couplings in factors (cp_convolution): CPU time of each way to compute them, forward and adjoint, on one
// thread, all kernels that it takes: those of nodes and those of edges.
//   bench_couplings [single|double] [NODES]
// Features, harmonics and messages have degrees up to l_max. Ranks: TDN's published 7 l_max^2, and that of
// an exact coupling, 8 or ceil(d^3 / (3 d - 2)); factors are random, which takes the same time.
// One line a case, for plot_couplings.py:
//   l_max rank published|exact channels neighbors method us_an_edge chosen
#include "bench/peak.hpp"
#include "plan/plan.hpp"
#include "support/evaluators.hpp"
#include "support/graph_builder.hpp"
#include "support/random_model.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using eqnn::Precision;
using eqnn::plan::CouplingMethod;

/// Features made by kernels of other names; then the convolution.
eqnn::ModelSpec network(int l_max, int channels, int rank) {
  eqnn::test::GraphBuilder build({1}, 5.0, l_max, eqnn::Parity::So3, 1);
  const auto y = build.harmonics(l_max);
  const auto x = build.gaunt_convolution(build.embedding(channels), y, l_max);
  return build.finish({build.readout(build.cp_convolution(x, y, l_max, rank))});
}

int exact_rank(int l_max) {
  const int d = (l_max + 1) * (l_max + 1);
  return l_max == 1 ? 8 : (d * d * d + 3 * d - 3) / (3 * d - 2);
}

/// Best of some, seconds.
double measure(eqnn::engine::Engine& engine, const eqnn::EdgeList& edges) {
  double best = 1e300;
  for (int time = 0; time < 7; ++time) {
    eqnn::bench::kernel_seconds.clear();
    (void)eqnn::test::run(engine, edges);
    double sum = 0.0;
    for (const auto& [kernel, seconds] : eqnn::bench::kernel_seconds) {
      for (const char* of : {"edge_product", "cp_product", "component_map", "gather_messages"}) {
        sum += kernel.find(of) != std::string::npos ? seconds : 0.0;
      }
    }
    best = std::min(best, sum);
  }
  return best;
}

void run_case(int l_max, int channels, double density, Precision precision, int n_nodes) {
  for (const bool exact : {false, true}) {
    const int rank = exact ? exact_rank(l_max) : 7 * l_max * l_max;
    const eqnn::ModelSpec model = network(l_max, channels, rank);
    const auto edges = eqnn::test::edges_of(
        model, eqnn::test::random_structure(n_nodes, model.species, density, 0.9, 3));
    auto options = eqnn::kernels::plan_options(precision, eqnn::kernels::Space::Serial);
    options.convolutions = eqnn::plan::SphereMethod::Aligned;
    const CouplingMethod chosen = eqnn::plan::compile(model, options).factored.front();
    for (const auto method : {CouplingMethod::Matrix, CouplingMethod::Cp, CouplingMethod::Node}) {
      options.couplings = method;
      const auto engine = eqnn::test::make_engine(
          model, eqnn::plan::compile(model, options), {eqnn::kernels::Space::Serial, precision});
      const double seconds = measure(*engine, edges);
      std::printf("%d %d %s %d %.1f %s %.4f %s\n",
                  l_max,
                  rank,
                  exact ? "exact" : "published",
                  channels,
                  static_cast<double>(edges.n_edges()) / n_nodes,
                  eqnn::plan::name_of(method).c_str(),
                  1e6 * seconds / static_cast<double>(edges.n_edges()),
                  method == chosen ? "chosen" : "-");
      std::fflush(stdout);
    }
  }
}

} // namespace

int main(int argc, char** argv) {
  const Kokkos::ScopeGuard kokkos(
      Kokkos::InitializationSettings().set_num_threads(1).set_disable_warnings(true));
  const Precision precision = eqnn::precision_from_name(argc > 1 ? argv[1] : "single");
  const int n_nodes = argc > 2 ? std::atoi(argv[2]) : 64;
  eqnn::bench::watch_kernels(true);
  for (int l_max = 1; l_max <= 6; ++l_max) {
    for (const int channels : {16, 64, 128}) {
      for (const double density : {0.02, 0.1}) {
        run_case(l_max, channels, density, precision, n_nodes);
      }
    }
  }
  return 0;
}
