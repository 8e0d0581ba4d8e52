# SPDX-License-Identifier: BSD-3-Clause
# How our libraries and tests are declared.

# Sources that include Kokkos are compiled in the language that Kokkos was built for (C++ or CUDA).
function(eqnn_set_language)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "SOURCES;LIBS")
    if("Kokkos::kokkos" IN_LIST arg_LIBS AND Kokkos_COMPILE_LANGUAGE)
        set_source_files_properties(${arg_SOURCES} PROPERTIES LANGUAGE ${Kokkos_COMPILE_LANGUAGE})
    endif()
endfunction()

# With EQNN_LIBRARIES_FROM: that build tree makes its own libraries first, with its own settings.
if(EQNN_LIBRARIES_FROM)
    cmake_path(ABSOLUTE_PATH EQNN_LIBRARIES_FROM BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" NORMALIZE)
    if(NOT EXISTS "${EQNN_LIBRARIES_FROM}/CMakeCache.txt")
        message(
            FATAL_ERROR
            "EQNN_LIBRARIES_FROM is '${EQNN_LIBRARIES_FROM}', which is no build tree: "
            "give one of this source, as in .eqnn/build/openmp, or leave it empty"
        )
    endif()
    add_custom_target(
        eqnn_libraries
        COMMAND ${CMAKE_COMMAND} --build "${EQNN_LIBRARIES_FROM}" --target eqnn_self_test
        COMMENT "Libraries of ${EQNN_LIBRARIES_FROM}"
    )
endif()

# eqnn_add_library(NAME [SOURCES file...] [PUBLIC lib...] [PRIVATE lib...])
# The static library eqnn_NAME; one without sources is header-only. With EQNN_LIBRARIES_FROM, that
# build tree's.
function(eqnn_add_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE")
    set(target eqnn_${name})
    if(NOT arg_SOURCES)
        add_library(${target} INTERFACE)
        target_link_libraries(${target} INTERFACE eqnn_options ${arg_PUBLIC} ${arg_PRIVATE})
        return()
    endif()
    if(EQNN_LIBRARIES_FROM)
        file(RELATIVE_PATH folder "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
        add_library(${target} STATIC IMPORTED GLOBAL)
        set_target_properties(
            ${target}
            PROPERTIES IMPORTED_LOCATION "${EQNN_LIBRARIES_FROM}/${folder}/lib${target}.a"
        )
        set(private ${arg_PRIVATE})
        list(TRANSFORM private PREPEND "$<LINK_ONLY:")
        list(TRANSFORM private APPEND ">")
        target_link_libraries(${target} INTERFACE eqnn_options ${arg_PUBLIC} ${private})
        add_dependencies(${target} eqnn_libraries)
        return()
    endif()
    add_library(${target} STATIC ${arg_SOURCES})
    eqnn_set_language(SOURCES ${arg_SOURCES} LIBS ${arg_PUBLIC} ${arg_PRIVATE})
    target_link_libraries(
        ${target}
        PUBLIC eqnn_options ${arg_PUBLIC}
        PRIVATE eqnn_warnings ${arg_PRIVATE}
    )
    add_dependencies(${target} eqnn_version_header)
endfunction()

# eqnn_add_test(NAME name SOURCES file... [LIBS lib...] [LABELS label...])
# One GoogleTest executable, registered whole. Kokkos is started around the tests if Kokkos::kokkos
# is among LIBS. Those that EQNN_SLOW_TESTS does not name get the label quick.
function(eqnn_add_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SOURCES;LIBS;LABELS")
    set(target test_${arg_NAME})
    if("Kokkos::kokkos" IN_LIST arg_LIBS)
        list(APPEND arg_SOURCES "${PROJECT_SOURCE_DIR}/tests/support/kokkos_main.cpp")
        list(APPEND arg_LIBS GTest::gtest)
    else()
        list(APPEND arg_LIBS GTest::gtest_main)
    endif()
    eqnn_set_language(SOURCES ${arg_SOURCES} LIBS ${arg_LIBS})
    add_executable(${target} ${arg_SOURCES})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_compile_definitions(
        ${target}
        PRIVATE EQNN_TEST_DATA="${PROJECT_SOURCE_DIR}/tests" EQNN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    )
    target_link_libraries(${target} PRIVATE eqnn_options eqnn_warnings ${arg_LIBS})
    add_dependencies(${target} eqnn_version_header)
    add_test(NAME ${arg_NAME} COMMAND ${target})
    if(NOT arg_NAME IN_LIST EQNN_SLOW_TESTS)
        list(APPEND arg_LABELS quick)
    endif()
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}")
endfunction()

# eqnn_add_plugin(NAME): eqnnplugin.so for LAMMPS, which itself supplies what is undefined. Never
# unloaded: that would pull the threads' code from under them.
function(eqnn_add_plugin name)
    set(folder "${PROJECT_SOURCE_DIR}/src/pair_style")
    add_library(${name} MODULE "${folder}/eqnn_plugin.cpp")
    target_link_libraries(${name} PRIVATE eqnn_pair_style ${CMAKE_DL_LIBS})
    target_link_options(
        ${name}
        PRIVATE "LINKER:--version-script=${folder}/eqnnplugin.map" "LINKER:-z,nodelete"
    )
    set_target_properties(
        ${name}
        PROPERTIES PREFIX "" OUTPUT_NAME eqnnplugin LINK_DEPENDS "${folder}/eqnnplugin.map"
    )
endfunction()
