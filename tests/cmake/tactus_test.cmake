# SPDX-License-Identifier: Apache-2.0
# How tests are declared: three functions, so that every test has labels, a time limit and, under
# sanitizers, the same options. Relies on tests/CMakeLists.txt for the library tactus_test_main.
# Does not decide which tests run when; that is scripts/check.sh, by label.
#
# Labels: `native` runs on the host, also under sanitizers; `vm` boots a VM and runs alone, with one
# of `smoke`, `reloads`, `rules`, `full` (only in make check-full) and one of `kernel-6.16`,
# `kernel-6.18`, `kernel-latest`.
# Exit code 77 of a test means skipped, with the reason on its output.

set(tactus_test_environment
  "ASAN_OPTIONS=detect_stack_use_after_return=1:abort_on_error=0"
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
  "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1"
  "PYTHONDONTWRITEBYTECODE=1")

# tactus_add_test(NAME SOURCES a.cpp... [LIBS lib...] [LABELS label...] [TIMEOUT s] [SERIAL] [NO_MAIN] [AS_SHIPPED] [ONE_THREAD])
# A doctest program; it has the label `native` besides those given.
# SERIAL: no other test beside it (it measures times). NO_MAIN: it brings its own main().
# AS_SHIPPED: what is tested is in headers, so the test is compiled with the optimisation of the build.
# ONE_THREAD: neither the test nor what it calls has a second thread, so that the thread sanitizer has nothing
# to see; not built for it.
# Other tests have -O1 there: a quarter less compile time, and what they test is in a library with its own.
function(tactus_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;NO_MAIN;AS_SHIPPED;ONE_THREAD" "TIMEOUT" "SOURCES;LIBS;LABELS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "tactus_add_test(${name}): give SOURCES; did not understand '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(arg_ONE_THREAD AND TACTUS_SANITIZE MATCHES thread)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} tactus_flags Threads::Threads)
  if(NOT TACTUS_SANITIZE AND NOT arg_AS_SHIPPED)
    target_compile_options(${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O1>)
  endif()
  if(NOT arg_NO_MAIN)
    target_link_libraries(${name} PRIVATE tactus_test_main)
  endif()
  add_dependencies(unit_tests ${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  tactus_set_test_properties(${name} "${arg_SERIAL}" "${arg_TIMEOUT}" native ${arg_LABELS})
endfunction()

# tactus_add_script_test(NAME COMMAND word... [LABELS label...] [TIMEOUT s] [SERIAL])
# Any command on the host, run in the top folder of the sources; not under sanitizers.
# TACTUS_BUILD_DIR and TACTUS_SOURCE_DIR tell it where things are.
function(tactus_add_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "COMMAND;LABELS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_COMMAND)
    message(FATAL_ERROR "tactus_add_script_test(${name}): give COMMAND; did not understand '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(TACTUS_SANITIZE)
    return()
  endif()
  add_test(NAME ${name} COMMAND ${arg_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  tactus_set_test_properties(${name} "${arg_SERIAL}" "${arg_TIMEOUT}" native ${arg_LABELS})
endfunction()

# tactus_add_vm_test(NAME COMMAND word... LABELS smoke|reloads|rules... [VM_ARGS word...] [TIMEOUT s])
# COMMAND runs as root inside a VM (paths relative to /tactus), once per kernel of TACTUS_VM_KERNELS:
# the tests are called NAME.KERNEL. What it writes to /out and the console are in
# BUILD/vm/NAME.KERNEL/. TIMEOUT is for the command; booting has its own.
function(tactus_add_vm_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "COMMAND;LABELS;VM_ARGS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_COMMAND OR NOT arg_LABELS)
    message(FATAL_ERROR "tactus_add_vm_test(${name}): give COMMAND and LABELS; did not understand '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(TACTUS_SANITIZE)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  math(EXPR whole "2 * (${arg_TIMEOUT} + 120)")  # a VM that the emulator spoils is started anew
  foreach(kernel IN LISTS TACTUS_VM_KERNELS)
    set(folder ${CMAKE_BINARY_DIR}/vm/${name}.${kernel})
    add_test(NAME ${name}.${kernel}
      COMMAND ${PROJECT_SOURCE_DIR}/scripts/vm.sh --kernel ${kernel} --again 2 --bin ${CMAKE_BINARY_DIR}/bin
        --out ${folder}/out --console ${folder}/console.log --timeout ${arg_TIMEOUT} ${arg_VM_ARGS} -- ${arg_COMMAND}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    tactus_set_test_properties(${name}.${kernel} TRUE ${whole} vm kernel-${kernel} ${arg_LABELS})
  endforeach()
endfunction()

# What all tests have in common; for the functions above.
function(tactus_set_test_properties name serial timeout)
  if(NOT timeout)
    set(timeout 120)
  endif()
  if(TACTUS_SANITIZE)
    math(EXPR timeout "${timeout} * 5")
  endif()
  if(NOT serial)
    set(serial FALSE)
  endif()
  math(EXPR report_after "${timeout} * 9 / 10") # hang_report.h
  set_tests_properties(${name} PROPERTIES
    LABELS "${ARGN}" TIMEOUT ${timeout} RUN_SERIAL ${serial} SKIP_RETURN_CODE 77
    ENVIRONMENT "${tactus_test_environment};TACTUS_TEST_SECONDS=${report_after};TACTUS_SOURCE_DIR=${PROJECT_SOURCE_DIR};TACTUS_BUILD_DIR=${CMAKE_BINARY_DIR}")
endfunction()
