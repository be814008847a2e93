# xbarax_isa_objects(<target> <source>): adds one compilation of <source> for each instruction set to
# <target>, whose own sources choose among them at run time.
#
# <source> sees XBARAX_ISA (baseline, avx2 or avx512: the name of its copy's namespace), <target> sees
# XBARAX_X86_ISAS where the x86-64 copies exist. Each copy keeps everything in a namespace of its own
# or has internal linkage: the linker keeps only one copy of a shared inline function, and that may be
# one that the running processor cannot execute. The native tests check it.

include(CheckCXXSourceCompiles)
check_cxx_source_compiles("
#if !defined(__x86_64__)
#error not x86-64
#endif
int main() { return 0; }" XBARAX_X86_64)

function(xbarax_isa_objects target source)
  set(isas baseline)
  if(XBARAX_X86_64)
    list(APPEND isas avx2 avx512)
    target_compile_definitions(${target} PUBLIC XBARAX_X86_ISAS=1)
  endif()
  set(flags_baseline "")
  set(flags_avx2 -mavx2 -mfma)
  set(flags_avx512 -mavx512f -mavx512vl -mavx2 -mfma)
  foreach(isa IN LISTS isas)
    add_library(${target}_${isa} OBJECT ${source})
    xbarax_target(${target}_${isa})
    target_compile_definitions(${target}_${isa} PRIVATE XBARAX_ISA=${isa})
    target_compile_options(${target}_${isa} PRIVATE ${flags_${isa}})
    target_sources(${target} INTERFACE $<TARGET_OBJECTS:${target}_${isa}>)
    set_property(GLOBAL APPEND PROPERTY XBARAX_ISA_TARGETS ${target}_${isa})
  endforeach()
endfunction()
