// SPDX-License-Identifier: GPL-2.0-only

#include "collective.h"

using namespace LAMMPS_NS;

std::string LAMMPS_NS::first_failure(MPI_Comm world, const std::string &mine)
{
  int rank = 0, n_ranks = 1;
  MPI_Comm_rank(world, &rank);
  MPI_Comm_size(world, &n_ranks);
  if (n_ranks == 1) return mine;

  int first = mine.empty() ? n_ranks : rank;
  MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == n_ranks) return "";
  int n_sound = mine.empty() ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &n_sound, 1, MPI_INT, MPI_SUM, world);

  int length = static_cast<int>(mine.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  std::string sentence = mine;
  sentence.resize(length);
  MPI_Bcast(sentence.data(), length, MPI_CHAR, first, world);
  if (n_sound == 0) return sentence;
  return "on rank " + std::to_string(first) + " of " + std::to_string(n_ranks) + ": " + sentence;
}

int LAMMPS_NS::rank_on_node(MPI_Comm world)
{
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int rank = 0;
  MPI_Comm_rank(node, &rank);
  MPI_Comm_free(&node);
  return rank;
}
