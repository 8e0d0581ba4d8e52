// SPDX-License-Identifier: GPL-2.0-only

#include "read_on_one_rank.h"

#include "collective.h"

#include "comm.h"
#include "error.h"
#include "lammps.h"
#include "lmptype.h"
#include "utils.h"

#include <mpi.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

using namespace LAMMPS_NS;

std::string LAMMPS_NS::read_on_one_rank(LAMMPS *lmp, const char *name)
{
  Error *const error = lmp->error;
  MPI_Comm world = lmp->world;
  std::string bytes;
  bigint size = -1;
  int is_folder = 0;
  if (lmp->comm->me == 0) {
    const std::string path = utils::get_potential_file_path(name);
    std::error_code ignored;    // if the status cannot be read, opening fails too
    is_folder = std::filesystem::is_directory(path.empty() ? name : path, ignored);
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!path.empty() && !is_folder && file) size = file.tellg();
    if (size >= 0 && size <= MAXSMALLINT) {
      bytes.resize(size);
      file.seekg(0);
      if (!file.read(bytes.data(), size)) size = -1;
    }
  }
  MPI_Bcast(&size, 1, MPI_LMP_BIGINT, 0, world);
  MPI_Bcast(&is_folder, 1, MPI_INT, 0, world);
  if (is_folder)
    error->all(FLERR,
               "Pair style eqnn: '{}' is a folder, expected a model file: name the file in it, "
               "as in '{}/MODEL.eqnn'",
               name, name);

  // LAMMPS has removed the first byte of each such character, so the file is not found

  std::string shown = name;
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 128; };
  if (size < 0 && !std::all_of(shown.begin(), shown.end(), is_ascii)) {
    std::replace_if(shown.begin(), shown.end(), [&](char c) { return !is_ascii(c); }, '?');
    error->all(FLERR,
               "Pair style eqnn: LAMMPS changes characters that are not ASCII, as in the model "
               "file '{}': rename the file; if the path of its folder has some too, give that path "
               "in the environment variable LAMMPS_POTENTIALS",
               shown);
  }
  if (size < 0)
    error->all(FLERR,
               "Pair style eqnn: cannot read the model file '{}': give its path, or put it "
               "into a folder named in the environment variable LAMMPS_POTENTIALS",
               name);
  if (size > MAXSMALLINT)
    error->all(FLERR,
               "Pair style eqnn: the model file '{}' has {} bytes, expected at most {}: this is "
               "not a model",
               name, size, MAXSMALLINT);
  together(world, fmt::format("not enough memory for the model '{}'", name),
           [&] { bytes.resize(size); });
  MPI_Bcast(bytes.data(), static_cast<int>(size), MPI_CHAR, 0, world);
  return bytes;
}
