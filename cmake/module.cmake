# ft_module(NAME model/token DEPS base model/file LIBS PkgConfig::PCRE2)
#
# One static library per folder of src/, made of the .c files directly in it, and in those folders below it that PARTS names
# (a large module's groups of files, not modules of their own). DEPS lists the only
# modules whose headers and code it may use; tools/layers.py holds #includes to the same list, and a
# module's unit tests link nothing but the module itself, so a missing entry fails the build.
function(ft_module)
  cmake_parse_arguments(M "" "NAME" "PARTS;DEPS;LIBS" ${ARGN})
  string(REPLACE "/" "_" target "ft_${M_NAME}")
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  foreach(part IN LISTS M_PARTS)
    file(GLOB more CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${part}/*.c")
    list(APPEND sources ${more})
  endforeach()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/src")
  foreach(dep IN LISTS M_DEPS)
    string(REPLACE "/" "_" d "ft_${dep}")
    target_link_libraries(${target} PUBLIC ${d})
  endforeach()
  target_link_libraries(${target} PUBLIC ${M_LIBS})
  set_property(GLOBAL APPEND PROPERTY FT_MODULE_TARGETS ${target})
endfunction()

# ft_source_labels(FILE OUT): the words of a line "/* labels: threads slow */" in FILE.
#   threads  concurrency: runs under the thread sanitizer too
#   slow     too slow under sanitizers: runs in the release build only
function(ft_source_labels file out)
  file(STRINGS "${file}" line REGEX "^/\\* labels: .* \\*/$" LIMIT_COUNT 1)
  string(REGEX REPLACE "^/\\* labels: (.*) \\*/$" "\\1" words "${line}")
  string(REPLACE " " ";" words "${words}")
  set(${out} ${words} PARENT_SCOPE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
endfunction()

# Every tests/KIND/<module>/<name>.c is a cmocka program linked with that module alone; the folder may
# hold testing.h and the like. KIND: unit, or contract (one test that all implementations of a seam pass).
function(ft_module_tests kind module)
  cmake_parse_arguments(M "" "" "LIBS" ${ARGN})
  string(REPLACE "/" "_" m "${module}")
  set(prefix "test")
  if(NOT kind STREQUAL "unit")
    set(prefix "test_${kind}")
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${kind}/${module}/*.c")
  foreach(src IN LISTS sources)
    get_filename_component(name ${src} NAME_WE)
    set(target "${prefix}_${m}_${name}")
    add_executable(${target} ${src})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(${target} PRIVATE ft_${m} ${CMOCKA} ${M_LIBS} m)
    add_test(NAME ${kind}.${m}.${name} COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    ft_source_labels(${src} labels)
    set_tests_properties(${kind}.${m}.${name} PROPERTIES LABELS "${kind};${labels}" TIMEOUT 600)
  endforeach()
endfunction()

# ft_unit_tests(model/token [LIBS ...])
function(ft_unit_tests module)
  ft_module_tests(unit ${module} ${ARGN})
endfunction()

# ft_contract_tests(state [LIBS ...])
function(ft_contract_tests module)
  ft_module_tests(contract ${module} ${ARGN})
endfunction()
