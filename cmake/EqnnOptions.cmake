# SPDX-License-Identifier: BSD-3-Clause
# Build type, the processor to compile for, and the interface target eqnn_options that carries our
# flags.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Everything may end in a shared library, where only its entry points are seen.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)

# nvcc hands an option to the host compiler only when told to. Its own output breaks -Wpedantic and
# -Wconversion.
function(eqnn_compile_options target)
    foreach(option ${ARGN})
        target_compile_options(
            ${target}
            INTERFACE
                $<$<COMPILE_LANGUAGE:CXX>:${option}>
                $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${option}>
        )
    endforeach()
endfunction()

add_library(eqnn_warnings INTERFACE)
eqnn_compile_options(eqnn_warnings -Wall -Wextra)
target_compile_options(
    eqnn_warnings
    INTERFACE
        $<$<COMPILE_LANGUAGE:CXX>:-Wpedantic;-Wshadow;-Wconversion>
        $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${EQNN_WERROR}>>:-Werror>
)

# Never -ffast-math: it makes isnan() false, and a library linked with it changes the whole
# process's arithmetic.
add_library(eqnn_options INTERFACE)
target_include_directories(
    eqnn_options
    INTERFACE
        "${PROJECT_SOURCE_DIR}/include"
        "${PROJECT_SOURCE_DIR}/src"
        "${PROJECT_BINARY_DIR}/generated"
)
eqnn_compile_options(eqnn_options -fno-math-errno -fno-trapping-math -ffp-contract=fast)
check_cxx_compiler_flag(-fopenmp-simd EQNN_HAS_OPENMP_SIMD)
if(EQNN_HAS_OPENMP_SIMD)
    eqnn_compile_options(eqnn_options -fopenmp-simd)
endif()

if(EQNN_DEVICE_BRANCH)
    target_compile_definitions(eqnn_options INTERFACE EQNN_DEVICE_BRANCH EQNN_POISON)
endif()

if(EQNN_SANITIZE)
    # Tests and libraries alike; frame pointers for readable traces.
    add_compile_options(
        -fsanitize=address,undefined
        -fno-sanitize-recover=all
        -fno-omit-frame-pointer
    )
    add_link_options(-fsanitize=address,undefined)
    target_compile_definitions(eqnn_options INTERFACE EQNN_POISON=1)
endif()

if(EQNN_COVERAGE)
    # Beside each object file, how often each of its lines ran. Ranks and tests add up.
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()

# The numerical libraries are compiled for EQNN_MARCH; the pair style and its check of the processor
# are not.
add_library(eqnn_march INTERFACE)
set(EQNN_MARCH_FEATURES "")
if(EQNN_MARCH)
    check_cxx_compiler_flag(-march=${EQNN_MARCH} EQNN_HAS_MARCH_${EQNN_MARCH})
    if(NOT EQNN_HAS_MARCH_${EQNN_MARCH})
        message(
            FATAL_ERROR
            "EQNN_MARCH is '${EQNN_MARCH}', but ${CMAKE_CXX_COMPILER} does not know "
            "-march=${EQNN_MARCH}: leave it empty for a build that runs on every processor"
        )
    endif()
    eqnn_compile_options(eqnn_march -march=${EQNN_MARCH})
    target_compile_definitions(eqnn_march INTERFACE EQNN_MARCH_NAME="${EQNN_MARCH}")
    set(CMAKE_REQUIRED_FLAGS -march=${EQNN_MARCH})
    foreach(
        feature
        AVX
        AVX2
        FMA
        AVX512F
        AVX512DQ
        AVX512BW
        AVX512VL
    )
        set(source "#ifndef __${feature}__\n#error\n#endif\nint main() { return 0; }")
        check_cxx_source_compiles("${source}" EQNN_MARCH_${EQNN_MARCH}_HAS_${feature})
        if(EQNN_MARCH_${EQNN_MARCH}_HAS_${feature})
            list(APPEND EQNN_MARCH_FEATURES ${feature})
        endif()
    endforeach()
    set(CMAKE_REQUIRED_FLAGS "")
    if(AVX512F IN_LIST EQNN_MARCH_FEATURES)
        # Left alone, g++ uses half of the register's width.
        check_cxx_compiler_flag(-mprefer-vector-width=512 EQNN_HAS_VECTOR_WIDTH)
        if(EQNN_HAS_VECTOR_WIDTH)
            eqnn_compile_options(eqnn_march -mprefer-vector-width=512)
        endif()
    endif()
endif()
