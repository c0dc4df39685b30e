/* What version of the interface between Python and C this library has; see library.py. */
#include "machine.h"

EXPORT int logscan_interface(void) { return 1; }
