# ft_module(NAME model/token DEPS base model/file LIBS PkgConfig::PCRE2 [EXCLUDE regex])
#
# One static library per folder of src/, made of the .c files directly in it. DEPS lists the only
# modules whose headers and code it may use; tools/layers.py holds #includes to the same list, and a
# module's unit tests link nothing but the module itself, so a missing entry fails the build.
function(ft_module)
  cmake_parse_arguments(M "" "NAME" "DEPS;LIBS" ${ARGN})
  string(REPLACE "/" "_" target "ft_${M_NAME}")
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/src")
  foreach(dep IN LISTS M_DEPS)
    string(REPLACE "/" "_" d "ft_${dep}")
    target_link_libraries(${target} PUBLIC ${d})
  endforeach()
  target_link_libraries(${target} PUBLIC ${M_LIBS})
endfunction()

# Every tests/unit/<module>/<name>.c is a cmocka program linked with that module alone; tests/unit/<module> may hold
# testing.h and the like. ft_unit_tests(model/token [LIBS ...])
function(ft_unit_tests module)
  cmake_parse_arguments(M "" "" "LIBS" ${ARGN})
  string(REPLACE "/" "_" m "${module}")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/${module}/*.c")
  foreach(src IN LISTS sources)
    get_filename_component(name ${src} NAME_WE)
    set(target "test_${m}_${name}")
    add_executable(${target} ${src})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(${target} PRIVATE ft_${m} ${CMOCKA} ${M_LIBS} m)
    add_test(NAME unit.${m}.${name} COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(unit.${m}.${name} PROPERTIES LABELS unit TIMEOUT 600)
  endforeach()
endfunction()
