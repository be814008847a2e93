# Fails if an object defines a weak symbol: an inline function that the linker may keep for all, though
# it was compiled for an instruction set that not every processor has.

execute_process(COMMAND ${NM} --defined-only ${OBJECTS}
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]* [VWu] [^\n]*" weak "${symbols}")
if(weak)
  list(JOIN weak "\n  " weak)
  message(FATAL_ERROR "${OBJECTS} defines weak symbols:\n  ${weak}")
endif()
