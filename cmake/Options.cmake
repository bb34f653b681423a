# How our own code is compiled. Third-party headers are SYSTEM and stay out of it.
find_program(CCACHE ccache)
if(CCACHE)
  # Without these words it does not keep what is compiled with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(breakeven_options INTERFACE)
target_include_directories(breakeven_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(breakeven_options INTERFACE
  -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor -Werror
  # g++ 12 at -O3 sees uninitialised members in moved std::variants that hold another alternative (GCC bug 105562 and kin).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # g++ 12 sees overlapping copies in std::string's operator+ where there are none (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # clang does not see that it is libstdc++'s own std::stable_sort that calls the deprecated std::get_temporary_buffer.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>
  # A result that depends on how the compiler contracts a*b+c would differ between our own builds.
  -ffp-contract=off)
if(BREAKEVEN_SANITIZE)
  string(REPLACE ";" "," sanitizers "${BREAKEVEN_SANITIZE}")
  target_compile_options(breakeven_options INTERFACE
    -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(breakeven_options INTERFACE -fsanitize=${sanitizers})
endif()

# breakeven_library(name SOURCES… LINK targets…): a static library of ours.
function(breakeven_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC breakeven_options ${ARG_LINK})
endfunction()

# breakeven_precompile(target headers…): included by every file of the target, compiled once, in a way that ccache can keep.
function(breakeven_precompile target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  target_compile_options(${target} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess> $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
endfunction()

# Sorts sources by whether their first line says "Pure": those build without libtorch.
function(breakeven_split_pure pure_variable other_variable)
  set(pure)
  set(other)
  foreach(source IN LISTS ARGN)
    file(STRINGS ${source} first_line LIMIT_COUNT 1)
    if(first_line MATCHES "Pure")
      list(APPEND pure ${source})
    else()
      list(APPEND other ${source})
    endif()
  endforeach()
  set(${pure_variable} ${pure} PARENT_SCOPE)
  set(${other_variable} ${other} PARENT_SCOPE)
endfunction()
