// SPDX-License-Identifier: BSD-3-Clause
// Time per atom of whole models and of each kernel, one thread, with FLOP counts and the fraction
// of this core's matrix-product peak.
//   bench_model [--channels C] [--blocks B] [--atoms N] [--repeat R] [--precision
//   double|mixed|single] [--space Serial|OpenMP] A random network of attention blocks on random
//   periodic structures. Energy and forces; edge list given. Best of R evaluations.
#include "base/error.hpp"
#include "base/version.hpp"
#include "kernels/tile_multiply.hpp"
#include "support/evaluators.hpp"
#include "support/random_model.hpp"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>

namespace {

using eqnn::Precision;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- time per kernel, by Kokkos's own hooks ----

std::map<std::string, double> kernel_seconds;
std::map<std::uint64_t, std::pair<std::string, Clock::time_point>> running;
std::uint64_t n_launched = 0;

void begin_kernel(const char* name, std::uint32_t, std::uint64_t* id) {
  *id = n_launched++;
  running[*id] = {name, Clock::now()};
}

void end_kernel(std::uint64_t id) {
  const auto found = running.find(id);
  kernel_seconds[found->second.first] += seconds_since(found->second.second);
  running.erase(found);
}

void watch_kernels() {
  Kokkos::Tools::Experimental::set_begin_parallel_for_callback(begin_kernel);
  Kokkos::Tools::Experimental::set_end_parallel_for_callback(end_kernel);
  Kokkos::Tools::Experimental::set_begin_parallel_reduce_callback(begin_kernel);
  Kokkos::Tools::Experimental::set_end_parallel_reduce_callback(end_kernel);
}

/// GFLOP/s of the register kernel on operands in the L1 cache: the most that the matrix products
/// can reach here.
template <class Scalar> double peak() {
  constexpr int kRows = eqnn::kernels::kRegisterRows * 4;
  constexpr int kDepth = 64;
  constexpr int kColumns = eqnn::kernels::kPanel<Scalar>;
  std::vector<Scalar> a(kRows * kDepth, Scalar(1e-3));
  std::vector<Scalar> b(kDepth * kColumns, Scalar(1e-3));
  std::vector<Scalar> c(kRows * kColumns);
  double best = 0.0;
  for (int trial = 0; trial < 20; ++trial) {
    constexpr int kRounds = 4000;
    const auto start = Clock::now();
    for (int round = 0; round < kRounds; ++round) {
      eqnn::kernels::host::multiply<false>(kRows,
                                           kColumns,
                                           kDepth,
                                           eqnn::kernels::Left<Scalar>{a.data(), kDepth, 1},
                                           eqnn::kernels::packed(b.data(), kDepth),
                                           c.data(),
                                           std::int64_t{kColumns});
    }
    best = std::max(best, 2e-9 * kRounds * kRows * kDepth * kColumns / seconds_since(start));
  }
  volatile Scalar sink = c[0];
  static_cast<void>(sink);
  return best;
}

/// Multiply-adds count two. Per atom and evaluation.
struct Flops {
  Flops(int l_max, int channels, int blocks, double neighbors) {
    const double d = (l_max + 1) * (l_max + 1);
    const double c = channels;
    const double mix = 2.0 * (d + 2.0) * c * c; // values on all components; logits and gates on one
    const double apply = 2.0 * d * d * c;       // an edge matrix
    of["eqnn::attention"] = blocks * neighbors * (mix + 2.0 * apply);
    of["eqnn::attention_adjoint"] = blocks * neighbors * (2.0 * mix + 5.0 * apply);
    const double linear = 2.0 * d * c * c;
    of["eqnn::linear"] = linear + blocks * (5.0 * linear + 2.0 * c * c);
    of["eqnn::linear_adjoint"] = of["eqnn::linear"];
  }

  std::map<std::string, double> of;
};

struct Arguments {
  int channels = 64, blocks = 4, atoms = 216, repeat = 7;
  std::string precision = "single", space = "Serial";
};

Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int k = 1; k + 1 < argc; k += 2) {
    const std::string key = argv[k];
    const char* const value = argv[k + 1];
    if (key == "--channels") {
      a.channels = std::atoi(value);
    } else if (key == "--blocks") {
      a.blocks = std::atoi(value);
    } else if (key == "--atoms") {
      a.atoms = std::atoi(value);
    } else if (key == "--repeat") {
      a.repeat = std::atoi(value);
    } else if (key == "--precision") {
      a.precision = value;
    } else if (key == "--space") {
      a.space = value;
    } else {
      eqnn::fail("unknown option ", key, ": see the head of bench_model.cpp");
    }
  }
  return a;
}

