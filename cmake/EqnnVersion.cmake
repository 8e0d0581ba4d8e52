# SPDX-License-Identifier: BSD-3-Clause
# generated/base/version.hpp: the version and the commit. Written at each build, touched only when
# it changes.

if(CMAKE_SCRIPT_MODE_FILE)
    execute_process(
        COMMAND git -C "${SOURCE_DIR}" describe --always --dirty --abbrev=12 --exclude=*
        OUTPUT_VARIABLE commit
        OUTPUT_STRIP_TRAILING_WHITESPACE
        ERROR_QUIET
        RESULT_VARIABLE result
    )
    if(NOT result EQUAL 0)
        set(commit "unknown")
    endif()
    configure_file("${SOURCE_DIR}/src/base/version.hpp.in" "${OUTPUT}" @ONLY)
    return()
endif()

set(version_header "${PROJECT_BINARY_DIR}/generated/base/version.hpp")
set(write_version_header
    ${CMAKE_COMMAND}
    -D
    SOURCE_DIR=${PROJECT_SOURCE_DIR}
    -D
    OUTPUT=${version_header}
    -D
    version=${PROJECT_VERSION}
    -P
    ${CMAKE_CURRENT_LIST_FILE}
)
execute_process(COMMAND ${write_version_header} COMMAND_ERROR_IS_FATAL ANY)
add_custom_target(eqnn_version_header COMMAND ${write_version_header} BYPRODUCTS ${version_header})
