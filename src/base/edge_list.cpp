// SPDX-License-Identifier: BSD-3-Clause
#include "base/edge_list.hpp"

#include "base/error.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace eqnn {
namespace {

void require_size(
    const char* name, std::size_t found, std::size_t expected, const char* why, const char* cure) {
  if (found != expected) {
    fail("EdgeList::",
         name,
         " has ",
         found,
         " entries, expected ",
         expected,
         " (",
         why,
         ").\n",
         cure);
  }
}

/// Throws Error for the first index that is not in 0 .. n-1.
void require_indices(const char* name,
                     const std::vector<std::int32_t>& indices,
                     std::size_t n,
                     const char* of,
                     const char* cure) {
  for (std::size_t k = 0; k < indices.size(); ++k) {
    if (indices[k] < 0 || static_cast<std::size_t>(indices[k]) >= n) {
      fail("EdgeList::",
           name,
           "[",
           k,
           "] is ",
           indices[k],
           ", expected one of the ",
           n,
           " ",
           of,
           ", counted from 0.\n",
           cure);
    }
  }
}

void require_sizes(const EdgeList& edges) {
  if (edges.n_centers < 0 || edges.n_nodes < edges.n_centers) {
    fail("EdgeList::n_centers is ",
         edges.n_centers,
         " and n_nodes is ",
         edges.n_nodes,
         ", expected 0 <= n_centers <= n_nodes.\nNodes are the owned atoms and then the ghosts.");
  }
  const auto n_centers = static_cast<std::size_t>(edges.n_centers);
  require_size("species",
               edges.species.size(),
               static_cast<std::size_t>(edges.n_nodes),
               "n_nodes",
               "Give each node, ghosts included, its row in Model::species().");
  if (n_centers > 0 || !edges.begin.empty()) {
    require_size("begin",
                 edges.begin.size(),
                 n_centers + 1,
                 "n_centers + 1",
                 "begin[i] is the first edge of atom i; the last entry is the number of edges.");
  }
  require_size("vector",
               edges.vector.size(),
               3 * edges.source.size(),
               "3 for each of EdgeList::source",
               "Give each edge its source and the three components of its vector.");
}

void require_begin(const EdgeList& edges) {
  const std::int64_t first = edges.begin.empty() ? 0 : edges.begin.front();
  const std::int64_t last = edges.begin.empty() ? 0 : edges.begin.back();
  if (first != 0 || last != edges.n_edges()) {
    fail("EdgeList::begin goes from ",
         first,
         " to ",
         last,
         ", expected from 0 to ",
         edges.n_edges(),
         ", the number of edges.\nbegin[i] is the first edge of atom i, in the order of source.");
  }
  for (std::size_t i = 1; i < edges.begin.size(); ++i) {
    if (edges.begin[i] < edges.begin[i - 1]) {
      fail("EdgeList::begin[",
           i,
           "] is ",
           edges.begin[i],
           " after ",
           edges.begin[i - 1],
           ", expected no decrease.\nGive edges by atom: those of atom 0, then those of atom 1, "
           "...");
    }
  }
}

/// Requires that structures cover all centers, one after another, and that there are no ghosts.
void require_structures(const EdgeList& edges) {
  const std::vector<std::int32_t>& starts = edges.structures;
  if (starts.empty()) {
    return;
  }
  if (starts.front() != 0 || starts.back() != edges.n_centers || edges.n_nodes != edges.n_centers) {
    fail("EdgeList::structures goes from ",
         starts.front(),
         " to ",
         starts.back(),
         " with ",
         edges.n_nodes - edges.n_centers,
         " ghosts, expected from 0 to ",
         edges.n_centers,
         ", the number of atoms, and no ghosts.\nPack structures with append_structure().");
  }
  for (std::size_t s = 1; s < starts.size(); ++s) {
    if (starts[s] < starts[s - 1]) {
      fail("EdgeList::structures[",
           s,
           "] is ",
           starts[s],
           " after ",
           starts[s - 1],
           ", expected no decrease.\nPack structures with append_structure().");
    }
  }
}

/// Requires that no edge connects two structures. @pre require_structures() and require_begin()
/// passed
void require_separate(const EdgeList& edges) {
  for (std::size_t s = 1; s < edges.structures.size(); ++s) {
    const std::int32_t first = edges.structures[s - 1];
    const std::int32_t end = edges.structures[s];
    if (first == end) { // without any atoms, begin may be empty
      continue;
    }
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(first)];
         e < edges.begin[static_cast<std::size_t>(end)];
         ++e) {
      const std::int32_t source = edges.source[static_cast<std::size_t>(e)];
      if (source < first || source >= end) {
        fail("EdgeList::source[",
             e,
             "] is ",
             source,
             ", expected one of the atoms ",
             first,
             " to ",
             end - 1,
             " of its structure ",
             s - 1,
             ".\nPack structures with append_structure().");
      }
    }
  }
}

