# xbarax_isa_objects(<target> <name> <source>): adds one compilation of <source> for each instruction set to
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

function(xbarax_isa_objects target name source)
  set(isas baseline)
  # What threads share is in the targets' own sources: their sanitizer sees it with any instructions.
  if(XBARAX_X86_64 AND NOT "thread" IN_LIST XBARAX_SANITIZE)
    list(APPEND isas avx2 avx512)
    target_compile_definitions(${target} PUBLIC XBARAX_X86_ISAS=1)
  endif()
  set(flags_baseline "")
  set(flags_avx2 -mavx2 -mfma)
  set(flags_avx512 -mavx512f -mavx512vl -mavx2 -mfma)
  foreach(isa IN LISTS isas)
    set(objects xbarax_${name}_${isa})
    add_library(${objects} OBJECT ${source})
    xbarax_target(${objects})
    target_compile_definitions(${objects} PRIVATE XBARAX_ISA=${isa})
    target_compile_options(${objects} PRIVATE ${flags_${isa}})
    target_sources(${target} INTERFACE $<TARGET_OBJECTS:${objects}>)
    set_property(GLOBAL APPEND PROPERTY XBARAX_ISA_TARGETS ${objects})
  endforeach()
endfunction()
