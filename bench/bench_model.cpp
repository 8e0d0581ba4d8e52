// SPDX-License-Identifier: BSD-3-Clause
// CPU time per atom of whole models and of each kernel, one thread, with FLOP counts and the fraction
// of this core's matrix-product peak.
//   bench_model [--model FILE] [--channels C] [--blocks B] [--l-max L] [--neighbors N] [--atoms N]
//   [--structure FILE] [--repeat R] [--precision double|mixed|single] [--space Serial|OpenMP|Cuda]
//   [--count only]
// A model file, or random networks of attention blocks, on random periodic structures of so many
// neighbors (all of 18 and 40, l_max 1, 2 and 3, where not given), or on that of an extended XYZ
// file. Energy and forces; edge list given. Best of R evaluations; kernels are timed in R more, since a
// GPU stops between them for that. On a GPU the times are those of the wall clock. --count only prints
// what kernels do by count, and the least time that an H100 allows for it.
#include "base/error.hpp"
#include "bench/counts.hpp"
#include "bench/peak.hpp"
#include "eqnn/version.hpp"
#include "model/model_file.hpp"
#include "model/safetensors.hpp"
#include "support/evaluators.hpp"
#include "support/extended_xyz.hpp"

#include <cstdio>
#include <cstring>
#include <map>

namespace {

using eqnn::Precision;
using eqnn::bench::Clock;
using eqnn::bench::kernel_seconds;
using eqnn::bench::peak;
using eqnn::bench::seconds_since;
using eqnn::bench::watch_kernels;

struct Arguments {
  int channels = 64, blocks = 4, atoms = 216, repeat = 7;
  int l_max = 0;          ///< 0: 1, 2 and 3
  double neighbors = 0.0; ///< 0: 18 and 40
  std::string model;      ///< file; empty: random networks
  std::string structure;  ///< file; empty: at random
  std::string precision = "single", space = "Serial", count;
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
    } else if (key == "--l-max") {
      a.l_max = std::atoi(value);
    } else if (key == "--neighbors") {
      a.neighbors = std::atof(value);
    } else if (key == "--model") {
      a.model = value;
    } else if (key == "--structure") {
      a.structure = value;
    } else if (key == "--precision") {
      a.precision = value;
    } else if (key == "--space") {
      a.space = value;
    } else if (key == "--count") {
      a.count = value;
    } else {
      eqnn::fail("unknown option ", key, ": see the head of bench_model.cpp");
    }
  }
  return a;
}

eqnn::kernels::Space space_from_name(const std::string& name) {
  std::string names;
  for (const auto space : eqnn::kernels::available_spaces()) {
    if (eqnn::kernels::name_of(space) == name) {
      return space;
    }
    names += " " + std::string(eqnn::kernels::name_of(space));
  }
  eqnn::fail("--space is ", name, ", expected one of this build:", names);
}

/// Mean number of neighbors -> atoms per A^3.
double density_of(double neighbors, double cutoff) {
  return neighbors / (4.0 / 3.0 * std::acos(-1.0) * cutoff * cutoff * cutoff);
}

/// n copies along each of the axes of a cubic cell.
eqnn::test::Structure repeated(const eqnn::test::Structure& of, int n) {
  eqnn::test::Structure s;
  const double side = of.cell->front();
  for (int k = 0; k < n * n * n; ++k) {
    s.numbers.insert(s.numbers.end(), of.numbers.begin(), of.numbers.end());
    for (const auto& x : of.positions) {
      s.positions.push_back(
          {x[0] + side * (k % n), x[1] + side * (k / n % n), x[2] + side * (k / (n * n))});
    }
  }
  s.cell = of.cell;
  for (double& x : *s.cell) {
    x *= n;
  }
  return s;
}

eqnn::test::Structure
structure_of(const Arguments& arguments, const eqnn::ModelSpec& model, double mean_neighbors) {
  if (!arguments.structure.empty()) {
    return eqnn::test::parse_extended_xyz(eqnn::read_file(arguments.structure),
                                          arguments.structure);
  }
  const double density = density_of(mean_neighbors, model.cutoff);
  // Two species at most: a real material has few, and each has its own tables.
  const std::vector<std::int32_t> species(
      model.species.begin(),
      model.species.begin() +
          std::min<std::ptrdiff_t>(2, static_cast<std::ptrdiff_t>(model.species.size())));
  // More atoms are copies of some hundreds: to draw them takes the square of their number.
  int copies = 1;
  while (arguments.atoms / (copies * copies * copies) > 500) {
    ++copies;
  }
  return repeated(eqnn::test::random_structure(arguments.atoms / (copies * copies * copies),
                                               species,
                                               density,
                                               0.45 / std::cbrt(density),
                                               7),
                  copies);
}