void require_consistent(const EdgeList& edges) {
  require_sizes(edges);
  require_begin(edges);
  require_structures(edges);
  require_indices("source",
                  edges.source,
                  static_cast<std::size_t>(edges.n_nodes),
                  "nodes",
                  "Nodes are the owned atoms and then the ghosts.");
  require_separate(edges);
}

/// The center of edge e.
std::size_t center_of(const EdgeList& edges, std::size_t e) {
  std::size_t i = 0;
  while (edges.begin[i + 1] <= static_cast<std::int64_t>(e)) {
    ++i;
  }
  return i;
}

} // namespace

void require_fitting(const EdgeList& edges, std::size_t n_species, double cutoff) {
  require_consistent(edges);
  require_indices("species",
                  edges.species,
                  n_species,
                  "species of the model",
                  "Give rows of Model::species(), not atomic numbers or types.");
  // The caller may have rounded distances differently.
  const double most = cutoff * cutoff * (1.0 + 1e-12);
  for (std::size_t e = 0; e < edges.source.size(); ++e) {
    const double* const x = &edges.vector[3 * e];
    const double r_sq = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
    if (r_sq > most) {
      fail("node ",
           edges.source[e],
           " is ",
           std::sqrt(r_sq),
           " Angstrom from atom ",
           center_of(edges, e),
           ", expected an edge below the model's cutoff of ",
           cutoff,
           ".\nLeave out longer edges: a neighbor list with a skin has some.");
    }
  }
}

void require_sound_edges(const EdgeList& edges) {
  require_consistent(edges);
  for (std::int32_t i = 0; i < edges.n_centers; ++i) {
    for (std::int64_t e = edges.begin[static_cast<std::size_t>(i)];
         e < edges.begin[static_cast<std::size_t>(i) + 1];
         ++e) {
      const double* const x = edges.vector.data() + 3 * e;
      const double r = std::sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
      if (!(r >= kShortestEdge) || !std::isfinite(r)) {
        fail("node ",
             edges.source[static_cast<std::size_t>(e)],
             " is ",
             r,
             " Angstrom from atom ",
             i,
             ", expected at least ",
             kShortestEdge,
             ".\nTwo atoms coincide or a coordinate is not finite: check the structure, the box "
             "and the time step.");
      }
    }
  }
}

void clear_structures(EdgeList& edges) {
  edges.n_centers = edges.n_nodes = 0;
  edges.species.clear();
  edges.begin.assign(1, 0);
  edges.source.clear();
  edges.vector.clear();
  edges.structures.assign(1, 0);
}

void append_structure(EdgeList& to, const EdgeList& one) {
  if (to.structures.empty()) {
    if (to.n_nodes != 0) {
      fail("cannot pack a structure after edges of ",
           to.n_nodes,
           " atoms: EdgeList::structures is empty.\nStart with an empty EdgeList, or call "
           "clear_structures().");
    }
    clear_structures(to);
  }
  if (one.n_nodes != one.n_centers || one.structures.size() > 2) {
    fail("the structure to pack has ",
         one.n_nodes - one.n_centers,
         " ghosts and holds ",
         one.structures.empty() ? 1 : one.structures.size() - 1,
         " structures, expected one without ghosts.\nGive periodic images as edges, as edges_of() "
         "does.");
  }
  if (one.n_centers > std::numeric_limits<std::int32_t>::max() - to.n_centers) {
    fail("the packed structures would have ",
         std::int64_t{to.n_centers} + one.n_centers,
         " atoms, expected fewer than 2147483648.\nPack fewer structures together.");
  }
  const std::int64_t first_edge = to.n_edges();
  to.species.insert(to.species.end(), one.species.begin(), one.species.end());
  for (std::size_t i = 1; i < one.begin.size(); ++i) {
    to.begin.push_back(first_edge + one.begin[i]);
  }
  for (const std::int32_t source : one.source) {
    to.source.push_back(to.n_centers + source);
  }
  to.vector.insert(to.vector.end(), one.vector.begin(), one.vector.end());
  to.n_centers = to.n_nodes = to.n_centers + one.n_centers;
  to.structures.push_back(to.n_centers);
}

} // namespace eqnn
