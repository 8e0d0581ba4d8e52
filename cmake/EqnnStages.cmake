# SPDX-License-Identifier: BSD-3-Clause
# What src/base/stages.hpp lists, for CMake.

set(EQNN_STAGE_LIST "${PROJECT_SOURCE_DIR}/src/base/stages.hpp")
set_property(
    DIRECTORY "${PROJECT_SOURCE_DIR}"
    APPEND
    PROPERTY CMAKE_CONFIGURE_DEPENDS "${EQNN_STAGE_LIST}"
)

# eqnn_stage_names(OUT_VARIABLE kind...): FILE, GRAPH, KERNEL.
function(eqnn_stage_names out)
    list(JOIN ARGN "|" kinds)
    file(READ "${EQNN_STAGE_LIST}" text)
    string(REGEX MATCHALL "\n +(${kinds})\\([A-Za-z0-9]+, [a-z0-9_]+\\)" lines "${text}")
    set(names "")
    foreach(line ${lines})
        string(REGEX REPLACE "^.*, ([a-z0-9_]+)\\)$" "\\1" name "${line}")
        list(APPEND names ${name})
    endforeach()
    set(${out} ${names} PARENT_SCOPE)
endfunction()

# eqnn_stage_sources(OUT_VARIABLE kind...): stages/NAME.cpp of each.
function(eqnn_stage_sources out)
    eqnn_stage_names(names ${ARGN})
    list(TRANSFORM names PREPEND stages/)
    list(TRANSFORM names APPEND .cpp)
    set(${out} ${names} PARENT_SCOPE)
endfunction()

# eqnn_stage_headers(ROOM kind...): writes generated/ROOM/all_stages.hpp, which includes
# ROOM/stages/NAME.hpp of each.
function(eqnn_stage_headers room)
    eqnn_stage_names(names ${ARGN})
    list(TRANSFORM names REPLACE "(.+)" "#include \"${room}/stages/\\1.hpp\"")
    list(JOIN names "\n" includes)
    string(
        CONCAT content
        "// Written by cmake/EqnnStages.cmake from src/base/stages.hpp.\n"
        "#pragma once\n\n${includes}\n"
    )
    file(
        CONFIGURE
        OUTPUT "${PROJECT_BINARY_DIR}/generated/${room}/all_stages.hpp"
        CONTENT "${content}"
        @ONLY
    )
endfunction()