/// A Markdown table: what each kernel does for an atom, and the least time that an H100 allows for it.
void print_counts(const std::string& what,
                  const eqnn::plan::Plan& plan,
                  const eqnn::plan::Options& options,
                  double neighbors) {
  const eqnn::bench::Counts counts(plan, options, neighbors);
  const auto& card = eqnn::bench::kH100;
  std::printf("\n%s, %.1f neighbors: an atom, and %s\n\n"
              "| kernel | MFLOP | kB of memory | kB of cache | least us | bound by |\n"
              "|---|---|---|---|---|---|\n",
              what.c_str(),
              neighbors,
              card.name);
  double least = 0.0;
  const auto print = [&](const std::string& name, const eqnn::bench::Count& c) {
    const double us = least_time(c, card);
    const char* const bound = us <= 1.0001e6 * c.flops / card.flops     ? "arithmetic"
                              : us <= 1.0001e6 * c.memory / card.memory ? "memory"
                                                                        : "cache";
    std::printf("| %s | %.3f | %.2f | %.2f | %.4f | %s |\n",
                name.c_str(),
                1e-6 * c.flops,
                1e-3 * c.memory,
                1e-3 * c.cache,
                us,
                bound);
    least += us;
  };
  for (const auto& [name, count] : counts.of) {
    print(name.substr(6), count);
  }
  std::printf("| all | %.3f | | | %.3f | |\n", 1e-6 * counts.flops(), least);
}

void run_case(const Arguments& arguments,
              const eqnn::ModelSpec& model,
              const std::string& what,
              double mean_neighbors,
              double peak_gflops) {
  const auto edges = eqnn::test::edges_of(model, structure_of(arguments, model, mean_neighbors));
  const auto setup = Clock::now();
  const eqnn::test::Target target{space_from_name(arguments.space),
                                  eqnn::precision_from_name(arguments.precision)};
  // Counts are of a GPU, whatever this build has.
  const auto options = eqnn::kernels::plan_options(
      target.precision, arguments.count == "only" ? eqnn::kernels::Space::Cuda : target.space);
  const auto plan = eqnn::plan::compile(model, options);
  if (arguments.count == "only") {
    print_counts(what, plan, options, static_cast<double>(edges.n_edges()) / edges.n_centers);
    return;
  }
  const auto engine = eqnn::test::make_engine(model, plan, target);
  const double setup_seconds = seconds_since(setup);
  eqnn::NoHalo halo;
  const double energy = engine->evaluate(edges, halo, {}).energy; // allocates
  double best = 1e300, best_watched = 1e300;
  std::map<std::string, double> best_kernels;
  std::uint64_t n_launches = 0;
  for (int repeat = 0; repeat < 2 * arguments.repeat; ++repeat) {
    const bool watched = repeat >= arguments.repeat;
    watch_kernels(watched);
    kernel_seconds.clear();
    eqnn::bench::n_launched = 0;
    const auto start = Clock::now();
    engine->evaluate(edges, halo, {});
    const double seconds = seconds_since(start);
    if (!watched) {
      best = std::min(best, seconds);
    } else if (seconds < best_watched) {
      best_watched = seconds;
      best_kernels = kernel_seconds;
      n_launches = eqnn::bench::n_launched;
    }
  }
  watch_kernels(false);
  const double atoms = edges.n_centers;
  const double neighbors = static_cast<double>(edges.n_edges()) / atoms;
  const eqnn::bench::Counts counts(plan, options, neighbors);
  const double total = counts.flops();
  const double per_atom = 1e6 * best / atoms;
  std::printf(
      "\n%s, %.1f neighbors, %d atoms, %s: %.1f us/atom, "
      "%.1f MFLOP/atom, %.0f %% of peak, %.1f kB/atom, %llu kernels, set up in %.2f s, energy %.9g "
      "eV\n",
      what.c_str(),
      neighbors,
      edges.n_centers,
      arguments.precision.c_str(),
      per_atom,
      1e-6 * total,
      100e-3 * total / per_atom / peak_gflops,
      1e-3 * static_cast<double>(engine->bytes_used()) / atoms,
      static_cast<unsigned long long>(n_launches),
      setup_seconds,
      energy);
  for (const auto& [name, seconds] : best_kernels) {
    const double us = 1e6 * seconds / atoms;
    const auto found = counts.of.find(name);
    std::printf("  %-38s %8.2f us/atom %5.1f %%", name.c_str(), us, 100.0 * us / per_atom);
    if (found != counts.of.end() && found->second.flops > 0.0) {
      std::printf("  %6.1f GFLOP/s, %3.0f %% of peak",
                  1e-3 * found->second.flops / us,
                  100e-3 * found->second.flops / us / peak_gflops);
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
                eqnn::version(),
                eqnn::commit(),
                arguments.space.c_str(),
                eqnn::kernels::kVectorBytes,
                peak_gflops);
    if (arguments.space == "Cuda") {
      eqnn::bench::Clock::which = CLOCK_MONOTONIC;
    }
    const auto neighbors = arguments.neighbors > 0.0 || !arguments.structure.empty()
                               ? std::vector<double>{arguments.neighbors}
                               : std::vector<double>{17.6, 40.1};
    if (!arguments.model.empty()) {
      const eqnn::ModelSpec model = eqnn::read_model(arguments.model);
      for (const double n : neighbors) {
        run_case(arguments, model, arguments.model, n, peak_gflops);
      }
      return 0;
    }
    for (const int l_max :
         arguments.l_max > 0 ? std::vector<int>{arguments.l_max} : std::vector<int>{1, 2, 3}) {
      eqnn::test::RandomModelOptions options;
      options.l_max = l_max;
      options.channels = arguments.channels;
      options.blocks = arguments.blocks;
      options.cutoff = 4.5;
      const eqnn::ModelSpec model = eqnn::test::random_model(options);
      const std::string what = "l_max " + std::to_string(l_max) + ", " +
                               std::to_string(options.channels) + " channels, " +
                               std::to_string(options.blocks) + " blocks";
      for (const double n : neighbors) {
        run_case(arguments, model, what, n, peak_gflops);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
