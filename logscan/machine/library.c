/* What sources this library was compiled from; compiling.py says it, library.py asks. */
#include "machine.h"

#ifndef LOGSCAN_SOURCES
#error "compile by: python logscan/machine/compiling.py"
#endif

EXPORT uint64_t logscan_sources(void) { return LOGSCAN_SOURCES; }