void run_case(const Arguments& arguments, int l_max, double density, double peak_gflops) {
  eqnn::test::RandomModelOptions options;
  options.l_max = l_max;
  options.channels = arguments.channels;
  options.blocks = arguments.blocks;
  options.cutoff = 4.5;
  const eqnn::ModelSpec model = eqnn::test::random_model(options);
  const auto edges = eqnn::test::edges_of(
      model, eqnn::test::random_structure(arguments.atoms, options.species, density, 1.2, 7));
  const auto setup = Clock::now();
  const eqnn::test::Target target{arguments.space == "Serial" ? eqnn::kernels::Space::Serial
                                                              : eqnn::kernels::Space::OpenMP,
                                  eqnn::precision_from_name(arguments.precision)};
  const auto evaluator = eqnn::test::Evaluators(model).make(target);
  const double setup_seconds = seconds_since(setup);
  eqnn::test::NoExchange halo;
  eqnn::Outputs outputs;
  evaluator->evaluate(edges, halo, outputs, false); // allocates
  double best = 1e300;
  std::map<std::string, double> best_kernels;
  for (int repeat = 0; repeat < arguments.repeat; ++repeat) {
    kernel_seconds.clear();
    const auto start = Clock::now();
    evaluator->evaluate(edges, halo, outputs, false);
    const double seconds = seconds_since(start);
    if (seconds < best) {
      best = seconds;
      best_kernels = kernel_seconds;
    }
  }
  const double neighbors = static_cast<double>(edges.n_edges()) / arguments.atoms;
  const Flops flops(l_max, arguments.channels, arguments.blocks, neighbors);
  double total = 0.0;
  for (const auto& [name, count] : flops.of) {
    total += count;
  }
  const double per_atom = 1e6 * best / arguments.atoms;
  std::printf("\nl_max %d, %d channels, %d blocks, %.1f neighbours, %d atoms, %s: %.1f us/atom, "
              "%.1f MFLOP/atom, %.0f %% of peak, %.1f kB/atom, set up in %.2f s\n",
              l_max,
              arguments.channels,
              arguments.blocks,
              neighbors,
              arguments.atoms,
              arguments.precision.c_str(),
              per_atom,
              1e-6 * total,
              100e-3 * total / per_atom / peak_gflops,
              1e-3 * static_cast<double>(evaluator->bytes_used()) / arguments.atoms,
              setup_seconds);
  for (const auto& [name, seconds] : best_kernels) {
    const double us = 1e6 * seconds / arguments.atoms;
    const auto found = flops.of.find(name);
    std::printf("  %-38s %8.2f us/atom %5.1f %%", name.c_str(), us, 100.0 * us / per_atom);
    if (found != flops.of.end()) {
      std::printf("  %6.1f GFLOP/s, %3.0f %% of peak",
                  1e-3 * found->second / us,
                  100e-3 * found->second / us / peak_gflops);
    }
    std::printf("\n");
  }
}

} // namespace

int main(int argc, char** argv) {
  const Kokkos::ScopeGuard kokkos(
      Kokkos::InitializationSettings().set_num_threads(1).set_disable_warnings(true));
  try {
    const Arguments arguments = parse(argc, argv);
    const double peak_gflops = arguments.precision == "double" ? peak<double>() : peak<float>();
    std::printf("eqnn %s (%s), %s, SIMD registers of %zu bytes, matrix-product peak %.1f GFLOP/s\n",
                eqnn::kVersion,
                eqnn::kCommit,
                arguments.space.c_str(),
                eqnn::kernels::kVectorBytes,
                peak_gflops);
    watch_kernels();
    for (const int l_max : {1, 2, 3}) {
      // about 18 and 40 neighbours within 4.5 Angstrom
      for (const double density : {0.046, 0.105}) {
        run_case(arguments, l_max, density, peak_gflops);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
