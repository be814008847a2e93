# xla_ffi: the headers of XLA's FFI, from the jaxlib of the Python that runs the build.

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND ${Python_EXECUTABLE} -c
    "import importlib.util as u; print(u.find_spec('jaxlib').submodule_search_locations[0] + '/include')"
  OUTPUT_VARIABLE xla_ffi_include
  OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE xla_ffi_failed
  ERROR_QUIET)
if(xla_ffi_failed OR NOT EXISTS "${xla_ffi_include}/xla/ffi/api/ffi.h")
  message(FATAL_ERROR
    "${Python_EXECUTABLE} has no jaxlib with XLA's FFI headers (looked for "
    "xla/ffi/api/ffi.h in '${xla_ffi_include}'). pip install . brings one by itself; for a build by "
    "hand give -DPython_EXECUTABLE=... of a Python with the jaxlib that pyproject.toml names.")
endif()
message(STATUS "XLA FFI headers: ${xla_ffi_include}")

# As copies: each isolated build has a jaxlib in a folder of its own, for which all that includes
# these would be compiled again.
set(xla_ffi_copies ${CMAKE_CURRENT_BINARY_DIR}/xla_ffi)
file(GLOB xla_ffi_headers RELATIVE ${xla_ffi_include} ${xla_ffi_include}/xla/ffi/api/*.h)
file(MAKE_DIRECTORY ${xla_ffi_copies}/xla/ffi/api)
foreach(header IN LISTS xla_ffi_headers)
  file(COPY_FILE ${xla_ffi_include}/${header} ${xla_ffi_copies}/${header} ONLY_IF_DIFFERENT)
endforeach()

add_library(xla_ffi INTERFACE)
target_include_directories(xla_ffi SYSTEM INTERFACE ${xla_ffi_copies})
