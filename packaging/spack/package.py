# SPDX-License-Identifier: BSD-3-Clause
# A package for Spack: put this folder into a repository of yours as packages/eqnn.

from spack_repo.builtin.build_systems.cmake import CMakePackage

from spack.package import *


class Eqnn(CMakePackage):
    """Equivariant neural-network potentials (TDN, MACE, NequIP, SevenNet, Nequix)
    in C++ and Kokkos: a library, and a plugin for LAMMPS."""

    # The project has no public address yet: set it to where your clone is.
    homepage = "file:///path/to/eqnn"
    git = "file:///path/to/eqnn"

    license("BSD-3-Clause AND GPL-2.0-only")

    version("main", branch="main")

    variant("lammps", default=True, description="Build the plugin for LAMMPS")
    variant("openmp", default=True, description="Run on threads, by the OpenMP of Kokkos")
    variant("cuda", default=False, description="Build kernels for CUDA")

    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("kokkos@4.3: ~shared +pic +serial")
    depends_on("kokkos +openmp", when="+openmp")
    depends_on("kokkos +cuda +cmake_lang", when="+cuda")
    depends_on("eigen@3.3:3", type="build")
    depends_on("nlohmann-json@3.9:", type="build")
    # A shared library with the command `plugin`.
    depends_on("lammps@20240829: +lib +plugin", when="+lammps")
    depends_on("mpi", when="+lammps")

    def cmake_args(self):
        args = [
            self.define_from_variant("EQNN_BUILD_PLUGIN", "lammps"),
            self.define("EQNN_BUILD_TESTS", False),
            self.define("EQNN_FETCH", False),
            # Spack's compiler wrappers say for which processor.
            self.define("EQNN_MARCH", ""),
        ]
        if self.spec.satisfies("+lammps"):
            headers = self.spec["lammps"].prefix.include.lammps
            args.append(self.define("LAMMPS_SOURCE_DIR", headers))
        return args

    def setup_run_environment(self, env):
        if self.spec.satisfies("+lammps"):
            env.prepend_path("LAMMPS_PLUGIN_PATH", self.prefix.lib.lammps.plugins)
