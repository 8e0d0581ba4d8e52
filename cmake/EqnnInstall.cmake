# SPDX-License-Identifier: BSD-3-Clause
# `cmake --install`: libeqnn with its C and C++ headers and CMake package, and the LAMMPS plugin.

include(CMakePackageConfigHelpers)

if(TARGET eqnn)
    install(TARGETS eqnn EXPORT eqnn-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(DIRECTORY include/eqnn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/eqnn)
    install(EXPORT eqnn-targets NAMESPACE eqnn:: DESTINATION ${package_dir})
    configure_package_config_file(
        cmake/eqnn-config.cmake.in
        "${PROJECT_BINARY_DIR}/eqnn-config.cmake"
        INSTALL_DESTINATION ${package_dir}
    )
    write_basic_package_version_file(
        "${PROJECT_BINARY_DIR}/eqnn-config-version.cmake"
        COMPATIBILITY SameMinorVersion
    )
    install(
        FILES
            "${PROJECT_BINARY_DIR}/eqnn-config.cmake"
            "${PROJECT_BINARY_DIR}/eqnn-config-version.cmake"
        DESTINATION ${package_dir}
    )
endif()

set(EQNN_PLUGIN_FOLDER
    lammps/plugins
    CACHE STRING
    "Where eqnnplugin.so is installed, below lib; RELEASE stands for LAMMPS's, as in 20250722"
)
if(TARGET eqnnplugin)
    get_target_property(lammps_release eqnnplugin EQNN_LAMMPS_RELEASE)
    string(REPLACE RELEASE "${lammps_release}" plugin_folder "${EQNN_PLUGIN_FOLDER}")
    install(
        TARGETS eqnnplugin
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/${plugin_folder} COMPONENT plugin
    )
endif()
