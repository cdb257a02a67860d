# Compiler flags, compiler cache, linker, sanitizers. Everything a preset can switch is an option here.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(WAYPOST_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined | thread | empty)")
option(WAYPOST_FUZZ "Build the fuzz targets (clang only)" OFF)
option(WAYPOST_COVERAGE "Instrument for coverage" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=mold)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  find_program(LLD NAMES ld.lld ld.lld-19)
  if(LLD)
    add_link_options(-fuse-ld=lld)
  endif()
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough
                    -Werror=return-type -fno-strict-aliasing)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these inside its own headers when coroutines are inlined.
  add_compile_options(-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds -Wno-restrict
                      -Wno-dangling-pointer -Wno-free-nonheap-object -Wno-mismatched-new-delete -fpch-preprocess)
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
add_compile_definitions(
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE BOOST_ASIO_HAS_CO_AWAIT
  BOOST_ASIO_HAS_STD_COROUTINE BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=16  # coroutine frames
  BOOST_BEAST_USE_STD_STRING_VIEW _FILE_OFFSET_BITS=64)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
  add_link_options(-Wl,-z,relro,-z,now)
endif()

if(WAYPOST_SANITIZE)
  add_compile_options(-fsanitize=${WAYPOST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WAYPOST_SANITIZE})
  # The vptr check opens a pipe to probe memory: it cries wolf in tests that use up all descriptors.
  add_compile_options(-fno-sanitize=vptr)
endif()
if(WAYPOST_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(WAYPOST_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

if(CMAKE_DISABLE_PRECOMPILE_HEADERS)
  # The sources count on what the precompiled headers bring along.
  add_compile_options(-include ${CMAKE_SOURCE_DIR}/tools/cmake/precompiled.h)
endif()
