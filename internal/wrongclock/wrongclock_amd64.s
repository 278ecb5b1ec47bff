#include "textflag.h"

// func shift()
// It replaces the function that the runtime calls for the time.
TEXT ·shift(SB), NOSPLIT, $0-0
	MOVQ runtime·vdsoClockgettimeSym(SB), AX
	MOVQ AX, ·original(SB)
	LEAQ ·gettime(SB), AX
	MOVQ AX, runtime·vdsoClockgettimeSym(SB)
	RET

// int clock_gettime(clockid_t DI, struct timespec *SI), in the calling convention of C: the
// stack is aligned to 16 bytes before the call.
TEXT ·gettime(SB), NOSPLIT|NOFRAME, $0-0
	PUSHQ DI
	PUSHQ SI
	SUBQ  $8, SP
	MOVQ  ·original(SB), AX
	CALL  AX
	ADDQ  $8, SP
	POPQ  SI
	POPQ  DI
	CMPL  DI, $0            // CLOCK_REALTIME
	JNE   done
	ADDQ  $3600, 0(SI)

done:
	RET
