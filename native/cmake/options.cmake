# xbarax_target(<target>): what every target of this project is compiled with.

function(xbarax_target target)
  target_compile_features(${target} PUBLIC cxx_std_17 c_std_99)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    C_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    C_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/native)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -fno-math-errno $<$<BOOL:${XBARAX_WERROR}>:-Werror>)
  if(XBARAX_SANITIZE)
    list(JOIN XBARAX_SANITIZE "," sanitizers)
    target_compile_options(${target} PRIVATE
      -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${sanitizers})
    if("address" IN_LIST XBARAX_SANITIZE)  # it sees these two as well: a third less to compile
      target_compile_options(${target} PRIVATE -fno-sanitize=null,object-size)
    endif()
  elseif(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # A symbol that is nowhere defined fails the build, not the user's import.
    target_link_options(${target} PRIVATE LINKER:--no-undefined)
  endif()
endfunction()

# xbarax_driver_target(<target>): the same for a chip's driver, which sees the public header alone.

function(xbarax_driver_target target)
  xbarax_target(${target})
  set_target_properties(${target} PROPERTIES INCLUDE_DIRECTORIES
    ${PROJECT_SOURCE_DIR}/native/include)
  target_compile_options(${target} PRIVATE -pedantic)
endfunction()
