# SPDX-License-Identifier: BSD-3-Clause
# Kokkos, Eigen, nlohmann-json and GoogleTest: those that CMake finds, else their pinned releases,
# fetched by URL and SHA-256. `make setup` installs them into .eqnn, where they are found.
#
#   EQNN_FETCH                   OFF: what is not found is an error
#   EQNN_KOKKOS_URL, ..._SHA256  another archive, a mirror or file:///path/to/kokkos.tar.gz
#   FETCHCONTENT_SOURCE_DIR_KOKKOS, ..._EIGEN3, ..._NLOHMANN_JSON, ..._GTEST
#                                a source tree that is there already

include(FetchContent)

option(
    EQNN_FETCH
    "Fetch Kokkos, Eigen, nlohmann-json and GoogleTest where they are not found"
    ${PROJECT_IS_TOP_LEVEL}
)

# eqnn_archive(NAME URL SHA256)
function(eqnn_archive name url sha256)
    set(EQNN_${name}_URL "${url}" CACHE STRING "Where ${name} is fetched from")
    set(EQNN_${name}_SHA256 "${sha256}" CACHE STRING "SHA-256 of that archive")
    mark_as_advanced(EQNN_${name}_URL EQNN_${name}_SHA256)
endfunction()

eqnn_archive(
    KOKKOS
    "https://github.com/kokkos/kokkos/releases/download/4.7.00/kokkos-4.7.00.tar.gz"
    126b774a24dde8c1085c4aede7564c0b7492d6a07d85380f2b387a712cea1ff5
)
eqnn_archive(
    EIGEN3
    "https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz"
    8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72
)
eqnn_archive(
    NLOHMANN_JSON
    "https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz"
    d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d
)
eqnn_archive(
    GTEST
    "https://github.com/google/googletest/releases/download/v1.15.2/googletest-1.15.2.tar.gz"
    7b42b4d6ed48810c5362c265a17faebe90dc2373c885e5216439d37927f02926
)

# eqnn_populate(NAME): sources of an archive, unpacked; sets NAME_SOURCE_DIR and NAME_BINARY_DIR.
macro(eqnn_populate name)
    string(TOUPPER "${name}" upper)
    message(STATUS "${name} is not found: fetching ${EQNN_${upper}_URL}")
    FetchContent_Declare(
        ${name}
        URL "${EQNN_${upper}_URL}"
        URL_HASH SHA256=${EQNN_${upper}_SHA256}
        DOWNLOAD_EXTRACT_TIMESTAMP OFF
        # No CMakeLists.txt there: sources are unpacked, and nothing is added yet.
        SOURCE_SUBDIR eqnn-adds-it-itself
    )
    FetchContent_MakeAvailable(${name})
    FetchContent_GetProperties(${name} SOURCE_DIR ${name}_SOURCE_DIR BINARY_DIR ${name}_BINARY_DIR)
endmacro()

# eqnn_find(NAME VERSION ADD): find_package, or the fetched archive, made a part of this build by
# the function ADD(source binary). Nothing of it is installed.
macro(eqnn_find name version add)
    if(EQNN_FETCH)
        find_package(${name} ${version} QUIET)
    else()
        find_package(${name} ${version} REQUIRED)
    endif()
    if(EQNN_FETCH AND NOT ${name}_FOUND)
        eqnn_populate(${name})
        cmake_language(CALL ${add} "${${name}_SOURCE_DIR}" "${${name}_BINARY_DIR}")
    endif()
endmacro()

# As `make setup` builds it: static, hidden inside our libraries.
function(eqnn_add_kokkos source binary)
    if(EQNN_KOKKOS_STYLE)
        message(
            FATAL_ERROR
            "EQNN_KOKKOS_STYLE is on, and the Kokkos of this LAMMPS is not found: "
            "give its folder with -DKokkos_ROOT=/path"
        )
    endif()
    find_package(OpenMP QUIET COMPONENTS CXX)
    set(Kokkos_ENABLE_SERIAL ON CACHE BOOL "")
    set(Kokkos_ENABLE_OPENMP ${OpenMP_CXX_FOUND} CACHE BOOL "")
    set(Kokkos_ENABLE_TESTS OFF CACHE BOOL "")
    set(Kokkos_ENABLE_EXAMPLES OFF CACHE BOOL "")
    set(BUILD_SHARED_LIBS OFF)
    add_subdirectory("${source}" "${binary}" EXCLUDE_FROM_ALL)
endfunction()

# Headers alone: its own CMakeLists.txt adds hundreds of tests.
function(eqnn_add_eigen source binary)
    add_library(Eigen3::Eigen INTERFACE IMPORTED GLOBAL)
    target_include_directories(Eigen3::Eigen SYSTEM INTERFACE "${source}")
endfunction()

function(eqnn_add_json source binary)
    set(JSON_BuildTests OFF CACHE BOOL "")
    set(JSON_SystemInclude ON CACHE BOOL "")
    add_subdirectory("${source}" "${binary}" EXCLUDE_FROM_ALL)
endfunction()

function(eqnn_add_gtest source binary)
    set(BUILD_GMOCK OFF CACHE BOOL "")
    set(BUILD_SHARED_LIBS OFF)
    add_subdirectory("${source}" "${binary}" EXCLUDE_FROM_ALL)
endfunction()
